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

  # The sinks of a project share one writer identity, so a project has one grant. With a grant per sink, Terraform would
  # stop all sinks of a project when it removes one. A sink into a bucket of its own project needs no grant.
  writers = { for name, sink in local.sinks : sink.project => name... if sink.project != var.audit_project }
}

resource "google_logging_project_sink" "audit" {
  for_each = local.sinks

  project                = each.value.project
  name                   = "${var.name}-${each.key}"
  description            = "To the audit bucket of the CSR signer ${var.name}."
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.audit.id}"
  filter                 = each.value.filter
  unique_writer_identity = true
}

resource "google_project_iam_member" "sink" {
  for_each = local.writers

  project = var.audit_project
  role    = "roles/logging.bucketWriter"
  # The last name, because the sink of a new exporter comes first, and its unknown identity would replace the grant.
  member = google_logging_project_sink.audit[reverse(sort(each.value))[0]].writer_identity

  condition {
    title       = google_logging_project_bucket_config.audit.bucket_id
    description = "Only into the audit bucket."
    expression  = "resource.name.endsWith(\"/locations/${var.location}/buckets/${google_logging_project_bucket_config.audit.bucket_id}\")"
  }
}
