variable "binary_authorization_policy" {
  description = "Binary Authorization policy that images must pass, for example projects/P/platforms/cloudRun/policies/POLICY, or `default`; null asks for none."
  type        = string
  default     = null
}

variable "callers" {
  description = "Where the clusters are: same-vpc (VPC networks of this project or its Shared VPC), perimeter (the same VPC Service Controls perimeter), internet (anywhere else; then only IAM limits the callers). For same-vpc and perimeter, the nodes must reach run.app by Private Google Access or Private Service Connect; otherwise the call comes from the internet."
  type        = string

  validation {
    condition     = contains(["same-vpc", "perimeter", "internet"], var.callers)
    error_message = "callers: Unsupported value: \"${var.callers}\": supported values: \"same-vpc\", \"perimeter\", \"internet\". If the choice is too narrow, the exporter gets HTTP 404."
  }
}

variable "clusters" {
  description = "How many clusters call the function. An instance serves 16 requests of each cluster at once, so that no cluster takes another's share."
  type        = number

  validation {
    condition     = var.clusters >= 1 && var.clusters <= 62 && floor(var.clusters) == var.clusters
    error_message = "clusters: Invalid value: ${var.clusters}: must be a whole number from 1 to 62. Cloud Run gives an instance at most 1,000 requests at once."
  }
}

variable "configuration" {
  description = "Path of the configuration document, as the function sees it."
  type        = string
}

variable "encryption_key" {
  description = "Key of Cloud KMS that encrypts image, source and configuration at rest, projects/P/locations/L/keyRings/R/cryptoKeys/K; null: Google's own keys. The service agents of Cloud Run, Cloud Functions, Artifact Registry, Secret Manager and Cloud Storage need the right to use it. It must not be a signer's key."
  type        = string
  default     = null

  validation {
    condition     = var.encryption_key == null || can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", var.encryption_key))
    error_message = "encryption_key: Invalid value: ${jsonencode(var.encryption_key)}: must be the full name of a key, projects/P/locations/L/keyRings/R/cryptoKeys/K."
  }
}

variable "files" {
  description = "Documents to mount from Secret Manager, by file name (modules/documents)."
  type = map(object({
    folder  = string
    secret  = string
    version = string
  }))
}

variable "image" {
  description = "The function's image, by digest: REPOSITORY@sha256:DIGEST. Built from function/, for example with gcloud builds submit --pack, GOOGLE_FUNCTION_TARGET=handle."
  type        = string

  validation {
    condition     = can(regex("^[^@\\s]+@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image: Invalid value: \"${var.image}\": must be REPOSITORY@sha256:DIGEST. A tag can point to other code after its review."
  }
}

variable "invokers" {
  description = "IAM members that may call the function (the exporters), by keys of your choice that are known before the members exist."
  type        = map(string)

  validation {
    condition     = alltrue([for member in values(var.invokers) : can(regex("^serviceAccount:[^@\\s:]+@[^@\\s:]+$", member))])
    error_message = "invokers: Invalid value: ${jsonencode(values(var.invokers))}: must be single service accounts, serviceAccount:EMAIL. allUsers and allAuthenticatedUsers would let anyone call the signer, and Cloud Run accepts no federated principal."
  }
}

variable "labels" {
  description = "Labels of everything here that can have labels."
  type        = map(string)
  default     = {}
}

variable "location" {
  description = "Region of the service."
  type        = string
}

variable "max_instances" {
  description = "Maximum number of instances; each serves 16 requests of each cluster at once."
  type        = number
  default     = 10

  validation {
    condition     = var.max_instances >= 1 && var.max_instances <= 100 && floor(var.max_instances) == var.max_instances
    error_message = "max_instances: Invalid value: ${var.max_instances}: must be a whole number from 1 to 100: it limits what a flood of CSRs can cost."
  }
}

variable "min_instances" {
  description = "Instances that always run. With 1, the first pods do not wait for an instance to start."
  type        = number
  default     = 0

  validation {
    condition     = var.min_instances >= 0 && var.min_instances <= var.max_instances && floor(var.min_instances) == var.min_instances
    error_message = "min_instances: Invalid value: ${var.min_instances}: must be a whole number from 0 to max_instances."
  }
}

variable "name" {
  description = "Name of the function and its Cloud Run service; the names of its parts begin with it."
  type        = string

  validation {
    # A service account's name has 6 to 30 characters. Terraform makes the accounts NAME and NAME-build.
    condition     = can(regex("^[a-z][a-z0-9-]{4,22}[a-z0-9]$", var.name))
    error_message = "name: Invalid value: \"${var.name}\": must have 6 to 24 lower-case letters, digits and hyphens, because NAME and NAME-build are names of service accounts."
  }
}

variable "network" {
  description = "Direct VPC egress, for API servers at private addresses: names of network and subnetwork of the function's region, network tags, and the traffic that uses it: private-ranges-only, or all-traffic, which needs Cloud NAT or Private Google Access for public addresses."
  type = object({
    egress     = optional(string, "private-ranges-only")
    network    = string
    subnetwork = string
    tags       = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.network == null || contains(["private-ranges-only", "all-traffic"], try(var.network.egress, ""))
    error_message = "network.egress: Unsupported value: \"${try(var.network.egress, "")}\": supported values: \"private-ranges-only\", \"all-traffic\"."
  }
}

variable "project" {
  description = "Project of the function."
  type        = string
}

variable "service_account" {
  description = "Email of the account that the function runs as."
  type        = string
}
