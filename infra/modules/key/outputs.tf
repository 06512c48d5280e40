output "keys" {
  description = "Full names of the created keys, by name."
  value       = local.created
}

output "users" {
  description = "Who may sign with what; known only when the grants are made, so that nothing signs before."
  value       = values(local.users)
  depends_on  = [google_kms_crypto_key_iam_member.sign, google_kms_crypto_key_iam_member.read_public_key, google_kms_crypto_key_iam_member.sign_raw]
}
