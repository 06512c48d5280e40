# The Google APIs that the parts call. Terraform never disables them again, because other workloads may use them by then.
locals {
  apis = concat(
    [for name in [
      "artifactregistry", "cloudbuild", "cloudfunctions", "cloudkms", "cloudresourcemanager", "iam", "iamcredentials", "run", "secretmanager", "storage", "sts",
    ] : { project = var.project, name = name }],
    [for policy in var.binary_authorization_policy[*] : { project = var.project, name = "binaryauthorization" }],
    [for name in ["cloudkms", "cloudresourcemanager"] : { project = var.key_project, name = name }],
    # The sinks of the audit trail.
    flatten([for audit in var.audit[*] : [for project in setunion([var.project, var.key_project], local.gke_projects) : { project = project, name = "logging" }]]),
    # Google counts a caller's requests in the caller's project, and requires the API there. For the function, that is its own
    # project. For an exporter on GKE, it is the cluster's project, because the identity pool belongs to it.
    flatten([for project in local.gke_projects : [for name in ["iamcredentials", "sts"] : { project = project, name = name }]]),
    flatten([for project in local.fleet_projects : [for name in ["connectgateway", "gkehub"] : { project = project, name = name }]]),
  )
}

resource "google_project_service" "this" {
  for_each = { for api in distinct(local.apis) : "${api.project} ${api.name}" => api }

  project            = each.value.project
  service            = "${each.value.name}.googleapis.com"
  disable_on_destroy = false
}
