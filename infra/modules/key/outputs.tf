output "keys" {
  description = "Full names of the created keys, by name."
  value       = local.created
}

output "users" {
  description = "Which members may sign with which keys; known only after Terraform makes the grants, so that no caller signs earlier."
  value       = values(local.users)
  depends_on  = [google_kms_crypto_key_iam_member.sign, google_kms_crypto_key_iam_member.read_public_key, google_kms_crypto_key_iam_member.sign_raw]
}
