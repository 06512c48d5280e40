# What Google's side of a cluster wants to see before the API server is reached at all. What the function may do there is
# in infra/cluster. No role here holds a right to objects: on GKE IAM's rights to objects hold in every cluster of a project.
locals {
  # The user that the API server sees the function as.
  function_users = {
    for name, cluster in var.clusters : name => cluster.access == "oidc" ? "gcp:${local.function_email}" : local.function_email
  }

  dns_projects   = toset([for cluster in values(var.clusters) : cluster.gke.project if cluster.access == "gke-dns"])
  gke_projects   = toset([for cluster in values(var.clusters) : cluster.gke.project if cluster.gke != null])
  fleet_projects = toset([for cluster in values(var.clusters) : coalesce(cluster.fleet_project, var.project) if cluster.access == "connect-gateway"])

  sources = {
    for name, cluster in var.clusters : name => coalesce(
      cluster.source,
      cluster.gke == null ? "//csr-signer/projects/${var.project}/clusters/${name}" : try("//container.googleapis.com/projects/${cluster.gke.project}/locations/${cluster.gke.location}/clusters/${cluster.gke.name}", "")
    )
  }
}

# container.clusters.connect, get and list.
resource "google_project_iam_member" "connect" {
  for_each = local.dns_projects

  project = each.value
  role    = "roles/container.clusterViewer"
  member  = local.function_member
}

# Nothing less may send an update; RBAC behind it decides what of it holds.
resource "google_project_iam_member" "gateway" {
  for_each = local.fleet_projects

  project = each.value
  role    = "roles/gkehub.gatewayEditor"
  member  = local.function_member
}
