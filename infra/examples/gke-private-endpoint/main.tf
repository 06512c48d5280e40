# GKE Standard whose control plane is reached at its private address: the function gets an address in the VPC network (Direct
# VPC egress). The subnetwork must be among the control plane's authorised networks, and hold addresses for four times as
# many instances as max_instances.
#
# Terraform reads the address and the CA from the cluster. The cluster must exist, and the principal that plans needs
# container.clusters.get in its project. Apply again after each rotation of the cluster's credentials.
#
# Only private addresses are reached through the VPC network; KMS and all else go the usual way, without NAT.
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
      access = "gke-private"
      gke = {
        location       = "europe-west1"
        name           = "prod"
        project        = "example-clusters"
        project_number = "210987654321"
      }
    }
  }

  network = {
    network    = "main"
    subnetwork = "functions"
    tags       = ["csr-signer"]
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
