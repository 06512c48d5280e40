# Key ring and keys outlive an uninstall and a lost state, and identity pools can be undeleted for 30 days. docs/recovery.md
# says when to use this. The log bucket needs no import: the provider adopts an existing one.
variable "adopt" {
  description = "What exists already and Terraform must adopt instead of creating it: key_ring (with the keys of signers and retired_signers), identity_pools. Give it on the command line, at the next apply only."
  type        = set(string)
  default     = []

  validation {
    condition     = length(setsubtract(var.adopt, ["identity_pools", "key_ring"])) == 0
    error_message = "adopt: Unsupported value: ${jsonencode(var.adopt)}: supported values: \"identity_pools\", \"key_ring\"."
  }
}

import {
  for_each = contains(var.adopt, "key_ring") ? module.signer.adoptable.key_rings : {}

  to = module.signer.module.key.google_kms_key_ring.this
  id = each.value
}

import {
  for_each = contains(var.adopt, "key_ring") ? module.signer.adoptable.keys : {}

  to = module.signer.module.key.google_kms_crypto_key.this[each.key]
  id = each.value
}

import {
  for_each = contains(var.adopt, "identity_pools") ? module.signer.adoptable.identity_pools : {}

  to = module.signer.module.identities[each.key].google_iam_workload_identity_pool.this[0]
  id = each.value
}

import {
  for_each = contains(var.adopt, "identity_pools") ? module.signer.adoptable.identity_pools : {}

  to = module.signer.module.identities[each.key].google_iam_workload_identity_pool_provider.this[0]
  id = "${each.value}/providers/cluster"
}
