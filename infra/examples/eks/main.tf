# Amazon EKS with Calico as its CNI. Amazon sets the API server's flags, but you can associate one OIDC provider with the
# cluster; the output `associate` has the command. EKS checks the account's number (`sub`) and the audience, because Google
# signs tokens for all its customers.
#
# EKS allows one association per cluster; it takes about 15 minutes.
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
    shop = {
      access   = "oidc"
      audience = "https://csr-signer.example.com/2f0b8c8e-36a7-4f8e-8a53-0f5a6a1c9d11"
      # aws eks describe-cluster --name shop --query cluster.certificateAuthority.data --output text | base64 --decode
      certificate_authority = file("${path.module}/shop-api-server.pem")
      # aws eks describe-cluster --name shop --query cluster.identity.oidc.issuer; the issuer and its keys are on the internet.
      oidc   = { issuer = "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF" }
      server = "https://0123456789ABCDEF0123456789ABCDEF.gr7.eu-west-1.eks.amazonaws.com"
    }
  }

  signers = {
    shop-calico = {
      # The file does not exist at the first apply. The output next_steps says how to make it; then apply again.
      ca_certificate = fileexists("${path.module}/shop-calico-ca.pem") ? file("${path.module}/shop-calico-ca.pem") : null
      cluster        = "shop"
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

output "associate" {
  description = "The command after which EKS accepts the function's tokens."
  value = { for name, text in module.signer.authentication_configurations : name => join(" ", [
    "aws eks associate-identity-provider-config --cluster-name ${name} --oidc",
    "'${jsonencode({
      identityProviderConfigName = "csr-signer"
      issuerUrl                  = yamldecode(text).jwt[0].issuer.url
      clientId                   = yamldecode(text).jwt[0].issuer.audiences[0]
      usernameClaim              = "email"
      usernamePrefix             = "gcp:"
      requiredClaims             = { sub = yamldecode(text).jwt[0].claimValidationRules[0].requiredValue }
    })}'",
  ]) }
}

output "authentication_configurations" {
  description = "Files for --authentication-config of API servers outside GKE; for EKS, use `associate` instead."
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
