# These are the bucket's metrics and not a project's, so that they count the entries of all projects.

locals {
  metric_prefix = replace(var.name, "-", "_")

  # The cluster of an exporter's line: a silent cluster must not hide behind another one.
  of_cluster = {
    cluster  = "EXTRACT(resource.labels.cluster_name)"
    location = "EXTRACT(resource.labels.location)"
    project  = "EXTRACT(resource.labels.project_id)"
  }

  metrics = {
    errors = {
      description = "Records for which an operator must act."
      labels      = { event = "EXTRACT(jsonPayload.event)" }
    }
    exporter_status = {
      description = "Status lines of exporters."
      labels      = local.of_cluster
    }
    failures = {
      description = "Records of failures, without refusals."
      labels      = { event = "EXTRACT(jsonPayload.event)" }
    }
    foreign_certificates = {
      description = "CSRs that hold a certificate which their issuer did not sign."
      labels      = { cluster = "EXTRACT(jsonPayload.cluster)" }
    }
    foreign_key_use = {
      description = "Uses of a key by other principals than the function."
      labels = {
        principal = "EXTRACT(protoPayload.authenticationInfo.principalEmail)"
        # Each use by the CA administrator has its own reason, so that its incident does not hide a later use.
        reason = "EXTRACT(protoPayload.requestMetadata.requestAttributes.reason)"
      }
    }
    intents = {
      description = "Intents to sign, by pod."
      labels      = { cluster = "EXTRACT(jsonPayload.cluster)", pod = "EXTRACT(jsonPayload.pod)" }
    }
    issued = {
      description = "Certificates that reached their CSR, by seconds since its creation."
      labels      = { cluster = "EXTRACT(jsonPayload.cluster)", signer_name = "EXTRACT(jsonPayload.signer_name)" }
      value       = "EXTRACT(jsonPayload.age_seconds)"
    }
    issued_in_time = {
      description = "Certificates that reached their CSR in time."
      labels      = {}
    }
    issued_or_too_late = {
      description = "Certificates, and requests that came too late for one."
      labels      = {}
    }
    issuer_expiry = {
      description = "CAs that must be rotated."
      labels      = { key_version = "EXTRACT(jsonPayload.key_version)" }
    }
    key_administration = {
      description = "Changes of keys, of their IAM policies, and of their logging."
      labels = {
        method    = "EXTRACT(protoPayload.methodName)"
        principal = "EXTRACT(protoPayload.authenticationInfo.principalEmail)"
      }
    }
    key_pair_failed = {
      description = "Entries of failed runs of the CronJob csr-key-pairs."
      labels      = local.of_cluster
    }
    records = {
      description = "Outcomes of events."
      labels      = { event = "EXTRACT(jsonPayload.event)" }
    }
    refused = {
      description = "Refusals, by their first reason."
      labels      = { cluster = "EXTRACT(jsonPayload.cluster)", reason = "EXTRACT(jsonPayload.reason)" }
    }
    refused_attack = {
      description = "Refusals that look like an attack."
      labels      = { cluster = "EXTRACT(jsonPayload.cluster)", reason = "EXTRACT(jsonPayload.reason)" }
    }
    renewal_stopped = {
      description = "Runs of renewal that stopped."
      labels      = local.of_cluster
    }
    signatures = {
      description = "Signatures in Cloud KMS's audit log."
      labels      = {}
    }
    undelivered = {
      description = "Status lines with a CSR that waits too long."
      labels      = local.of_cluster
    }
    unexplained_signatures = {
      description = "Signatures with the function's identity that name no CSR and hash."
      labels      = {}
    }
  }
}

resource "google_logging_metric" "audit" {
  for_each = local.metrics

  project          = var.audit_project
  name             = "${local.metric_prefix}/${each.key}"
  description      = each.value.description
  bucket_name      = google_logging_project_bucket_config.audit.id
  filter           = local.filters[each.key]
  label_extractors = each.value.labels
  value_extractor  = try(each.value.value, null)

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = can(each.value.value) ? "DISTRIBUTION" : "INT64"
    unit        = can(each.value.value) ? "s" : "1"

    dynamic "labels" {
      for_each = each.value.labels

      content {
        key        = labels.key
        value_type = "STRING"
      }
    }
  }

  dynamic "bucket_options" {
    for_each = can(each.value.value) ? [1] : []

    content {
      explicit_buckets {
        bounds = [0.5, 1, 2, 3, 5, 10, 20, local.objective_seconds, 60, 90, 300]
      }
    }
  }
}

# Cloud Monitoring learns of a new metric up to ten minutes later, and refuses policies that name the metric before. All
# policies wait once, together.
resource "time_sleep" "metrics" {
  create_duration = "600s"
  triggers        = { metrics = join(" ", sort([for metric in google_logging_metric.audit : metric.name])) }

  depends_on = [google_logging_metric.audit]
}
