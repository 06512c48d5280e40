resource "google_monitoring_dashboard" "signer" {
  project = var.audit_project
  # The file has the names of a deployment with the default name.
  dashboard_json = jsonencode(merge(
    jsondecode(replace(file("${path.module}/dashboard.json"), "user/csr_signer/", "user/${local.metric_prefix}/")),
    { displayName = var.name },
  ))

  depends_on = [google_project_service.audit]
}
