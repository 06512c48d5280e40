resource "google_kms_key_ring" "this" {
  project  = var.project
  location = var.location
  name     = var.key_ring
}

# Deleting a key destroys all its versions, and with them the CA of every certificate. Its name can never be used again.
resource "google_kms_crypto_key" "this" {
  for_each = merge(var.retired_keys, var.keys)

  key_ring                   = google_kms_key_ring.this.id
  name                       = each.key
  purpose                    = "ASYMMETRIC_SIGN"
  destroy_scheduled_duration = "2592000s" # 30 days to undo a mistake
  labels                     = var.labels

  # Cloud KMS does not rotate asymmetric keys, so there is no rotation_period. A new version needs a new CA certificate first.
  version_template {
    algorithm        = each.value.algorithm
    protection_level = each.value.protection_level
  }

  lifecycle {
    prevent_destroy = true
  }
}

locals {
  parent = "projects/${google_kms_key_ring.this.project}/locations/${google_kms_key_ring.this.location}/keyRings/${google_kms_key_ring.this.name}"
  # These names come from the configuration, so that a plan shows them before the keys exist.
  created = { for name, key in google_kms_crypto_key.this : name => "${local.parent}/cryptoKeys/${key.name}" if contains(keys(var.keys), name) }

  # The grants are on keys, never on the ring or project: keys that are added later must not become this function's keys.
  # The index has a key's short name for this ring, and its full name for another ring, which may have keys of the same name.
  users = {
    for pair in setproduct(distinct(concat(values(local.created), sort(var.existing_keys), sort(var.leaving_keys))), sort(var.signers)) :
    "${trimprefix(pair[0], "${local.parent}/cryptoKeys/")} ${pair[1]}" => { key = pair[0], member = pair[1] }
  }
  administrator_grants = var.administrator == null ? {} : merge([
    for key in distinct(concat(values(local.created), sort(var.existing_keys))) : {
      for role in concat(["roles/cloudkms.signer", "roles/cloudkms.publicKeyViewer"], contains(var.raw_keys, key) ? ["roles/cloudkms.expertRawPKCS1"] : []) :
      "${trimprefix(key, "${local.parent}/cryptoKeys/")} ${role}" => { key = key, role = role }
    }
  ]...)
}

resource "google_kms_crypto_key_iam_member" "sign" {
  for_each = local.users

  crypto_key_id = each.value.key
  role          = "roles/cloudkms.signer"
  member        = each.value.member

  depends_on = [google_kms_crypto_key.this]
}

resource "google_kms_crypto_key_iam_member" "read_public_key" {
  for_each = local.users

  crypto_key_id = each.value.key
  role          = "roles/cloudkms.publicKeyViewer"
  member        = each.value.member

  depends_on = [google_kms_crypto_key.this]
}

# The CA administrator may sign only while it makes a CA certificate. The grant expires, so that a thief of its credentials
# cannot sign later.
resource "google_kms_crypto_key_iam_member" "administrator" {
  for_each = local.administrator_grants

  crypto_key_id = each.value.key
  role          = each.value.role
  member        = var.administrator.member

  condition {
    title       = "until ${var.administrator.until}"
    description = "For making a CA certificate; the variable ca_administrator_until renews it."
    expression  = "request.time < timestamp(\"${var.administrator.until}\")"
  }

  depends_on = [google_kms_crypto_key.this]
}

# The right to sign any DigestInfo that the caller supplies. Only raw keys need it; no default key is raw.
resource "google_kms_crypto_key_iam_member" "sign_raw" {
  for_each = { for name, user in local.users : name => user if contains(var.raw_keys, user.key) }

  crypto_key_id = each.value.key
  role          = "roles/cloudkms.expertRawPKCS1"
  member        = each.value.member

  depends_on = [google_kms_crypto_key.this]
}
