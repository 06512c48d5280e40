variable "cluster" {
  description = "The cluster's key; Terraform makes names from it."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,15}[a-z0-9])?$", var.cluster))
    error_message = "cluster: Invalid value: \"${var.cluster}\": must have at most 17 lower-case letters, digits and hyphens, because Terraform makes a service account's name from it."
  }
}

variable "gke" {
  description = "A GKE cluster with a workload pool. Set exactly one of gke and oidc."
  type = object({
    location       = string
    name           = string
    project        = string
    project_number = string
  })
  default = null

  validation {
    condition     = (var.gke == null) != (var.oidc == null)
    error_message = "gke, oidc: Invalid value: must be exactly one, the issuer of the exporter's service account tokens: gke for GKE, oidc for every other cluster."
  }

  validation {
    condition     = var.gke == null || can(regex("^[0-9]+$", var.gke.project_number))
    error_message = "gke.project_number: Invalid value: ${jsonencode(try(var.gke.project_number, null))}: must be digits: gcloud projects describe PROJECT --format='value(projectNumber)'."
  }
}

variable "namespace" {
  description = "Namespace of the exporter."
  type        = string
  default     = "kms-csr-signer"
}

variable "network" {
  description = "The exporter's network: host, or pod, for which GKE's metadata server gives the exporter its identity."
  type        = string
  default     = "host"

  validation {
    condition     = contains(["host", "pod"], var.network)
    error_message = "network: Unsupported value: ${jsonencode(var.network)}: supported values: \"host\", \"pod\"."
  }

  validation {
    condition     = var.network != "pod" || var.gke != null
    error_message = "network: Invalid value: ${jsonencode(var.network)}: must be \"host\" without gke: only GKE's metadata server gives a pod its identity."
  }
}

variable "oidc" {
  description = "Any other cluster: issuer of its service account tokens (kube-apiserver's --service-account-issuer), and its public keys as a JWKS (kubectl get --raw /openid/v1/jwks) if the issuer is not on the internet."
  type = object({
    issuer = string
    jwks   = optional(string)
  })
  default = null

  validation {
    condition     = var.oidc == null || can(regex("^https://", var.oidc.issuer))
    error_message = "oidc.issuer: Invalid value: ${jsonencode(try(var.oidc.issuer, null))}: must be the https URL in the `iss` of the cluster's tokens: kubectl get --raw /.well-known/openid-configuration."
  }

  validation {
    condition     = try(var.oidc.jwks, null) == null || can(jsondecode(var.oidc.jwks).keys[0].kid)
    error_message = "oidc.jwks: Invalid value: must be a JSON Web Key Set with at least one key: kubectl get --raw /openid/v1/jwks."
  }
}

variable "project" {
  description = "Project of the service account and the pool."
  type        = string
}

variable "project_number" {
  description = "Number of the project; the pool's name contains it."
  type        = string

  validation {
    condition     = can(regex("^[0-9]+$", var.project_number))
    error_message = "project_number: Invalid value: \"${var.project_number}\": must be digits: gcloud projects describe PROJECT --format='value(projectNumber)'."
  }
}

variable "service_account" {
  description = "Kubernetes service account of the exporter. On GKE, each cluster of a project needs a different name."
  type        = string
  default     = "csr-exporter"

  validation {
    # Google limits google.subject to 127 characters.
    condition     = length("system:serviceaccount:${var.namespace}:${var.service_account}") <= 127
    error_message = "service_account, namespace: Too long: must have at most 104 characters together, because Google limits subjects to 127."
  }
}
