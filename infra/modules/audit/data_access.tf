# Signatures are data access, which is logged only where somebody asks for it. This is authoritative for the service in
# this project: it removes exemptions that somebody made for it, and with them a way to sign unseen. An exemption at the
# folder or the organisation is not seen here.
resource "google_project_iam_audit_config" "kms" {
  project = var.key_project
  service = "cloudkms.googleapis.com"

  dynamic "audit_log_config" {
    for_each = toset(["ADMIN_READ", "DATA_READ", "DATA_WRITE"])

    content {
      log_type = audit_log_config.value
    }
  }
}
