# A cluster whose API server's flags are yours (kubeadm, RKE2, on-premises, any cloud), Kubernetes 1.30 or later. The function
# comes with an ID token of its Google service account, made for this cluster's audience alone; kube-apiserver is told by
# structured authentication to take it:
#
#   terraform output -json authentication_configurations | jq -r .site > /etc/kubernetes/authentication.yaml
#   kube-apiserver ... --authentication-config=/etc/kubernetes/authentication.yaml
#
# That flag excludes the flags --oidc-*, and the file is read again when it changes. kube-apiserver must reach
# https://accounts.google.com and https://www.googleapis.com for Google's keys, and Cloud Run must reach the server: at a
# public address, or through `network` with a VPN or an Interconnect.
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
    site = {
      access = "oidc"
      # Pods and nodes have no other addresses: certificates are for none but these.
      address_ranges = ["10.0.0.0/8"]
      # Followed by what uuidgen printed: nobody else's API server takes a token that was made for it.
      audience              = "https://csr-signer.example.com/7d1f0a52-0f8e-4a4e-9c47-7c4a7a8b3c55"
      certificate_authority = file("${path.module}/site-api-server.pem")
      # Whose tokens the exporter has. The issuer need not be on the internet: its keys are given here, and must be given
      # again when the cluster's signing key changes.
      oidc = {
        issuer = "https://kubernetes.default.svc.cluster.local" # kubectl get --raw /.well-known/openid-configuration
        jwks   = file("${path.module}/site-jwks.json")          # kubectl get --raw /openid/v1/jwks
      }
      server = "https://kubernetes.site.example.com:6443"
    }
  }

  signers = {
    site-calico = {
      # Not there when this is applied first; the outputs say how it is made. Then apply again.
      ca_certificate = fileexists("${path.module}/site-calico-ca.pem") ? file("${path.module}/site-calico-ca.pem") : null
      cluster        = "site"
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
