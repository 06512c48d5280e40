locals {
  # One sink per project and purpose, so that a project with two purposes has two sinks.
  sinks = merge(
    {
      function = { project = var.function_project, filter = local.filters["sink_function"] }
      kms      = { project = var.key_project, filter = local.filters["sink_kms"] }
    },
    {
      for project in var.exporter_projects :
      "exporter-${project}" => { project = project, filter = local.filters["sink_exporter"] }
    },
  )

  # A sink into a bucket of its own project has no identity of its own, and needs no grant.
  foreign_sinks = { for name, sink in local.sinks : name => sink if sink.project != var.audit_project }
}

resource "google_logging_project_sink" "audit" {
  for_each = local.sinks

  project                = each.value.project
  name                   = "csr-signer-${each.key}"
  description            = "To the audit bucket of the CSR signer."
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.audit.id}"
  filter                 = each.value.filter
  unique_writer_identity = true
}

resource "google_project_iam_member" "sink" {
  for_each = local.foreign_sinks

  project = var.audit_project
  role    = "roles/logging.bucketWriter"
  member  = google_logging_project_sink.audit[each.key].writer_identity

  condition {
    title       = "csr-signer-audit"
    description = "Only into the audit bucket."
    expression  = "resource.name.endsWith(\"/locations/${var.location}/buckets/${google_logging_project_bucket_config.audit.bucket_id}\")"
  }
}
