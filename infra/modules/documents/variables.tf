variable "documents" {
  description = "The configuration document and the certificates that it names: content by file name."
  type        = map(string)

  validation {
    condition     = alltrue([for name in keys(var.documents) : can(regex("^[a-z0-9][a-z0-9.-]{0,79}$", name))])
    error_message = "documents: Invalid value: ${jsonencode(keys(var.documents))}: must be file names of at most 80 lower-case letters, digits, hyphens and dots, because secrets and folders have these names."
  }

  validation {
    condition     = alltrue([for content in values(var.documents) : length(base64encode(content)) < 87384])
    error_message = "documents: Too long: ${jsonencode({ for name, content in var.documents : name => length(content) })}: must have less than 65536 bytes each, because Secret Manager allows no larger secret."
  }
}

variable "encryption_key" {
  description = "Key of Cloud KMS that encrypts the documents at rest, projects/P/locations/L/keyRings/R/cryptoKeys/K; null: Google's own keys."
  type        = string
  default     = null
}

variable "labels" {
  description = "Labels of the secrets."
  type        = map(string)
  default     = {}
}

variable "location" {
  description = "Region of the secrets: the function's."
  type        = string
}

variable "name" {
  description = "Name of the function; the secrets' names begin with it."
  type        = string
}

variable "project" {
  description = "Project of the secrets: the function's."
  type        = string
}

variable "service_account" {
  description = "Email of the account that the function runs as; it may read the documents."
  type        = string
}
