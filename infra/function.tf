locals {
  invokers = { for name, identity in module.identities : "exporter-${name}" => identity.member }
  deployed = length(local.ready) > 0
  # The zip file that Terraform packs has the documents too. Beside an image, Cloud Run mounts them.
  mounted = var.image != null

  # A new instance of Direct VPC egress may need a minute until it reaches its network, and pods wait at most 90 s.
  min_instances = coalesce(var.min_instances, var.network == null ? 0 : 1)

  # An instance serves 16 requests of each cluster at once, so that no cluster takes another's share. Measured with a key that
  # takes 170 ms: 16 requests at once use 42 % of a CPU, and 32 use 57 %.
  concurrency = 16 * length(local.ready_clusters)
  # MiB of an instance: program and parsing take the first part, even if hostile API servers choose the answers. One large
  # answer and 16 requests of each cluster take the second part (tests/end_to_end/test_clusters.py, test_memory.py).
  memory = 448 + 64 * length(local.ready_clusters)

  uri = coalesce(one(module.function[*].uri), one(module.service[*].uri), "https://not-deployed.invalid")
}

module "bundle" {
  source = "./modules/bundle"
  count  = local.deployed && !local.mounted ? 1 : 0

  documents     = local.documents
  name          = var.name
  source_folder = "${path.module}/../function"
}

module "documents" {
  source = "./modules/documents"
  count  = local.deployed && local.mounted ? 1 : 0

  documents       = local.documents
  encryption_key  = var.encryption_key
  labels          = var.labels
  location        = var.location
  name            = var.name
  project         = var.project
  service_account = local.function_email

  depends_on = [google_project_service.this, time_sleep.encryption]
}

# Terraform would delete the function before it makes the one in the other region. Its error shows the next line.
resource "terraform_data" "place" { # To move the function, follow docs/recovery.md: The function's region is gone.
  triggers_replace = [var.location, var.project]

  lifecycle {
    prevent_destroy = true
  }
}

module "function" {
  source = "./modules/function"
  count  = local.deployed && !local.mounted ? 1 : 0

  archive           = { name = module.bundle[0].name, path = module.bundle[0].archive }
  build_environment = var.build_environment
  callers           = var.callers
  concurrency       = local.concurrency
  configuration     = "configuration.yaml"
  deployer          = var.deployer
  encryption_key    = var.encryption_key
  invokers          = local.invokers
  labels            = var.labels
  location          = var.location
  max_instances     = var.max_instances
  memory            = local.memory
  min_instances     = local.min_instances
  name              = var.name
  network           = var.network
  project           = var.project
  project_number    = data.google_project.this[var.project].number
  service_account   = local.function_email
  worker_pool       = var.worker_pool

  # The function checks its keys when it starts, so it needs the grants on them first. The deployer needs its right first too.
  depends_on = [google_project_service.this, google_service_account_iam_member.deploy, module.key, time_sleep.encryption]
}

# The same code, from an image that another pipeline built and scanned.
module "service" {
  source = "./modules/service"
  count  = local.deployed && local.mounted ? 1 : 0

  binary_authorization_policy = var.binary_authorization_policy
  callers                     = var.callers
  concurrency                 = local.concurrency
  configuration               = "${module.documents[0].files["configuration.yaml"].folder}/configuration.yaml"
  encryption_key              = var.encryption_key
  files                       = module.documents[0].files
  image                       = var.image
  invokers                    = local.invokers
  labels                      = var.labels
  location                    = var.location
  max_instances               = var.max_instances
  memory                      = local.memory
  min_instances               = local.min_instances
  name                        = var.name
  network                     = var.network
  project                     = var.project
  service_account             = local.function_email

  depends_on = [google_project_service.this, google_service_account_iam_member.deploy, module.key, time_sleep.encryption]
}
