output "not_after" {
  description = "When the first certificate ends, RFC 3339; null where there is none that can be read."
  value       = local.not_after
}
