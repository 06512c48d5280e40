output "bucket" {
  description = "The log bucket's full name."
  value       = google_logging_project_bucket_config.audit.id
}

output "filters" {
  description = "Every filter, to be pasted into the Logs Explorer with the bucket as its scope."
  value       = local.filters
}

output "view" {
  description = "The view of all records, as SQL names it."
  value       = "${var.audit_project}.${var.location}.${google_logging_project_bucket_config.audit.bucket_id}._AllLogs"
}
