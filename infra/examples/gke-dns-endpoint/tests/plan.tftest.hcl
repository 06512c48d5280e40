mock_provider "archive" {}
mock_provider "time" {}

mock_provider "google" {
  override_during = plan

  mock_resource "google_service_account" {
    defaults = { unique_id = "104567890123456789012" }
  }
}

run "applied_first" {
  command = plan

  assert {
    condition     = strcontains(output.next_steps[0], "--key-version projects/example-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/prod-calico/cryptoKeyVersions/1")
    error_message = "what comes next is the CA certificate"
  }

  assert {
    condition     = output.manifests["prod"].token_audience == "example-clusters.svc.id.goog"
    error_message = "on GKE the exporter's token is for the project's pool"
  }

  assert {
    condition     = contains(keys(output.documents), "configuration.yaml")
    error_message = "the admission policies are made from the configuration document"
  }
}
