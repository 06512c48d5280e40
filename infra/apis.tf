# What the parts call. Never disabled again: something else in the project may have come to need it.
locals {
  apis = concat(
    [for name in ["artifactregistry", "cloudbuild", "cloudfunctions", "iamcredentials", "run", "secretmanager", "sts"] : { project = var.project, name = name }],
    [for policy in var.binary_authorization_policy[*] : { project = var.project, name = "binaryauthorization" }],
    [{ project = var.key_project, name = "cloudkms" }],
    flatten([for project in local.fleet_projects : [for name in ["connectgateway", "gkehub"] : { project = project, name = name }]]),
  )
}

resource "google_project_service" "this" {
  for_each = { for api in local.apis : "${api.project} ${api.name}" => api }

  project            = each.value.project
  service            = "${each.value.name}.googleapis.com"
  disable_on_destroy = false
}
