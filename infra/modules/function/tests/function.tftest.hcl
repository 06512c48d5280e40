mock_provider "google" {
  mock_resource "google_service_account" {
    defaults = { name = "projects/p/serviceAccounts/x@p.iam.gserviceaccount.com" }
  }

  mock_resource "google_cloudfunctions2_function" {
    override_during = plan
    defaults        = { state = "ACTIVE" }
  }
}
mock_provider "time" {}

variables {
  archive         = { name = "csr-signer-0123.zip", path = "tests/code.zip" }
  callers         = "same-vpc"
  concurrency     = 16
  configuration   = "configuration.yaml"
  invokers        = { exporter-prod = "serviceAccount:csr-exporter-prod@example-signer.iam.gserviceaccount.com" }
  location        = "europe-west1"
  max_instances   = 10
  memory          = 512
  min_instances   = 0
  name            = "csr-signer"
  project         = "example-signer"
  project_number  = "123456789012"
  service_account = "csr-signer@example-signer.iam.gserviceaccount.com"
}

run "planned" {
  command = plan

  assert {
    condition     = google_storage_bucket.source.public_access_prevention == "enforced" && google_storage_bucket.source.uniform_bucket_level_access
    error_message = "the source bucket is private"
  }

  assert {
    condition     = google_cloudfunctions2_function.this.service_config[0].environment_variables["CSR_SIGNER_CONCURRENCY"] == tostring(google_cloudfunctions2_function.this.service_config[0].max_instance_request_concurrency)
    error_message = "the function knows the number of its concurrent requests"
  }

  assert {
    condition     = strcontains(google_project_iam_member.build_read_source.condition[0].expression, "projects/_/buckets/gcf-v2-sources-123456789012-europe-west1")
    error_message = "the build may read only the staging bucket"
  }
}

run "deployed_by_another_principal" {
  command = plan

  variables {
    deployer       = "serviceAccount:terraform@example-signer.iam.gserviceaccount.com"
    encryption_key = "projects/example-keys/locations/europe-west1/keyRings/storage/cryptoKeys/at-rest"
  }

  assert {
    condition     = google_service_account_iam_member.deploy[0].role == "roles/iam.serviceAccountUser"
    error_message = "the deployer may build as the build's account"
  }

  assert {
    condition     = google_project_iam_member.build_read_source.condition[0].expression == "resource.name.startsWith('projects/_/buckets/gcf-v2-sources-123456789012-europe-west1-')"
    error_message = "with an encryption key, the staging bucket's name has a suffix"
  }
}

run "all_users_as_invoker" {
  command = plan

  variables {
    invokers = { everybody = "allUsers" }
  }

  expect_failures = [var.invokers]
}

run "build_in_a_private_pool" {
  command = plan

  variables {
    build_environment = { PIP_INDEX_URL = "https://packages.example.com/simple/" }
    worker_pool       = "projects/example-signer/locations/europe-west1/workerPools/private"
  }

  assert {
    condition     = google_cloudfunctions2_function.this.build_config[0].worker_pool == var.worker_pool && google_cloudfunctions2_function.this.build_config[0].environment_variables == var.build_environment
    error_message = "pool and environment reach the build"
  }
}

# The last run, because it leaves the failed function in the test's state.
run "build_that_failed" {
  override_resource {
    target = google_cloudfunctions2_function.this
    values = { state = "FAILED" }
  }

  expect_failures = [check.active]
}
