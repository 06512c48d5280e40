# Encryption at rest with a key of your own. Each service encrypts as its own service agent, which Google creates at the
# first use of the service; Terraform asks for the agents earlier, because they need the right on the key first.
# All of them get it, whether they build from source or mount secrets, so that a later change needs no other right.
locals {
  encrypting = var.encryption_key == null ? [] : ["artifactregistry", "cloudfunctions", "run", "secretmanager"]
}

resource "google_project_service_identity" "encrypting" {
  provider = google-beta
  for_each = toset(local.encrypting)

  project = var.project
  service = "${each.value}.googleapis.com"

  depends_on = [google_project_service.this]
}

data "google_storage_project_service_account" "this" {
  count = var.encryption_key == null ? 0 : 1

  project = var.project

  depends_on = [google_project_service.this]
}

resource "google_kms_crypto_key_iam_member" "encrypt" {
  # With another project, there are other agents.
  for_each = { for service in concat(local.encrypting, var.encryption_key == null ? [] : ["storage"]) : "${var.project} ${service}" => service if !contains(var.shared_projects, var.project) }

  crypto_key_id = var.encryption_key
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = each.value == "storage" ? data.google_storage_project_service_account.this[0].member : google_project_service_identity.encrypting[each.value].member

  lifecycle {
    # With another key, or without one, the old right goes last: until then, its users need it.
    create_before_destroy = true
    # The agents stay the same, but a plan that enables an API does not know Cloud Storage's, and would replace the grant:
    # meanwhile the bucket could not be read.
    ignore_changes = [member]
  }
}

# Grants take effect after a delay.
resource "time_sleep" "encryption" {
  count = var.encryption_key == null ? 0 : 1

  create_duration = "60s"
  triggers        = { key = var.encryption_key, project = var.project }

  depends_on = [google_kms_crypto_key_iam_member.encrypt]
}
