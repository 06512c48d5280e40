# Never disabled again: something else in the project may have come to need it.
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
  description    = "Audit records of the CSR signer, and of every use of its keys."
  retention_days = var.retention_days
  locked         = var.locked

  # What compares signatures with records is SQL. It cannot be switched off again.
  enable_analytics = true

  # By accident nobody destroys the only evidence. Who means to takes this line out first.
  lifecycle {
    prevent_destroy = true
  }

  depends_on = [google_project_service.audit]
}

# SQL of alert policies runs in BigQuery, which sees the bucket through this.
resource "google_logging_linked_dataset" "audit" {
  bucket      = google_logging_project_bucket_config.audit.id
  link_id     = "csr_signer_audit"
  description = "Read-only view of the log bucket csr-signer-audit."
}
