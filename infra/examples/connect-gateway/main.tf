# A cluster that is a member of a fleet, reached through Connect Gateway: no network path to it and no flag of its API server.
#
# Its limit: the agent in the cluster runs on the pod network. Where that network is Calico's, whose pods wait for this
# signer, the agent of a new cluster never comes up, and neither does the network. So this is for clusters with another
# CNI, where Calico enforces policy only or the signer serves other components.
#
# The agent impersonates the account that the function is in this cluster (function_user of the output manifests), so its
# ClusterRole for that user is needed beside infra/cluster:
# gcloud container fleet memberships generate-gateway-rbac --membership=edge --users=EMAIL --role=ROLE.
module "signer" {
  source = "../.."

  audit = { project = "example-audit", notification_channels = ["projects/example-audit/notificationChannels/1"] }
  # Makes the CA certificate with signerctl. Without -var ca_administrator_until=TIME on the command line it may not sign.
  ca_administrator       = "user:ca-administrator@example.com"
  ca_administrator_until = var.ca_administrator_until
  callers                = "internet"
  key_project            = "example-keys"
  location               = "europe-west1"
  project                = "example-signer"
  project_number         = "123456789012"

  clusters = {
    edge = {
      access        = "connect-gateway"
      fleet_project = "example-clusters"
      oidc = {
        issuer = "https://kubernetes.default.svc.cluster.local" # kubectl get --raw /.well-known/openid-configuration
        jwks   = file("${path.module}/edge-jwks.json")          # kubectl get --raw /openid/v1/jwks
      }
      server = "https://connectgateway.googleapis.com/v1/projects/210987654321/locations/global/gkeMemberships/edge"
    }
  }

  signers = {
    edge-calico = {
      # Not there when this is applied first; the outputs say how it is made. Then apply again.
      ca_certificate = fileexists("${path.module}/edge-calico-ca.pem") ? file("${path.module}/edge-calico-ca.pem") : null
      cluster        = "edge"
      profile        = { name = "calico", release = "3.31" }
      signer_name    = "csr-signer.example.com/calico"
    }
  }
}

variable "ca_administrator_until" {
  description = "Until when ca_administrator may sign, a time in UTC within 24 hours. Give it only when a CA certificate is made; the next apply without it removes the right."
  type        = string
  default     = null
}

output "authentication_configurations" {
  description = "What API servers outside GKE must be started with."
  value       = module.signer.authentication_configurations
}

output "documents" {
  description = "The function's bundle beside its code, by file name; configuration.yaml is what admission policies are made from."
  value       = module.signer.documents
}

output "exporter_configurations" {
  description = "configuration.json of each cluster's exporter."
  value       = module.signer.exporter_configurations
}

output "manifests" {
  description = "What each cluster's overlay must say."
  value       = module.signer.manifests
}

output "next_steps" {
  description = "What to do now."
  value       = module.signer.next_steps
}
