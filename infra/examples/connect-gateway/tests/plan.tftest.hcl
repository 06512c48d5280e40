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
    condition     = strcontains(join(" ", output.next_steps), "--key-version projects/example-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/edge-calico/cryptoKeyVersions/1")
    error_message = "next_steps has the CA certificate"
  }

  assert {
    condition     = output.manifests["edge"].token_audience == "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/csr-exporter-edge/providers/cluster"
    error_message = "the audience of the exporter's token is the cluster's provider"
  }

  assert {
    condition     = contains(keys(output.documents), "configuration.yaml")
    error_message = "documents has the configuration for the admission policies"
  }
}
