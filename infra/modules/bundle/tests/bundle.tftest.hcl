mock_provider "archive" {}

variables {
  documents     = { "configuration.yaml" = "clusters: {}\n", "prod-ca.pem" = "-----BEGIN CERTIFICATE-----\n" }
  name          = "csr-signer"
  source_folder = "../../../function"
}

run "planned" {
  command = plan

  assert {
    condition     = can(regex("^csr-signer-[0-9a-f]{64}\\.zip$", output.name)) && endswith(data.archive_file.this.output_path, output.name)
    error_message = "the zip's name holds the hash of its files"
  }
}

run "document_in_another_folder" {
  command = plan

  variables {
    documents = { "csr_signer/service.py" = "" }
  }

  expect_failures = [var.documents]
}

run "source_that_does_not_exist" {
  command = plan

  variables {
    source_folder = "../../../docs"
  }

  expect_failures = [var.source_folder]
}
