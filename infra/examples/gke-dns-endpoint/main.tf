# GKE Standard with the tigera operator. The function reaches the control plane at its DNS-based endpoint, without VPC,
# bastion or authorised networks. Google's front end requires container.clusters.connect; the cluster's RBAC decides the rest.
#
# The cluster needs a workload pool, and dns_endpoint_config with allow_external_traffic = true. Leave Kubernetes tokens and
# certificates at that endpoint disabled.
module "signer" {
  source = "../.."

  audit = { project = "example-audit", notification_channels = ["projects/example-audit/notificationChannels/1"] }
  # This principal makes the CA certificate with signerctl. It may sign only with -var ca_administrator_until=TIME.
  ca_administrator       = "user:ca-administrator@example.com"
  ca_administrator_until = var.ca_administrator_until
  # Only the exporter's account may call the function. To keep other callers off its address too, use "perimeter", or
  # "same-vpc" with `network` as in the example gke-private-endpoint.
  callers     = "internet"
  key_project = "example-keys"
  location    = "europe-west1"
  project     = "example-signer"

  clusters = {
    prod = {
      access = "gke-dns"
      gke = {
        location = "europe-west1"
        name     = "prod"
        project  = "example-clusters"
      }
      # https:// and what this prints: gcloud container clusters describe prod --location=europe-west1 --project=example-clusters \
      #   --format='value(controlPlaneEndpointsConfig.dnsEndpointConfig.endpoint)'
      server = "https://gke-0123456789abcdef0123456789abcdef-210987654321.europe-west1.gke.goog"
    }
  }

  signers = {
    prod-calico = {
      # The file does not exist at the first apply. The output next_steps says how to make it; then apply again.
      ca_certificate = fileexists("${path.module}/prod-calico-ca.pem") ? file("${path.module}/prod-calico-ca.pem") : null
      cluster        = "prod"
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
