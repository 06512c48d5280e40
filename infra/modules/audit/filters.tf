# Every filter is a file of its own, which tests run over real log lines; a metric has the name of its file.

locals {
  objective_seconds = 30

  filter_values = {
    ca_administrator         = var.ca_administrator
    exporter_namespace       = var.exporter_namespace
    function_service_account = var.function_service_account
    key_project              = var.key_project
    keys                     = join("|", sort(var.crypto_keys))
    objective_seconds        = local.objective_seconds
    service_location         = var.service_location
    service_name             = var.service_name
    undelivered_seconds      = var.undelivered_seconds
  }

  filters = {
    for file in fileset("${path.module}/filters", "*.txt") :
    trimsuffix(file, ".txt") => templatefile("${path.module}/filters/${file}", local.filter_values)
  }
}
