variable "binary_authorization_policy" {
  description = "Binary Authorization policy that images must pass, for example projects/P/platforms/cloudRun/policies/POLICY, or `default`; null asks for none."
  type        = string
  default     = null
}

variable "callers" {
  description = "Where the clusters are: same-vpc, perimeter or internet."
  type        = string
}

variable "concurrency" {
  description = "Requests that an instance serves at once."
  type        = number
}

variable "configuration" {
  description = "Path of the configuration document, as the function sees it."
  type        = string
}

variable "encryption_key" {
  description = "Key of Cloud KMS that encrypts the image at rest; null: Google's own keys."
  type        = string
  default     = null
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
  description = "Maximum number of instances."
  type        = number
}

variable "memory" {
  description = "MiB of memory of an instance."
  type        = number
}

variable "min_instances" {
  description = "Instances that always run. With 1, the first pods do not wait for an instance to start."
  type        = number
}

variable "name" {
  description = "Name of the service."
  type        = string
}

variable "network" {
  description = "Direct VPC egress: network, subnetwork, network tags, and the traffic that uses it: private-ranges-only or all-traffic; null: none."
  type = object({
    egress     = optional(string, "private-ranges-only")
    network    = string
    subnetwork = string
    tags       = optional(list(string), [])
  })
  default = null
}

variable "project" {
  description = "Project of the function."
  type        = string
}

variable "service_account" {
  description = "Email of the account that the function runs as."
  type        = string
}
