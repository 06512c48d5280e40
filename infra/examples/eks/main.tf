# Amazon EKS with Calico as its CNI. The API server's flags are Amazon's, but one OIDC provider can be associated with the
# cluster; the output `associate` is the command. EKS compares claims with texts only: the account's number (`sub`) and the
# audience tell the function from everybody else whom Google signs for.
#
# One association per cluster is all that EKS allows; it takes about 15 minutes.
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
    shop = {
      access   = "oidc"
      audience = "https://csr-signer.example.com/2f0b8c8e-36a7-4f8e-8a53-0f5a6a1c9d11"
      # aws eks describe-cluster --name shop --query cluster.certificateAuthority.data --output text | base64 --decode
      certificate_authority = file("${path.module}/shop-api-server.pem")
      # aws eks describe-cluster --name shop --query cluster.identity.oidc.issuer; it is on the internet, with its keys.
      oidc   = { issuer = "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF" }
      server = "https://0123456789ABCDEF0123456789ABCDEF.gr7.eu-west-1.eks.amazonaws.com"
    }
  }

  signers = {
    shop-calico = {
      # Not there when this is applied first; the outputs say how it is made. Then apply again.
      ca_certificate = fileexists("${path.module}/shop-calico-ca.pem") ? file("${path.module}/shop-calico-ca.pem") : null
      cluster        = "shop"
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

output "associate" {
  description = "The command that makes EKS take the function's tokens."
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
  description = "What API servers outside GKE must be started with; EKS takes `associate` instead."
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
