locals {
  # Each alert opens as soon as its filter finds one entry. The text says what to do first.
  alerts = {
    errors = {
      severity = "ERROR"
      title    = "an operator must act"
      text     = "The function met a permanent fault, such as a missing right, a disabled key version or a wrong configuration. The record's message names it."
    }
    foreign_certificates = {
      severity = "CRITICAL"
      title    = "a CSR holds a certificate that its issuer did not sign"
      text     = "Another principal than the function can write the status of our CSRs. Find it in the API server's audit log by the record's csr_uid, remove its right, and replace the pod's certificate. Directly after a change of the CA, duplicate events can cause this alert too."
    }
    foreign_key_use = {
      severity = "CRITICAL"
      title    = "a principal other than the function used a key"
      text     = "If the CA administrator ran `signerctl ca`, the entry's reason starts with signerctl= and the command's --audit-log holds its hash: compare them with `signerctl reconcile` (docs/audit.md). Otherwise remove the principal's right on the key first: that takes minutes, while disabling the key version may take hours. If Cloud KMS gave a signature, treat the CA as compromised: docs/rotation.md."
    }
    issuer_expiry = {
      severity = "WARNING"
      title    = "a CA expires soon"
      text     = "Rotate it: docs/rotation.md, step by step. The function shortens certificates that would outlive the CA."
    }
    key_administration = {
      severity = "WARNING"
      title    = "a key, its IAM policy or its logging was changed"
      text     = "If you did not change it with Terraform, find the principal in the entry's principalEmail, and apply Terraform again."
    }
    key_pair_failed = {
      severity = "ERROR"
      title    = "a run of signerctl key-pairs failed"
      text     = "A run of `signerctl key-pairs` failed; the entry's message says why. The next run, within 15 minutes, repairs a transient failure, for example if a rollout replaced the pod. If runs keep failing, see docs/key-pairs.md: Goldmane does not start without a key pair, and fails when its certificate expires."
    }
    refused_attack = {
      severity = "WARNING"
      title    = "the function refused a request that looks like an attack"
      text     = "The function issued no certificate. The record names the requester, its pod and every violation: inspect that pod. docs/refusals.md explains the codes."
    }
    renewal_stopped = {
      severity = "ERROR"
      title    = "certificates that end soon are not renewed"
      text     = "A run of `signerctl renew` stopped, and evicts no other pod. The entry's message names the pod and what is missing; docs/renew.md says what to do. With the default, a third of the certificate's lifetime is left when the first run stops."
    }
    undelivered = {
      severity = "ERROR"
      title    = "CSRs wait for the function"
      text     = "The oldest CSR has waited for ${var.undelivered_seconds} s or more; Calico's pods give up after 90 s. The exporter's log shows the function's answers, or why the exporter cannot reach it."
    }
    unexplained_signatures = {
      severity = "CRITICAL"
      title    = "a signature with the function's identity names no CSR"
      text     = "The function names CSR and hash in each request to KMS. This request does not, so an attacker has the function's identity. Remove its right on the key first."
    }
  }

  # Cloud Logging writes a bucket's metrics with this resource type.
  metric_filters = {
    for name, metric in google_logging_metric.audit :
    name => "metric.type=\"logging.googleapis.com/user/${metric.name}\" AND resource.type=\"logging_bucket\""
  }

  # A metric has one incident per combination of these labels.
  series = { for name, metric in local.metrics : name => [for label in sort(keys(metric.labels)) : "metric.label.${label}"] }
}

resource "google_monitoring_alert_policy" "found" {
  for_each = local.alerts

  project               = var.audit_project
  display_name          = "${var.name}: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = var.notification_channels
  user_labels           = var.labels

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
        # One incident per label value: an attacker who keeps one incident open cannot hide another kind.
        group_by_fields = local.series[each.key]
      }
    }
  }

  documentation {
    content   = "${each.value.text}\n\nThe entries${local.short_filters[each.key] == local.filters[each.key] ? "" : ", also those of other keys"}:\n\n```\n${local.short_filters[each.key]}```\n"
    mime_type = "text/markdown"
  }

  # A single entry writes no second point that could close the incident.
  alert_strategy {
    auto_close = "86400s"
  }

  depends_on = [time_sleep.metrics]
}

resource "google_monitoring_alert_policy" "signatures_per_pod" {
  project               = var.audit_project
  display_name          = "${var.name}: many signatures for one pod"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = var.notification_channels
  user_labels           = var.labels

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
    content   = "The pod restarts repeatedly, or an attacker uses it to collect certificates. The incident names the pod."
    mime_type = "text/markdown"
  }

  depends_on = [time_sleep.metrics]
}

resource "google_monitoring_alert_policy" "failing" {
  project               = var.audit_project
  display_name          = "${var.name}: a tenth of the certificates fail"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "share of failures among certificates and failures in half an hour, for ten minutes"

    condition_threshold {
      filter = local.metric_filters["failures"]
      # The denominator leaves out refusals: otherwise a requester could hide failures behind many refused CSRs.
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
    content   = "Cloud KMS, an API server or the configuration causes failures for many CSRs. The records' messages name the cause.\n\n```\n${local.filters["failures"]}```\n"
    mime_type = "text/markdown"
  }

  depends_on = [time_sleep.metrics]
}

resource "google_monitoring_alert_policy" "silent" {
  count = length(var.exporter_projects) > 0 ? 1 : 0

  project               = var.audit_project
  display_name          = "${var.name}: a cluster's exporters send no status"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "no status for ten minutes"

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
    content   = "No exporter of this cluster runs, or its log does not arrive: `kubectl -n ${var.exporter_namespace} get pods`. Until an exporter runs, new pods get no certificates."
    mime_type = "text/markdown"
  }

  depends_on = [time_sleep.metrics]
}
