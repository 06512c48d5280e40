mock_provider "google" {}

variables {
  callers         = "same-vpc"
  concurrency     = 16
  configuration   = "/etc/csr-signer/configuration-yaml/configuration.yaml"
  files           = { "configuration.yaml" = { folder = "/etc/csr-signer/configuration-yaml", secret = "csr-signer-configuration-yaml", version = "7" } }
  image           = "images.example.com/p/r/function@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  invokers        = { exporter-prod = "serviceAccount:csr-exporter-prod@example-signer.iam.gserviceaccount.com" }
  location        = "europe-west1"
  max_instances   = 10
  memory          = 512
  min_instances   = 0
  name            = "csr-signer"
  project         = "example-signer"
  service_account = "csr-signer@example-signer.iam.gserviceaccount.com"
}

run "planned" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_service.this.ingress == "INGRESS_TRAFFIC_INTERNAL_ONLY"
    error_message = "with callers of the same network, the internet has no access"
  }

  assert {
    condition     = one([for each in google_cloud_run_v2_service.this.template[0].containers[0].env : each.value if each.name == "CSR_SIGNER_CONFIGURATION"]) == "/etc/csr-signer/configuration-yaml/configuration.yaml"
    error_message = "the environment variable names the mounted configuration"
  }

  assert {
    condition     = one(google_cloud_run_v2_service.this.template[0].volumes[0].secret[0].items).version == "7" && google_cloud_run_v2_service.this.template[0].containers[0].volume_mounts[0].mount_path == "/etc/csr-signer/configuration-yaml"
    error_message = "the document is mounted in its folder, by its version"
  }

  assert {
    condition     = one([for each in google_cloud_run_v2_service.this.template[0].containers[0].env : each.value if each.name == "CSR_SIGNER_CONCURRENCY"]) == tostring(google_cloud_run_v2_service.this.template[0].max_instance_request_concurrency)
    error_message = "the function knows the number of its concurrent requests"
  }

  assert {
    condition     = google_cloud_run_v2_service.this.template[0].containers[0].resources[0].cpu_idle
    error_message = "Cloud Run bills only requests"
  }
}

run "an_image_by_tag" {
  command = plan

  variables {
    image = "images.example.com/p/r/function:latest"
  }

  expect_failures = [var.image]
}

run "all_users_as_invoker" {
  command = plan

  variables {
    invokers = { everybody = "allAuthenticatedUsers" }
  }

  expect_failures = [var.invokers]
}
