# Compares Cloud KMS's log with the records in SQL, twice an hour.

locals {
  # An intent without an outcome explains at most this many requests. The function sends more only if Cloud KMS does not
  # answer.
  attempts_per_open_intent = 10

  # A run sees the 60 minutes before its offset. It ignores signatures of the first and last ten of them, because their
  # records may be outside; the other run checks these. An offset must not be 0: the provider leaves a 0 out, and Google
  # then chooses an offset.
  reconciliations = {
    early = { offset = 5, minutes = "BETWEEN '15' AND '54'" }
    late  = { offset = 35, minutes = "NOT BETWEEN '25' AND '44'" }
  }
}

# Cloud Monitoring runs the SQL as this service agent, which a new project does not have yet. Google requires both grants.
resource "google_project_service_identity" "monitoring" {
  provider = google-beta

  project = var.audit_project
  service = "monitoring.googleapis.com"

  depends_on = [google_project_service.audit]
}

resource "google_project_iam_member" "monitoring" { # Another deployment may need it: docs/install.md, Uninstall.
  project = var.audit_project
  role    = "roles/monitoring.notificationServiceAgent"
  member  = google_project_service_identity.monitoring.member

  # All deployments with this audit project share it.
  lifecycle {
    prevent_destroy = true
  }
}

resource "google_bigquery_dataset_iam_member" "monitoring" {
  project    = var.audit_project
  dataset_id = google_logging_linked_dataset.audit.link_id
  role       = "roles/bigquery.dataViewer"
  member     = google_project_service_identity.monitoring.member
}

# Grants take effect after a delay.
resource "time_sleep" "monitoring" {
  create_duration = "120s"
  triggers        = { member = google_project_service_identity.monitoring.member }

  depends_on = [google_bigquery_dataset_iam_member.monitoring, google_project_iam_member.monitoring]
}

# Google allows one condition in an SQL policy.
resource "google_monitoring_alert_policy" "unrecorded_signatures" {
  for_each = local.reconciliations

  project               = var.audit_project
  display_name          = "${var.name}: a signature without a record (${each.key})"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "checked at minute ${each.value.offset} of each hour"

    condition_sql {
      query = templatefile("${path.module}/unrecorded_signatures.sql", {
        attempts                 = local.attempts_per_open_intent
        function_service_account = var.function_service_account
        minutes                  = each.value.minutes
        view                     = "${var.audit_project}.${var.location}.${google_logging_project_bucket_config.audit.bucket_id}._AllLogs"
      })

      hourly {
        periodicity   = 1
        minute_offset = each.value.offset
      }

      row_count_test {
        comparison = "COMPARISON_GT"
        threshold  = 0
      }
    }
  }

  documentation {
    content   = "Another program signs with the function's identity: a reason has no record, or Cloud KMS logged more requests for it than the function recorded attempts. Remove the function's right on the key first. Then `signerctl reconcile` lists these signatures: docs/audit.md."
    mime_type = "text/markdown"
  }

  depends_on = [time_sleep.monitoring]
}
