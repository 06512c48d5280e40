# Terraform never disables these APIs again, because other workloads may use them by then.
resource "google_project_service" "audit" {
  for_each = toset(["bigquery", "logging", "monitoring"])

  project            = var.audit_project
  service            = "${each.value}.googleapis.com"
  disable_on_destroy = false
}

# Cloud Logging encrypts the bucket as its own service agent of this project.
data "google_logging_project_cmek_settings" "audit" {
  count = var.encryption_key == null ? 0 : 1

  project = var.audit_project

  depends_on = [google_project_service.audit]
}

# Terraform's error shows the next line, with its comment.
resource "google_kms_crypto_key_iam_member" "encrypt" { # A log bucket keeps its key: set audit.encryption_key to it, docs/upgrade.md.
  count = var.encryption_key == null ? 0 : 1

  crypto_key_id = var.encryption_key
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:${data.google_logging_project_cmek_settings.audit[0].service_account_id}"

  # The agent stays the same, but a plan that enables an API does not know it, and would replace the grant: meanwhile Cloud
  # Logging could not write.
  lifecycle {
    ignore_changes = [member]
    # Google removes no key from a log bucket. Without this right, the audit trail could neither be written nor read.
    prevent_destroy = true
  }
}

# Grants take effect after a delay.
resource "time_sleep" "encryption" {
  count = var.encryption_key == null ? 0 : 1

  create_duration = "60s"
  triggers        = { key = var.encryption_key }

  depends_on = [google_kms_crypto_key_iam_member.encrypt]
}

resource "google_logging_project_bucket_config" "audit" {
  project        = var.audit_project
  location       = var.location
  bucket_id      = "${var.name}-audit"
  description    = "Audit records of the CSR signer ${var.name}, and every use of its keys."
  retention_days = var.retention_days
  locked         = var.locked

  # An alert compares signatures with records in SQL. You cannot disable analytics again.
  enable_analytics = true

  dynamic "cmek_settings" {
    for_each = var.encryption_key[*]

    content {
      kms_key_name = cmek_settings.value
    }
  }

  # Prevents accidental loss of the only evidence. To destroy the bucket, remove this line first.
  lifecycle {
    prevent_destroy = true
  }

  depends_on = [google_project_service.audit, time_sleep.encryption]
}

# Alert policies run their SQL in BigQuery, which reads the bucket through this dataset.
resource "google_logging_linked_dataset" "audit" {
  # Not the attribute id: after the loss of the state, a plan does not know it, and would replace the imported dataset.
  bucket      = "projects/${google_logging_project_bucket_config.audit.project}/locations/${google_logging_project_bucket_config.audit.location}/buckets/${google_logging_project_bucket_config.audit.bucket_id}"
  link_id     = replace(google_logging_project_bucket_config.audit.bucket_id, "-", "_")
  description = "Read-only view of the log bucket ${google_logging_project_bucket_config.audit.bucket_id}."
}
