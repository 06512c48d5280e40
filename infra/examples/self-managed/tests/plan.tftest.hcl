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
    condition     = strcontains(join(" ", output.next_steps), "--key-version projects/example-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/site-calico/cryptoKeyVersions/1")
    error_message = "next_steps has the CA certificate"
  }

  assert {
    condition     = yamldecode(output.authentication_configurations["site"]).jwt[0].claimValidationRules[0].requiredValue == "104567890123456789012"
    error_message = "the API server accepts only tokens of the function's account"
  }

  assert {
    condition     = contains(keys(output.documents), "configuration.yaml")
    error_message = "documents has the configuration for the admission policies"
  }
}
