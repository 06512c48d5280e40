mock_provider "google" {}
mock_provider "time" {}

variables {
  documents       = { "configuration.yaml" = "clusters: {}\n", "prod-ca.pem" = "-----BEGIN CERTIFICATE-----\n" }
  location        = "europe-west1"
  name            = "csr-signer"
  project         = "example-signer"
  service_account = "csr-signer@example-signer.iam.gserviceaccount.com"
}

run "planned" {
  command = plan

  assert {
    condition     = { for name, file in output.files : name => "${file.secret} ${file.folder}" } == { "configuration.yaml" = "csr-signer-europe-west1-configuration-yaml /etc/csr-signer/configuration-yaml", "prod-ca.pem" = "csr-signer-europe-west1-prod-ca-pem /etc/csr-signer/prod-ca-pem" }
    error_message = "each document has its own secret and folder"
  }

  assert {
    condition     = time_sleep.grants.create_duration == "60s" && time_sleep.grants.triggers["documents"] == "configuration.yaml prod-ca.pem"
    error_message = "a new document's grant takes effect before a revision mounts it"
  }
}

run "document_that_no_secret_can_hold" {
  command = plan

  variables {
    documents = { "configuration.yaml" = format("%65537s", "") }
  }

  expect_failures = [var.documents]
}

run "document_in_another_folder" {
  command = plan

  variables {
    documents = { "a/b.pem" = "" }
  }

  expect_failures = [var.documents]
}
