mock_provider "google" {}

variables {
  key_ring = "csr-signer"
  keys     = { prod-calico = { algorithm = "EC_SIGN_P384_SHA384", protection_level = "HSM" } }
  location = "europe-west1"
  project  = "example-keys"
  signers  = ["serviceAccount:csr-signer@example-signer.iam.gserviceaccount.com"]
}

run "created" {
  command = plan

  assert {
    condition     = length(google_kms_crypto_key_iam_member.sign) == 1 && length(google_kms_crypto_key_iam_member.read_public_key) == 1
    error_message = "each signer may sign, and read the public key"
  }

  assert {
    condition     = length(google_kms_crypto_key_iam_member.sign_raw) == 0
    error_message = "no principal may sign its own DigestInfo"
  }

  assert {
    condition     = coalesce(google_kms_crypto_key.this["prod-calico"].skip_initial_version_creation, false) == false
    error_message = "Terraform creates version 1 with the key"
  }
}

run "only_the_function_signs" {
  command = plan

  assert {
    condition     = length(google_kms_crypto_key_iam_member.administrator) == 0
    error_message = "without an administrator, only the function may use the key"
  }
}

run "the_administrators_grant_expires" {
  command = plan

  variables {
    administrator = { member = "user:ca-administrator@example.com", until = "2026-12-01T00:00:00Z" }
  }

  assert {
    condition = alltrue([
      for grant in google_kms_crypto_key_iam_member.administrator :
      grant.member == "user:ca-administrator@example.com" && one(grant.condition).expression == "request.time < timestamp(\"2026-12-01T00:00:00Z\")"
    ])
    error_message = "each grant of the administrator expires"
  }

  assert {
    condition     = toset([for grant in google_kms_crypto_key_iam_member.administrator : grant.role]) == toset(["roles/cloudkms.signer", "roles/cloudkms.publicKeyViewer"])
    error_message = "the administrator may sign and read the public key"
  }
}

run "raw" {
  command = plan

  variables {
    administrator = { member = "user:ca-administrator@example.com", until = "2026-12-01T00:00:00Z" }
    existing_keys = ["projects/example-keys/locations/europe-west1/keyRings/other/cryptoKeys/raw"]
    raw_keys      = ["projects/example-keys/locations/europe-west1/keyRings/other/cryptoKeys/raw"]
  }

  assert {
    condition     = toset([for grant in google_kms_crypto_key_iam_member.sign_raw : grant.crypto_key_id]) == toset(["projects/example-keys/locations/europe-west1/keyRings/other/cryptoKeys/raw"])
    error_message = "only the raw key has the additional grant"
  }

  assert {
    condition     = [for grant in google_kms_crypto_key_iam_member.administrator : grant.crypto_key_id if grant.role == "roles/cloudkms.expertRawPKCS1"] == ["projects/example-keys/locations/europe-west1/keyRings/other/cryptoKeys/raw"]
    error_message = "the administrator gets the additional grant too"
  }
}

run "keys_of_one_name_in_two_rings" {
  command = plan

  variables {
    existing_keys = ["projects/example-keys/locations/europe-west1/keyRings/other/cryptoKeys/prod-calico", "projects/example-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/prod-calico"]
  }

  assert {
    condition     = length(google_kms_crypto_key_iam_member.sign) == 2
    error_message = "two keys each have one signing principal; a created key that is also named counts once"
  }
}

run "single_tenant_key" {
  command = plan

  variables {
    keys = { prod-calico = { algorithm = "EC_SIGN_P384_SHA384", protection_level = "HSM_SINGLE_TENANT" } }
  }

  expect_failures = [var.keys]
}

run "all_users_as_signer" {
  command = plan

  variables {
    signers = ["allUsers"]
  }

  expect_failures = [var.signers]
}

run "a_key_of_another_project" {
  command = plan

  variables {
    existing_keys = ["projects/other-keys/locations/europe-west1/keyRings/r/cryptoKeys/k"]
  }

  expect_failures = [var.existing_keys]
}

run "an_algorithm_that_kubernetes_cannot_verify" {
  command = plan

  variables {
    keys = { prod-calico = { algorithm = "EC_SIGN_SECP256K1_SHA256", protection_level = "HSM" } }
  }

  expect_failures = [var.keys]
}

run "a_location_without_hsm" {
  command = plan

  variables {
    location = "global"
  }

  expect_failures = [var.location]
}

run "retired_key" {
  command = plan

  variables {
    retired_keys = { old-calico = { algorithm = "EC_SIGN_P384_SHA384", protection_level = "HSM" } }
  }

  assert {
    condition     = toset(keys(google_kms_crypto_key.this)) == toset(["old-calico", "prod-calico"])
    error_message = "the key stays"
  }

  assert {
    condition     = !strcontains(jsonencode([for grants in [google_kms_crypto_key_iam_member.sign, google_kms_crypto_key_iam_member.read_public_key, google_kms_crypto_key_iam_member.administrator] : keys(grants)]), "old-calico")
    error_message = "no principal may use it"
  }
}

run "key_that_is_retired_and_in_use" {
  command = plan

  variables {
    retired_keys = { prod-calico = { algorithm = "EC_SIGN_P384_SHA384", protection_level = "HSM" } }
  }

  expect_failures = [var.retired_keys]
}
