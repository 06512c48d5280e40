# The exporter has no key. It exchanges its Kubernetes token for a Google token of the principal below. With that token it
# requests an ID token of one Google service account, and only this account may call the function. The detour is necessary:
# Cloud Run accepts no federated principal, and a pod on the host network gets no workload identity from the metadata
# server. On GKE's pod network, the metadata server does the exchange and asks for the ID token.
locals {
  account_id = "csr-exporter-${var.cluster}"
  subject    = "system:serviceaccount:${var.namespace}:${var.service_account}"
  email      = "${google_service_account.exporter.account_id}@${google_service_account.exporter.project}.iam.gserviceaccount.com"

  # On GKE, the pool exists already. All clusters of a project share it, and equal names in it are the same identity.
  gke_pool = var.gke == null ? null : "${var.gke.project}.svc.id.goog"
  gke_url  = var.gke == null ? null : "https://container.googleapis.com/v1/projects/${var.gke.project}/locations/${var.gke.location}/clusters/${var.gke.name}"

  pool     = var.oidc == null ? null : "projects/${var.project_number}/locations/global/workloadIdentityPools/${google_iam_workload_identity_pool.this[0].workload_identity_pool_id}"
  provider = var.oidc == null ? null : "//iam.googleapis.com/${local.pool}/providers/${google_iam_workload_identity_pool_provider.this[0].workload_identity_pool_provider_id}"

  federated = var.gke == null ? "principal://iam.googleapis.com/${local.pool}/subject/${local.subject}" : "principal://iam.googleapis.com/projects/${var.gke.project_number}/locations/global/workloadIdentityPools/${local.gke_pool}/subject/ns/${var.namespace}/sa/${var.service_account}"
  principal = var.network == "pod" ? "serviceAccount:${local.gke_pool}[${var.namespace}/${var.service_account}]" : local.federated
}

resource "google_service_account" "exporter" {
  project      = var.project
  account_id   = local.account_id
  display_name = "CSR exporter of cluster ${var.cluster}"
  description  = "Calls the CSR signer's function, and has no other rights."
}

# On the host network, the role creates only ID tokens. GKE's metadata server requires roles/iam.workloadIdentityUser, which
# creates access tokens too; the account has no other rights.
resource "google_service_account_iam_member" "mint" {
  service_account_id = google_service_account.exporter.name
  role               = var.network == "pod" ? "roles/iam.workloadIdentityUser" : "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = local.principal
}

resource "google_iam_workload_identity_pool" "this" {
  count = var.oidc == null ? 0 : 1

  project                   = var.project
  workload_identity_pool_id = local.account_id
  display_name              = var.cluster
  description               = "Service accounts of the cluster ${var.cluster}. One pool per cluster, because clusters have the same subjects."
}

resource "google_iam_workload_identity_pool_provider" "this" {
  count = var.oidc == null ? 0 : 1

  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.this[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "cluster"
  display_name                       = var.cluster
  attribute_mapping                  = { "google.subject" = "assertion.sub" }
  # No other service account of the cluster can get a token, not even one without rights.
  attribute_condition = "assertion.sub == '${local.subject}'"

  oidc {
    issuer_uri = var.oidc.issuer
    # Without jwks, Google fetches the keys from the issuer, which must then be on the internet. With jwks, update the file
    # when the cluster's signing key changes.
    jwks_json = var.oidc.jwks
  }
}
