mock_provider "archive" {}
mock_provider "google" {}
mock_provider "time" {}

variables {
  callers         = "same-vpc"
  clusters        = 1
  configuration   = "configuration.yaml"
  documents       = { "configuration.yaml" = "clusters: {}\n", "prod-ca.pem" = "-----BEGIN CERTIFICATE-----\n" }
  invokers        = { exporter-prod = "serviceAccount:csr-exporter-prod@example-signer.iam.gserviceaccount.com" }
  location        = "europe-west1"
  name            = "csr-signer"
  project         = "example-signer"
  project_number  = "123456789012"
  service_account = "csr-signer@example-signer.iam.gserviceaccount.com"
  source_folder   = "../../../function"
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

run "configuration_that_does_not_exist" {
  command = plan

  variables {
    configuration = "other.yaml"
  }

  expect_failures = [var.configuration]
}

run "source_that_does_not_exist" {
  command = plan

  variables {
    source_folder = "../../../docs"
  }

  expect_failures = [var.source_folder]
}
