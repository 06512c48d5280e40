# Finds runs of the CronJobs that died without an error in the log, in SQL, twice a day.

locals {
  # A query sees the 24 hours before it. It ignores runs that started less than eleven hours before it, because their end
  # may come later; the other query checks these.
  unfinished_runs = {
    morning = { hour = 5, hours = "BETWEEN '06' AND '17'" }
    evening = { hour = 17, hours = "NOT BETWEEN '06' AND '17'" }
  }
}

# Google allows one condition in an SQL policy.
resource "google_monitoring_alert_policy" "unfinished_runs" {
  for_each = { for name, each in local.unfinished_runs : name => each if length(var.exporter_projects) > 0 }

  project               = var.audit_project
  display_name          = "${var.name}: a run of signerctl died without an error in the log (${each.key})"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "checked at ${each.value.hour}:30 UTC each day"

    condition_sql {
      query = templatefile("${path.module}/unfinished_runs.sql", {
        hours = each.value.hours
        view  = "${var.audit_project}.${var.location}.${google_logging_project_bucket_config.audit.bucket_id}._AllLogs"
      })

      daily {
        periodicity = 1

        execution_time {
          hours   = each.value.hour
          minutes = 30
        }
      }

      row_count_test {
        comparison = "COMPARISON_GT"
        threshold  = 0
      }
    }
  }

  documentation {
    content   = "A run of the CronJob csr-renewal or csr-key-pairs started, and logged neither its end nor an error: `kubectl describe` its pod, which says OOMKilled if it exceeded its memory limit, or its node. While runs die, certificates are not renewed: docs/renew.md and docs/key-pairs.md."
    mime_type = "text/markdown"
  }

  depends_on = [time_sleep.monitoring]
}
