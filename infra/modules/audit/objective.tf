# 99.9 % of certificates reach their CSR within 30 s of its creation, over four weeks.

resource "google_monitoring_custom_service" "signer" {
  project      = var.audit_project
  service_id   = var.name
  display_name = var.name
  user_labels  = var.labels

  depends_on = [google_project_service.audit]
}

resource "google_monitoring_slo" "issued_in_time" {
  project             = var.audit_project
  service             = google_monitoring_custom_service.signer.service_id
  slo_id              = "issued-in-time"
  display_name        = "${var.name}: 99.9 % issued within ${local.objective_seconds} s of creation"
  goal                = 0.999
  rolling_period_days = 28
  user_labels         = var.labels

  request_based_sli {
    good_total_ratio {
      good_service_filter  = local.metric_filters["issued_in_time"]
      total_service_filter = local.metric_filters["issued_or_too_late"]
    }
  }

  lifecycle {
    # The provider's import does not set the service, and would replace the objective.
    ignore_changes       = [service]
    replace_triggered_by = [google_monitoring_custom_service.signer.service_id]
  }

  depends_on = [time_sleep.metrics]
}

locals {
  # The speed at which the error budget of four weeks runs out: a fiftieth in one hour, or a twentieth in six hours.
  burn_rates = {
    fast = { lookback = "3600s", threshold = 13.4, severity = "ERROR" }
    slow = { lookback = "21600s", threshold = 5.6, severity = "WARNING" }
  }
}

resource "google_monitoring_alert_policy" "objective" {
  for_each = local.burn_rates

  project               = var.audit_project
  display_name          = "${var.name}: certificates come too late (${each.key})"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "burn rate over ${each.value.lookback}"

    condition_threshold {
      filter          = "select_slo_burn_rate(\"${google_monitoring_slo.issued_in_time.name}\", \"${each.value.lookback}\")"
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.threshold
      duration        = "0s"
    }
  }

  documentation {
    content   = "Certificates reach their CSRs later than ${local.objective_seconds} s after creation. The dashboard shows the start of the problem. The records' age_seconds and kms_milliseconds show the slow step."
    mime_type = "text/markdown"
  }
}
