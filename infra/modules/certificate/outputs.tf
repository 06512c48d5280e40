output "not_after" {
  description = "The end of the first certificate, RFC 3339; null if there is no readable certificate."
  value       = local.not_after
}
