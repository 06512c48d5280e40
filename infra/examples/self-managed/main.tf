# A cluster whose API server's flags you control (kubeadm, RKE2, on-premises, any cloud), with Kubernetes 1.30 or later. The
# function sends an ID token of its Google service account for this cluster's audience. Structured authentication lets
# kube-apiserver accept it. After the second apply, make the file here:
#
#   terraform output -json authentication_configurations | jq -r .site > authentication.yaml
#
# Copy it to /etc/kubernetes/authentication/authentication.yaml on each control plane node, and let kube-apiserver read it,
# one node after the other. With kubeadm, in the ClusterConfiguration under apiServer:
#
#   extraArgs:    [{name: authentication-config, value: /etc/kubernetes/authentication/authentication.yaml}]
#   extraVolumes: [{name: authentication, hostPath: /etc/kubernetes/authentication, mountPath: /etc/kubernetes/authentication, readOnly: true}]
#
# Mount the folder and not the file: kube-apiserver then sees a new file by itself. You cannot combine the flag with the flags
# --oidc-*. kube-apiserver must reach https://accounts.google.com and https://www.googleapis.com for Google's keys. Cloud Run
# must reach the API server at a public address, or through `network` with a VPN or an Interconnect.
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
    site = {
      access = "oidc"
      # All addresses of pods and nodes: the function refuses requests with others. Calico's default pool is 192.168.0.0/16.
      address_ranges = ["10.0.0.0/8", "192.168.0.0/16"]
      # Ends with the output of uuidgen, so that no other API server accepts tokens for this audience.
      audience              = "https://csr-signer.example.com/7d1f0a52-0f8e-4a4e-9c47-7c4a7a8b3c55"
      certificate_authority = file("${path.module}/site-api-server.pem") # kubeadm: /etc/kubernetes/pki/ca.crt
      # The issuer of the exporter's tokens. It need not be on the internet, because jwks has its keys. Update jwks when the
      # cluster's signing key changes.
      oidc = {
        issuer = "https://kubernetes.default.svc.cluster.local" # kubectl get --raw /.well-known/openid-configuration
        jwks   = file("${path.module}/site-jwks.json")          # kubectl get --raw /openid/v1/jwks
      }
      server = "https://kubernetes.site.example.com:6443" # a name or address in the API server's certificate
    }
  }

  signers = {
    site-calico = {
      # The file does not exist at the first apply. The output next_steps says how to make it; then apply again.
      ca_certificate = fileexists("${path.module}/site-calico-ca.pem") ? file("${path.module}/site-calico-ca.pem") : null
      cluster        = "site"
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
