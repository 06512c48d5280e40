locals {
  # Each calls somebody as soon as its filter finds one entry. The text says what to do first.
  alerts = {
    errors = {
      severity = "ERROR"
      title    = "a human must act"
      text     = "The function met a fault that time does not heal: a right, a key version or the configuration. The record's message says which."
    }
    foreign_certificates = {
      severity = "CRITICAL"
      title    = "a CSR holds a certificate that its issuer did not sign"
      text     = "Somebody but the function may write the status of our CSRs. Find out who in the API server's audit log, by the record's csr_uid; take the right away; replace the pod's certificate. After a change of the CA, duplicates of events that were under way are found here, too."
    }
    foreign_key_use = {
      severity = "CRITICAL"
      title    = "a principal other than the function used a key"
      text     = "If the CA administrator ran `signerctl ca`, the entry's reason starts with signerctl= and its hash stands in that command's --audit-log: compare them with `signerctl reconcile` (docs/audit.md). Otherwise remove the principal's right on the key first, which works within minutes; disabling the key version may take hours. If Cloud KMS gave a signature, treat the CA as compromised: docs/ca.md."
    }
    issuer_expiry = {
      severity = "WARNING"
      title    = "a CA ends soon"
      text     = "Rotate it: docs/ca.md, step by step. Certificates that would outlive the CA are cut short."
    }
    key_administration = {
      severity = "WARNING"
      title    = "a key, its IAM policy or its logging was changed"
      text     = "Was it you, with Terraform? If not, find out who in the entry's principalEmail, and restore what Terraform says."
    }
    refused_attack = {
      severity = "WARNING"
      title    = "a request of the shape of an attack was refused"
      text     = "Nothing was issued. The record names the requester, its pod and every broken rule: look at that pod. docs/refusals.md explains the codes."
    }
    undelivered = {
      severity = "ERROR"
      title    = "CSRs wait for the function"
      text     = "The oldest has waited for ${var.undelivered_seconds} s or more; Calico's pods give up after 90 s. The exporter's log says what the function answers, or why it is not reached."
    }
    unexplained_signatures = {
      severity = "CRITICAL"
      title    = "a signature under the function's name explains nothing"
      text     = "The function names CSR and hash with each signature. This one does not: somebody has the function's identity. Remove its right on the key first."
    }
  }

  # Metrics of a bucket are written for this resource.
  metric_filters = {
    for name, metric in google_logging_metric.audit :
    name => "metric.type=\"logging.googleapis.com/user/${metric.name}\" AND resource.type=\"logging_bucket\""
  }

  # The labels by which a metric's incidents are told apart.
  series = { for name, metric in local.metrics : name => [for label in sort(keys(metric.labels)) : "metric.label.${label}"] }

  # An intent without an outcome explains at most this many requests. The function asks Cloud KMS more often only while
  # Cloud KMS does not answer.
  attempts_per_open_intent = 10

  # A run at minute 0 does not look at signatures of the ten minutes around it, nor one at minute 30: each is looked at
  # by one of them at least.
  reconciliations = {
    "on the hour" = { offset = 0, minutes = "BETWEEN '10' AND '49'" }
    "half past"   = { offset = 30, minutes = "NOT BETWEEN '20' AND '39'" }
  }
}

resource "google_monitoring_alert_policy" "found" {
  for_each = local.alerts

  project               = var.audit_project
  display_name          = "CSR signer: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = var.notification_channels

  conditions {
    display_name = each.value.title

    condition_threshold {
      filter          = local.metric_filters[each.key]
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        # An incident for each: one that is open, which a harmless attack can bring about, hides none of another kind.
        group_by_fields = local.series[each.key]
      }
    }
  }

  documentation {
    content   = "${each.value.text}\n\nThe entries:\n\n```\n${local.filters[each.key]}```\n"
    mime_type = "text/markdown"
  }

  # What happened once writes no second point that could end the incident.
  alert_strategy {
    auto_close = "86400s"
  }

  depends_on = [time_sleep.metrics]
}

resource "google_monitoring_alert_policy" "signatures_per_pod" {
  project               = var.audit_project
  display_name          = "CSR signer: many signatures for one pod"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = var.notification_channels

  conditions {
    display_name = "more than ${var.signatures_per_pod_and_hour} in an hour"

    condition_threshold {
      filter          = local.metric_filters["intents"]
      comparison      = "COMPARISON_GT"
      threshold_value = var.signatures_per_pod_and_hour
      duration        = "0s"

      aggregations {
        alignment_period     = "3600s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["metric.label.cluster", "metric.label.pod"]
      }
    }
  }

  documentation {
    content   = "A pod that restarts again and again, or one that somebody uses to collect certificates. The incident names it."
    mime_type = "text/markdown"
  }

  depends_on = [time_sleep.metrics]
}

resource "google_monitoring_alert_policy" "failing" {
  project               = var.audit_project
  display_name          = "CSR signer: a tenth of what should be issued fails"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels

  conditions {
    display_name = "failures among certificates and failures of half an hour, for ten minutes"

    condition_threshold {
      filter = local.metric_filters["failures"]
      # Not among all records: whoever files CSRs that are refused could make as many as would hide the failures.
      denominator_filter = "${local.metric_filters["records"]} AND metric.label.event=one_of(\"issued\", \"abandoned\", \"fault\")"
      comparison         = "COMPARISON_GT"
      threshold_value    = 0.1
      duration           = "600s"

      aggregations {
        alignment_period     = "1800s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }

      denominator_aggregations {
        alignment_period     = "1800s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    content   = "Cloud KMS, an API server or the configuration fails for many. The records' messages say which.\n\n```\n${local.filters["failures"]}```\n"
    mime_type = "text/markdown"
  }

  depends_on = [time_sleep.metrics]
}

resource "google_monitoring_alert_policy" "silent" {
  count = length(var.exporter_projects) > 0 ? 1 : 0

  project               = var.audit_project
  display_name          = "CSR signer: a cluster's exporters give no sign of life"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels

  conditions {
    display_name = "none for ten minutes"

    condition_absent {
      filter   = local.metric_filters["exporter_status"]
      duration = "600s"

      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = local.series["exporter_status"]
      }
    }
  }

  documentation {
    content   = "No exporter of this cluster runs, or its log does not arrive: `kubectl -n ${var.exporter_namespace} get pods`. New pods get no certificates meanwhile."
    mime_type = "text/markdown"
  }

  depends_on = [time_sleep.metrics]
}

resource "google_monitoring_alert_policy" "unrecorded_signatures" {
  project               = var.audit_project
  display_name          = "CSR signer: a signature that no record explains"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = var.notification_channels

  dynamic "conditions" {
    for_each = local.reconciliations

    content {
      display_name = "looked for ${conditions.key}"

      condition_sql {
        query = templatefile("${path.module}/unrecorded_signatures.sql", {
          attempts                 = local.attempts_per_open_intent
          function_service_account = var.function_service_account
          minutes                  = conditions.value.minutes
          view                     = "${var.audit_project}.${var.location}.${google_logging_project_bucket_config.audit.bucket_id}._AllLogs"
        })

        hourly {
          periodicity   = 1
          minute_offset = conditions.value.offset
        }

        row_count_test {
          comparison = "COMPARISON_GT"
          threshold  = 0
        }
      }
    }
  }

  documentation {
    content   = "Another program signs with the function's identity: a reason has no record, or Cloud KMS logged more requests for it than the function recorded attempts. Remove the function's right on the key first. Then `signerctl reconcile` lists these signatures: docs/audit.md."
    mime_type = "text/markdown"
  }

  depends_on = [google_logging_linked_dataset.audit]
}
