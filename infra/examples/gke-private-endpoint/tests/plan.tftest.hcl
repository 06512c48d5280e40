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

  mock_data "google_container_cluster" {
    defaults = {
      master_auth            = [{ client_key = "", cluster_ca_certificate = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==" }]
      private_cluster_config = [{ private_endpoint = "10.0.0.2" }]
    }
  }
}

run "applied_first" {
  command = plan

  assert {
    condition     = strcontains(join(" ", output.next_steps), "--key-version projects/example-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/prod-calico/cryptoKeyVersions/1")
    error_message = "next_steps has the CA certificate"
  }

  assert {
    condition     = output.manifests["prod"].function_user == "csr-access-prod@example-signer.iam.gserviceaccount.com"
    error_message = "the function's username is the account without rights on keys"
  }

  assert {
    condition     = contains(keys(output.documents), "configuration.yaml")
    error_message = "documents has the configuration for the admission policies"
  }
}
