# The documents are not secret. Secret Manager lets Cloud Run mount them as files, and keeps a history and an audit log.
resource "google_secret_manager_secret" "this" {
  for_each = var.documents

  project   = var.project
  secret_id = "${var.name}-${var.location}-${replace(each.key, ".", "-")}"
  labels    = var.labels

  replication {
    user_managed {
      replicas {
        location = var.location

        dynamic "customer_managed_encryption" {
          for_each = var.encryption_key[*]

          content {
            kms_key_name = customer_managed_encryption.value
          }
        }
      }
    }
  }
}

resource "google_secret_manager_secret_version" "this" {
  for_each = var.documents

  secret      = google_secret_manager_secret.this[each.key].id
  secret_data = each.value

  lifecycle {
    # The serving revision mounts the old version until the new revision is ready.
    create_before_destroy = true
    # A version keeps the key that it was encrypted with.
    replace_triggered_by = [google_secret_manager_secret.this[each.key].replication]
  }
}

resource "google_secret_manager_secret_iam_member" "read" {
  for_each = var.documents

  project   = var.project
  secret_id = google_secret_manager_secret.this[each.key].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${var.service_account}"
}

# Grants take effect after a delay; a revision that starts earlier fails.
resource "time_sleep" "grants" {
  create_duration = "60s"
  triggers        = { documents = join(" ", sort(keys(var.documents))), location = var.location }

  depends_on = [google_secret_manager_secret_iam_member.read]
}
