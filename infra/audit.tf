module "audit" {
  source = "./modules/audit"
  count  = var.audit == null ? 0 : 1

  audit_project            = var.audit.project
  crypto_keys              = local.audited_keys
  encryption_key           = var.audit.encryption_key
  exporter_namespace       = var.exporter_namespace
  exporter_projects        = local.gke_projects
  function_project         = var.project
  function_service_account = local.function_email
  key_project              = var.key_project
  labels                   = var.labels
  link_key_project         = var.audit.link_key_project
  location                 = coalesce(var.audit.location, var.location)
  locked                   = var.audit.locked
  name                     = var.name
  notification_channels    = var.audit.notification_channels
  retention_days           = var.audit.retention_days
  service_name             = var.name

  depends_on = [google_project_service.this]
}
