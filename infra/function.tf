locals {
  invokers = merge(
    { for name, identity in module.identities : "exporter-${name}" => identity.member },
    { for email in var.further_invokers : email => email },
  )
  deployed = length(local.ready) > 0

  uri = coalesce(one(module.function[*].uri), one(module.service[*].uri), "https://not-deployed.invalid")
}

module "function" {
  source = "./modules/function"
  count  = local.deployed && var.image == null ? 1 : 0

  binary_authorization_policy = var.binary_authorization_policy
  callers                     = var.callers
  clusters                    = length(var.clusters)
  configuration               = "configuration.yaml"
  deployer                    = var.deployer
  documents                   = local.documents
  encryption_key              = var.encryption_key
  invokers                    = local.invokers
  location                    = var.location
  max_instances               = var.max_instances
  min_instances               = var.min_instances
  name                        = var.name
  network                     = var.network
  project                     = var.project
  project_number              = var.project_number
  service_account             = local.function_email
  source_folder               = coalesce(var.source_folder, "${path.module}/../function")

  # The function checks its keys when it starts, so it needs the grants on them first. The deployer needs its right first too.
  depends_on = [google_project_service.this, google_service_account_iam_member.deploy, module.key]
}

# The same code, from an image that another pipeline built and scanned.
module "service" {
  source = "./modules/service"
  count  = local.deployed && var.image != null ? 1 : 0

  binary_authorization_policy = var.binary_authorization_policy
  callers                     = var.callers
  clusters                    = length(var.clusters)
  configuration               = "configuration.yaml"
  documents                   = local.documents
  encryption_key              = var.encryption_key
  image                       = var.image
  invokers                    = local.invokers
  location                    = var.location
  max_instances               = var.max_instances
  min_instances               = var.min_instances
  name                        = var.name
  network                     = var.network
  project                     = var.project
  service_account             = local.function_email

  depends_on = [google_project_service.this, google_service_account_iam_member.deploy, module.key]
}

# The organisation owns the perimeter; this resource adds the projects to it.
resource "google_access_context_manager_service_perimeter_resource" "this" {
  for_each = toset(try(var.service_perimeter.project_numbers, []))

  perimeter_name = var.service_perimeter.name
  resource       = "projects/${each.value}"
}
