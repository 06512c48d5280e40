# A fleet member that the function reaches through Connect Gateway, without a network path and without API server flags.
#
# The agent in the cluster runs on the pod network. If Calico provides that network, Calico's pods wait for certificates of
# this signer, the signer waits for the agent, and the agent waits for Calico's network: a new cluster never starts. So use this example for clusters with another CNI, in
# which Calico only enforces policy or the signer serves other components.
#
# The agent impersonates the function's account in this cluster (function_user of the output manifests). So the cluster
# needs the agent's ClusterRole for that user in addition to infra/cluster:
# gcloud container fleet memberships generate-gateway-rbac --membership=edge --users=EMAIL --role=ROLE.
module "signer" {
  source = "../.."

  audit = { project = "example-audit", notification_channels = ["projects/example-audit/notificationChannels/1"] }
  # This principal makes the CA certificate with signerctl. It may sign only with -var ca_administrator_until=TIME.
  ca_administrator       = "user:ca-administrator@example.com"
  ca_administrator_until = var.ca_administrator_until
  callers                = "internet"
  key_project            = "example-keys"
  location               = "europe-west1"
  project                = "example-signer"

  clusters = {
    edge = {
      access        = "connect-gateway"
      fleet_project = "example-clusters"
      oidc = {
        issuer = "https://kubernetes.default.svc.cluster.local" # kubectl get --raw /.well-known/openid-configuration
        jwks   = file("${path.module}/edge-jwks.json")          # kubectl get --raw /openid/v1/jwks
      }
      server = "https://connectgateway.googleapis.com/v1/projects/210987654321/locations/global/memberships/edge" # for GKE: gkeMemberships
    }
  }

  signers = {
    edge-calico = {
      # The file does not exist at the first apply. The output next_steps says how to make it; then apply again.
      ca_certificate = fileexists("${path.module}/edge-calico-ca.pem") ? file("${path.module}/edge-calico-ca.pem") : null
      cluster        = "edge"
      profile        = { name = "calico", release = "3.31" }
      signer_name    = "csr-signer.example.com/calico"
    }
  }
}

variable "ca_administrator_until" {
  description = "The time until which ca_administrator may sign: UTC, within 24 hours. Set it only to make a CA certificate; the next apply without it removes the right."
  type        = string
  default     = null
}

output "authentication_configurations" {
  description = "Files for --authentication-config of API servers outside GKE."
  value       = module.signer.authentication_configurations
}

output "documents" {
  description = "The files that the function gets with its code, by file name."
  value       = module.signer.documents
}

output "exporter_configurations" {
  description = "configuration.json of each cluster's exporter."
  value       = module.signer.exporter_configurations
}

output "manifests" {
  description = "What signerctl cluster manifests reads beside documents and exporter_configurations."
  value       = module.signer.manifests
}

output "next_steps" {
  description = "The next steps, in order."
  value       = module.signer.next_steps
}
