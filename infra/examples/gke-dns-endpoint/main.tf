# GKE Standard, with Calico installed by its operator, reached at the control plane's DNS-based endpoint: no VPC, no bastion,
# no address to allow. Google's front end lets in who has container.clusters.connect, RBAC decides the rest.
#
# The cluster needs a workload pool, and dns_endpoint_config with allow_external_traffic = true; Kubernetes tokens and
# certificates at that endpoint are not needed and better left off. Its nodes share a VPC network with the function's
# project, else `callers` is "perimeter" or "internet".
module "signer" {
  source = "../.."

  audit = { project = "example-audit", notification_channels = ["projects/example-audit/notificationChannels/1"] }
  # Makes the CA certificate with signerctl. Without -var ca_administrator_until=TIME on the command line it may not sign.
  ca_administrator       = "user:ca-administrator@example.com"
  ca_administrator_until = var.ca_administrator_until
  callers                = "same-vpc" # with Private Google Access on the nodes' subnetwork, else Cloud Run answers 404
  key_project            = "example-keys"
  location               = "europe-west1"
  project                = "example-signer"
  project_number         = "123456789012"

  clusters = {
    prod = {
      access = "gke-dns"
      gke = {
        location       = "europe-west1"
        name           = "prod"
        project        = "example-clusters"
        project_number = "210987654321"
      }
      # gcloud container clusters describe prod --format='value(controlPlaneEndpointsConfig.dnsEndpointConfig.endpoint)'
      server = "https://gke-0123456789abcdef0123456789abcdef-210987654321.europe-west1.gke.goog"
    }
  }

  signers = {
    prod-calico = {
      # Not there when this is applied first; the outputs say how it is made. Then apply again.
      ca_certificate = fileexists("${path.module}/prod-calico-ca.pem") ? file("${path.module}/prod-calico-ca.pem") : null
      cluster        = "prod"
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
