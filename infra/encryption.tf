# Encryption at rest with a key of your own. Each service encrypts as its own service agent, which Google creates at the
# first use of the service; Terraform asks for the agents earlier, because they need the right on the key first.
locals {
  encrypting = var.encryption_key == null ? [] : concat(
    ["run"],
    var.image == null ? ["artifactregistry", "cloudfunctions"] : [],
    local.mounted ? ["secretmanager"] : [],
  )
  # The function's source is in buckets, ours and Google's. Cloud Storage's agent has an API of its own.
  stores = var.encryption_key != null && var.image == null
}

resource "google_project_service_identity" "encrypting" {
  provider = google-beta
  for_each = toset(local.encrypting)

  project = var.project
  service = "${each.value}.googleapis.com"

  depends_on = [google_project_service.this]
}

data "google_storage_project_service_account" "this" {
  count = local.stores ? 1 : 0

  project = var.project

  depends_on = [google_project_service.this]
}

# Until 0.2.0, the key was not in the index: a change of the key and back would have taken the right away.
removed {
  from = google_kms_crypto_key_iam_member.encrypt

  lifecycle {
    destroy = false
  }
}

resource "google_kms_crypto_key_iam_member" "use_encryption_key" {
  for_each = { for service in concat(local.encrypting, local.stores ? ["storage"] : []) : "${var.encryption_key} ${var.project} ${service}" => service }

  crypto_key_id = var.encryption_key
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = each.value == "storage" ? data.google_storage_project_service_account.this[0].member : google_project_service_identity.encrypting[each.value].member

  lifecycle {
    # With another key, or without one, the old right goes last, because its users need it until then. The index has all that
    # a grant consists of: otherwise the new one could be the old one, which Terraform then deletes.
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
  triggers        = { agents = join(" ", sort(local.encrypting)), key = var.encryption_key }

  depends_on = [google_kms_crypto_key_iam_member.use_encryption_key]
}
