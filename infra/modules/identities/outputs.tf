output "email" {
  description = "The Google service account that calls the function."
  value       = local.email
}

output "member" {
  description = "The same service account as an IAM member."
  value       = "serviceAccount:${local.email}"
}

output "principal" {
  description = "The principal that may create ID tokens of the service account: the exporter's Kubernetes service account."
  value       = local.principal
}

output "sts_audience" {
  description = "Audience of the exchange at Google's STS, `sts_audience` of the exporter's configuration."
  value       = var.gke == null ? local.provider : "identitynamespace:${local.gke_pool}:${local.gke_url}"
}

output "token_audience" {
  description = "Audience of the projected service account token."
  value       = var.gke == null ? local.provider : local.gke_pool
}
