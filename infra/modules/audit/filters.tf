# Every filter is a file, and tests run it over real log lines. A metric has the name of its filter's file.

locals {
  objective_seconds = 30

  # A caller may name a key's project by ID or by number, and Cloud KMS may log either. The sink exports only entries of
  # the key's project.
  keys = [for key in var.crypto_keys : replace(key, "/^projects/[^/]+/", "projects/[^/]+")]

  filter_values = {
    exporter_namespace       = var.exporter_namespace
    function_service_account = var.function_service_account
    key_project              = var.key_project
    keys                     = join("|", sort(local.keys))
    objective_seconds        = local.objective_seconds
    service_name             = var.service_name
    undelivered_seconds      = var.undelivered_seconds
  }

  filters = {
    for file in fileset("${path.module}/filters", "*.txt") :
    trimsuffix(file, ".txt") => templatefile("${path.module}/filters/${file}", local.filter_values)
  }
  # For texts, which Google limits to 8192 characters: any key instead of the list.
  short_filters = {
    for name in keys(local.filters) : name => templatefile("${path.module}/filters/${name}.txt", merge(local.filter_values, { keys = ".+" }))
  }
}
