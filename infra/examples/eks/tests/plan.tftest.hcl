mock_provider "archive" {}
mock_provider "google-beta" {}
mock_provider "time" {}

mock_provider "google" {
  override_during = plan

  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }

  mock_resource "google_service_account" {
    defaults = { unique_id = "104567890123456789012", name = "projects/p/serviceAccounts/x@p.iam.gserviceaccount.com" }
  }
}

run "applied_first" {
  command = plan

  assert {
    condition     = strcontains(join(" ", output.next_steps), "--key-version projects/example-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/shop-calico/cryptoKeyVersions/1")
    error_message = "next_steps has the CA certificate"
  }

  assert {
    condition     = strcontains(output.associate["shop"], "\"requiredClaims\":{\"sub\":\"104567890123456789012\"}")
    error_message = "EKS accepts only tokens of the function's account"
  }

  assert {
    condition     = contains(keys(output.documents), "configuration.yaml")
    error_message = "documents has the configuration for the admission policies"
  }
}

run "adoption_of_something_else" {
  command = plan

  variables {
    adopt = ["log_bucket"]
  }

  expect_failures = [var.adopt]
}
