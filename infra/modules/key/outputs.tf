output "keys" {
  description = "Full names of the created keys, by name."
  value       = local.created
}
