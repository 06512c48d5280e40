# Signatures are data access, which Google logs only on request. This resource is authoritative for the service in this
# project: it removes exemptions, which would allow unlogged signatures. It cannot see an exemption at the folder or the
# organisation.
resource "google_project_iam_audit_config" "kms" { # Another deployment may need it: docs/install.md, Uninstall.
  project = var.key_project
  service = "cloudkms.googleapis.com"

  dynamic "audit_log_config" {
    for_each = toset(["ADMIN_READ", "DATA_READ", "DATA_WRITE"])

    content {
      log_type = audit_log_config.value
    }
  }

  # Without it, Cloud KMS records no signatures, also none of other deployments.
  lifecycle {
    prevent_destroy = true
  }
}
