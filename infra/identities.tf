# The names of identity pools and of Google's buckets contain project numbers. With the number of another project, typed by
# mistake, that project's pool would be trusted. So Terraform reads the numbers, already at plan: without depends_on.
data "google_project" "this" {
  for_each = setunion(local.gke_projects, [var.project])

  project_id = each.value
}

resource "google_service_account" "function" {
  project      = var.project
  account_id   = var.name
  display_name = "CSR signer"
  description  = "Runs the CSR signer's function: signs with its keys, and impersonates the accounts that reach its clusters."

  depends_on = [google_project_service.this]
}

locals {
  function_email  = "${google_service_account.function.account_id}@${google_service_account.function.project}.iam.gserviceaccount.com"
  function_member = "serviceAccount:${local.function_email}"
}

module "identities" {
  source   = "./modules/identities"
  for_each = var.clusters

  cluster         = each.key
  gke             = each.value.gke == null ? null : merge(each.value.gke, { project_number = data.google_project.this[each.value.gke.project].number })
  namespace       = var.exporter_namespace
  network         = each.value.exporter_network
  oidc            = each.value.oidc
  project         = var.project
  project_number  = data.google_project.this[var.project].number
  service_account = each.value.exporter_service_account

  depends_on = [google_project_service.this]
}

# The deployer needs this right to deploy a function that runs as this account. A project owner has it already.
resource "google_service_account_iam_member" "deploy" {
  count = var.deployer == null ? 0 : 1

  service_account_id = google_service_account.function.name
  role               = "roles/iam.serviceAccountUser"
  member             = var.deployer
}
