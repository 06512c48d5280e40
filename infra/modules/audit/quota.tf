# Warns before Cloud KMS refuses requests. Google counts the use of keys in their project, and Cloud Monitoring shows it here
# because this project's metrics scope includes that project.

resource "google_monitoring_monitored_project" "key" {
  count = var.link_key_project && var.key_project != var.audit_project ? 1 : 0

  metrics_scope = var.audit_project
  name          = var.key_project

  depends_on = [google_project_service.audit]
}

locals {
  quota_labels = "monitored_resource=\"consumer_quota\", service=\"cloudkms.googleapis.com\", project_id=\"${var.key_project}\""

  # Google writes a limit once a day, and the use each minute with a delay.
  quota_use   = "max_over_time(sum by (location, quota_metric) (increase(serviceruntime_googleapis_com:quota_rate_net_usage{${local.quota_labels}}[1m]))[5m:1m])"
  quota_limit = "min by (location, quota_metric) (last_over_time(serviceruntime_googleapis_com:quota_limit{${local.quota_labels}}[1d]))"
}

resource "google_monitoring_alert_policy" "quota" {
  project               = var.audit_project
  display_name          = "${var.name}: Cloud KMS's quota is nearly used up"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "more than 80 % of a quota in one minute"

    condition_prometheus_query_language {
      query               = "${local.quota_use} / ${local.quota_limit} > 0.8"
      duration            = "60s"
      evaluation_interval = "60s"
      # The metric exists only after the first use of a key.
      disable_metric_validation = true
    }
  }

  documentation {
    content   = "When the quota is used up, Cloud KMS may refuse requests: the function answers 429, the exporter slows down, and pods wait. Request more before you roll out many pods: IAM & Admin, Quotas, service cloudkms.googleapis.com, in the project ${var.key_project}."
    mime_type = "text/markdown"
  }

  depends_on = [google_monitoring_monitored_project.key]
}
