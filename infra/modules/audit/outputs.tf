output "bucket" {
  description = "The log bucket's full name."
  value       = google_logging_project_bucket_config.audit.id
}

output "filters" {
  description = "All filters; paste one into the Logs Explorer, with the bucket as its scope."
  value       = local.filters
}

output "view" {
  description = "The SQL name of the view of all records."
  value       = "${var.audit_project}.${var.location}.${google_logging_project_bucket_config.audit.bucket_id}._AllLogs"
}
