# GKE Standard. The function reaches the control plane at its private address through Direct VPC egress. The control plane's
# authorised networks must include the subnetwork, which needs free addresses for four times max_instances.
#
# Terraform reads the address and the CA from the cluster. The cluster must exist, and the principal that plans needs
# container.clusters.get in its project. Apply again after each rotation of the cluster's credentials.
#
# Only traffic to private addresses uses the VPC network. Traffic to KMS and other services does not, and needs no NAT.
module "signer" {
  source = "../.."

  audit = { project = "example-audit", notification_channels = ["projects/example-audit/notificationChannels/1"] }
  # This principal makes the CA certificate with signerctl. It may sign only with -var ca_administrator_until=TIME.
  ca_administrator       = "user:ca-administrator@example.com"
  ca_administrator_until = var.ca_administrator_until
  callers                = "same-vpc" # needs Private Google Access on the nodes' subnetwork; otherwise Cloud Run answers 404
  key_project            = "example-keys"
  location               = "europe-west1"
  project                = "example-signer"

  clusters = {
    prod = {
      access = "gke-private"
      gke = {
        location = "europe-west1"
        name     = "prod"
        project  = "example-clusters"
      }
    }
  }

  # The Shared VPC of the cluster. Cloud Run's service agent (service-NUMBER@serverless-robot-prod.iam.gserviceaccount.com)
  # needs roles/compute.networkUser on the subnetwork.
  network = {
    network    = "projects/example-host/global/networks/main"
    subnetwork = "projects/example-host/regions/europe-west1/subnetworks/functions"
    tags       = ["csr-signer"]
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
