resource "google_monitoring_dashboard" "signer" {
  project        = var.audit_project
  dashboard_json = file("${path.module}/dashboard.json")

  depends_on = [google_project_service.audit]
}
