module "audit" {
  source = "./modules/audit"
  count  = var.audit == null ? 0 : 1

  audit_project            = var.audit.project
  crypto_keys              = local.audited_keys
  exporter_namespace       = var.exporter_namespace
  exporter_projects        = local.gke_projects
  function_project         = var.project
  function_service_account = local.function_email
  key_project              = var.key_project
  location                 = var.location
  locked                   = var.audit.locked
  notification_channels    = var.audit.notification_channels
  retention_days           = var.audit.retention_days
  service_location         = var.location
  service_name             = var.name

  depends_on = [google_project_service.this]
}
