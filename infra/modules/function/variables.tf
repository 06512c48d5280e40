variable "archive" {
  description = "The zip file to build from, which has the documents too: path on this machine, and name of the object."
  type = object({
    name = string
    path = string
  })
}

variable "build_environment" {
  description = "Environment variables of the build."
  type        = map(string)
  default     = {}
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

variable "deployer" {
  description = "Principal that applies this configuration, if it does not own the project. Terraform allows it to build as the build's account. null: no grant."
  type        = string
  default     = null

  validation {
    condition     = var.deployer == null || can(regex("^(user|serviceAccount):[^@\\s:]+@[^@\\s:]+$", var.deployer))
    error_message = "deployer: Invalid value: ${jsonencode(var.deployer)}: must be one principal, user:EMAIL or serviceAccount:EMAIL."
  }
}

variable "encryption_key" {
  description = "Key of Cloud KMS that encrypts source and image at rest; null: Google's own keys."
  type        = string
  default     = null
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
  description = "Region of the function."
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
  description = "Name of the function and its Cloud Run service; the names of its parts begin with it."
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

variable "project_number" {
  description = "Number of the project; the name of Cloud Functions' staging bucket contains it."
  type        = string
}

variable "service_account" {
  description = "Email of the account that the function runs as."
  type        = string
}

variable "worker_pool" {
  description = "Private pool of Cloud Build that builds the image, projects/P/locations/L/workerPools/W; null: Google's shared pool."
  type        = string
  default     = null
}
