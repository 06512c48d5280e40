locals {
  key_location = coalesce(var.key_location, var.location)

  ring = "projects/${var.key_project}/locations/${local.key_location}/keyRings/${var.key_ring}"

  # A signer has its own key, unless key_version names another key. A later version of its own key is allowed too.
  own_keys = { for name, signer in var.signers : name => signer if signer.key_version == null || startswith(coalesce(signer.key_version, "-"), "${local.ring}/cryptoKeys/${name}/") }

  key_versions = {
    for name, signer in var.signers : name => signer.key_version != null ? signer.key_version : "${local.ring}/cryptoKeys/${name}/cryptoKeyVersions/1"
  }
  crypto_keys       = toset([for version in values(local.key_versions) : split("/cryptoKeyVersions/", version)[0]])
  retired_key_names = { for name, signer in var.retired_signers : name => split("/cryptoKeyVersions/", coalesce(signer.key_version, "${local.ring}/cryptoKeys/${name}"))[0] }
  audited_keys      = setunion(local.crypto_keys, values(local.retired_key_names))
  retired_keys      = { for name, signer in var.retired_signers : name => signer if startswith(coalesce(signer.key_version, "${local.ring}/cryptoKeys/${name}/"), "${local.ring}/cryptoKeys/${name}/") }
  # Two signers of one cluster can share a key: the first owns it, the second names its version.
  existing_keys = setsubtract(local.crypto_keys, [for name in keys(local.own_keys) : "${local.ring}/cryptoKeys/${name}"])
}

module "key" {
  source = "./modules/key"

  project       = var.key_project
  location      = local.key_location
  key_ring      = var.key_ring
  existing_keys = local.existing_keys
  keys          = { for name, signer in local.own_keys : name => { algorithm = signer.key_algorithm, protection_level = signer.protection_level } }
  labels        = var.labels
  leaving_keys  = toset([for name in keys(var.retired_signers) : local.retired_key_names[name] if var.retired_signers[name].signs])
  retired_keys  = { for name, signer in local.retired_keys : name => { algorithm = signer.key_algorithm, protection_level = signer.protection_level } }
  raw_keys = toset(concat(
    [for name, signer in var.signers : split("/cryptoKeyVersions/", local.key_versions[name])[0] if startswith(signer.key_algorithm, "RSA_SIGN_RAW_")],
    [for name, signer in var.retired_signers : local.retired_key_names[name] if startswith(signer.key_algorithm, "RSA_SIGN_RAW_")],
  ))
  # Only these two may sign.
  signers       = [local.function_member]
  administrator = var.ca_administrator_until == null ? null : { member = var.ca_administrator, until = var.ca_administrator_until }

  # No principal may use a key before Cloud KMS records its use and an alert watches it.
  depends_on = [google_project_service.this, module.audit]
}
