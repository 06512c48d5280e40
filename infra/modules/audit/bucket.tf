# Terraform never disables these APIs again, because other workloads may use them by then.
resource "google_project_service" "audit" {
  for_each = toset(["bigquery", "logging", "monitoring"])

  project            = var.audit_project
  service            = "${each.value}.googleapis.com"
  disable_on_destroy = false
}

resource "google_logging_project_bucket_config" "audit" {
  project        = var.audit_project
  location       = var.location
  bucket_id      = "csr-signer-audit"
  description    = "Audit records of the CSR signer, and every use of its keys."
  retention_days = var.retention_days
  locked         = var.locked

  # An alert compares signatures with records in SQL. You cannot disable analytics again.
  enable_analytics = true

  # Prevents accidental loss of the only evidence. To destroy the bucket, remove this line first.
  lifecycle {
    prevent_destroy = true
  }

  depends_on = [google_project_service.audit]
}

# Alert policies run their SQL in BigQuery, which reads the bucket through this dataset.
resource "google_logging_linked_dataset" "audit" {
  bucket      = google_logging_project_bucket_config.audit.id
  link_id     = "csr_signer_audit"
  description = "Read-only view of the log bucket csr-signer-audit."
}
