# Google's side of access to a cluster: the function needs it to reach the API server. infra/cluster holds the function's
# rights in the cluster. No role here includes rights to Kubernetes objects: on GKE, such IAM rights apply to every cluster
# of a project.
locals {
  # The function sends these API servers a Google access token. The others get an ID token, which no Google API accepts.
  google_clusters  = { for name, cluster in var.clusters : name => cluster if cluster.access != "oidc" }
  private_clusters = { for name, cluster in var.clusters : name => cluster if cluster.access == "gke-private" }

  access_emails = { for name, account in google_service_account.access : name => "${account.account_id}@${account.project}.iam.gserviceaccount.com" }

  # The function's username at each API server.
  function_users = {
    for name, cluster in var.clusters : name => cluster.access == "oidc" ? "gcp:${local.function_email}" : local.access_emails[name]
  }

  # Terraform reads the address and the CA of a private control plane from Google, so that a typing error cannot send the
  # token elsewhere.
  servers = {
    for name, cluster in var.clusters : name => cluster.access == "gke-private" ? "https://${data.google_container_cluster.private[name].private_cluster_config[0].private_endpoint}" : cluster.server
  }
  server_authorities = merge(
    { for name, cluster in var.clusters : name => cluster.certificate_authority if cluster.certificate_authority != null },
    { for name, cluster in data.google_container_cluster.private : name => base64decode(cluster.master_auth[0].cluster_ca_certificate) },
  )

  gke_projects   = toset([for cluster in values(var.clusters) : cluster.gke.project if cluster.gke != null])
  fleet_projects = toset([for cluster in values(var.clusters) : coalesce(cluster.fleet_project, var.project) if cluster.access == "connect-gateway"])

  sources = {
    for name, cluster in var.clusters : name => (
      cluster.gke == null ? "//csr-signer/projects/${var.project}/clusters/${name}" : "//container.googleapis.com/projects/${cluster.gke.project}/locations/${cluster.gke.location}/clusters/${cluster.gke.name}"
    )
  }
}

# A warning, because the records are evidence and not a guard: no certificate depends on them.
check "clusters_apart" {
  assert {
    condition     = !contains(local.gke_projects, var.project)
    error_message = "clusters[*].gke.project: Invalid value: ${jsonencode(var.project)}: should be another project than the function's: every node's account may write logs there, and so may every pod on the host network. Such a pod can forge the function's records, and so hide a signature of a thief of the function's token from the audit trail (docs/evidence.md). Put the function into a project without nodes, and prefer image, built in another project, because the account of a build has the same right."
  }
}

# A thief can use an access token at every Google API. So each cluster has its own account, whose token the function sends.
# The account has no right on keys, and no RBAC rights in other clusters. Its IAM role lets it reach these (docs/security.md).
resource "google_service_account" "access" {
  for_each = local.google_clusters

  project      = var.project
  account_id   = "csr-access-${each.key}"
  display_name = "CSR signer in cluster ${each.key}"
  description  = "The CSR signer's function uses this account at the API server of ${each.key}. It has rights in that cluster only."

  depends_on = [google_project_service.this]
}

# This role creates access tokens. roles/iam.serviceAccountTokenCreator could also sign with the account's key and chain
# delegations.
resource "google_service_account_iam_member" "impersonate" {
  for_each = local.google_clusters

  service_account_id = google_service_account.access[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = local.function_member
}

# This role has only container.clusters.connect, get and list.
resource "google_project_iam_member" "connect" {
  for_each = { for name, cluster in var.clusters : name => cluster if cluster.access == "gke-dns" }

  project = each.value.gke.project
  role    = "roles/container.clusterViewer"
  member  = "serviceAccount:${local.access_emails[each.key]}"
}

# No smaller role may send updates. The cluster's RBAC decides which updates the function may make.
resource "google_project_iam_member" "gateway" {
  for_each = { for name, cluster in var.clusters : name => cluster if cluster.access == "connect-gateway" }

  project = coalesce(each.value.fleet_project, var.project)
  role    = "roles/gkehub.gatewayEditor"
  member  = "serviceAccount:${local.access_emails[each.key]}"
}

# The principal that plans needs container.clusters.get in the cluster's project.
data "google_container_cluster" "private" {
  for_each = local.private_clusters

  project  = each.value.gke.project
  location = each.value.gke.location
  name     = each.value.gke.name

  lifecycle {
    postcondition {
      # The function's loader has the same rule: RFC 1918 and RFC 6598.
      condition     = can(regex("^(10\\.[0-9]+|172\\.(1[6-9]|2[0-9]|3[01])|192\\.168|100\\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7]))\\.[0-9]+\\.[0-9]+$", self.private_cluster_config[0].private_endpoint)) && can(base64decode(self.master_auth[0].cluster_ca_certificate))
      error_message = "clusters[\"${each.key}\"].access: Invalid value: \"gke-private\": the cluster ${each.value.gke.name} must have a private endpoint at an IPv4 address of RFC 1918 or RFC 6598; otherwise use gke-dns."
    }

    postcondition {
      # A data source is in the state with all its attributes.
      condition     = try(length(self.master_auth[0].client_key), 0) == 0
      error_message = "clusters[\"${each.key}\"].access: Forbidden: \"gke-private\" for the cluster ${each.value.gke.name}, which has a client certificate: Terraform would write its private key into the state. GKE cannot remove the certificate from a cluster: use gke-dns, or a cluster that was created with --no-issue-client-certificate."
    }
  }
}
