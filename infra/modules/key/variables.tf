variable "administrator" {
  description = "The principal that makes CA certificates, and the RFC 3339 time at which its grants on the keys end; null: no principal."
  type = object({
    member = string
    until  = string
  })
  default = null
}

variable "existing_keys" {
  description = "Full names of keys that exist already and that the signers may use too, projects/P/locations/L/keyRings/R/cryptoKeys/K each."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for key in var.existing_keys : startswith(key, "projects/${var.project}/")])
    error_message = "existing_keys: Invalid value: ${jsonencode(var.existing_keys)}: must be keys of the project ${var.project}, so that one project shows all principals that may sign."
  }
}

variable "key_ring" {
  description = "Name of the key ring; you can never delete or rename it."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.key_ring))
    error_message = "key_ring: Invalid value: \"${var.key_ring}\": must have at most 63 lower-case letters, digits and hyphens."
  }
}

variable "keys" {
  description = "The keys to create, by name: algorithm and protection level of their versions."
  type = map(object({
    algorithm        = string
    protection_level = string
  }))

  validation {
    condition     = alltrue([for name in keys(var.keys) : can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", name))])
    error_message = "keys: Invalid value: ${jsonencode(keys(var.keys))}: must be names of at most 63 lower-case letters, digits and hyphens."
  }

  validation {
    condition = alltrue([for key in values(var.keys) : contains([
      "EC_SIGN_ED25519", "EC_SIGN_P256_SHA256", "EC_SIGN_P384_SHA384",
      "RSA_SIGN_PKCS1_2048_SHA256", "RSA_SIGN_PKCS1_3072_SHA256", "RSA_SIGN_PKCS1_4096_SHA256", "RSA_SIGN_PKCS1_4096_SHA512",
      "RSA_SIGN_PSS_2048_SHA256", "RSA_SIGN_PSS_3072_SHA256", "RSA_SIGN_PSS_4096_SHA256", "RSA_SIGN_PSS_4096_SHA512",
      "RSA_SIGN_RAW_PKCS1_2048", "RSA_SIGN_RAW_PKCS1_3072", "RSA_SIGN_RAW_PKCS1_4096",
    ], key.algorithm)])
    error_message = "keys[*].algorithm: Unsupported value: ${jsonencode({ for name, key in var.keys : name => key.algorithm })}: must be an algorithm that the function can sign with: EC_SIGN_P384_SHA384, or RSA_SIGN_PKCS1_3072_SHA256 for old clients."
  }

  validation {
    condition     = alltrue([for key in values(var.keys) : contains(["SOFTWARE", "HSM"], key.protection_level)])
    error_message = "keys[*].protection_level: Unsupported value: ${jsonencode({ for name, key in var.keys : name => key.protection_level })}: supported values: \"HSM\", \"SOFTWARE\" (only for trials). A key of HSM_SINGLE_TENANT needs its own HSM instance, which this module does not create: create the key, and list it in existing_keys."
  }
}

variable "labels" {
  description = "Labels of the keys."
  type        = map(string)
  default     = {}
}

variable "leaving_keys" {
  description = "Full names of keys that the function may use until it is deployed without them; the administrator may not."
  type        = set(string)
  default     = []
}

variable "location" {
  description = "Region of the key ring; you can never change it."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.location))
    error_message = "location: Invalid value: \"${var.location}\": must be a region such as europe-west1. The location global promises no HSM."
  }
}

variable "project" {
  description = "Project of the keys, preferably one that holds nothing else, because an owner of the project can sign with its keys."
  type        = string
}

variable "raw_keys" {
  description = "Full names of those keys whose algorithm is RSA_SIGN_RAW_PKCS1_*: their users need one more right."
  type        = set(string)
  default     = []
}

variable "retired_keys" {
  description = "Keys of retired signers, by name, as they were in keys: they stay, because the certificates of their CAs are still in use, and no principal has a grant on them."
  type = map(object({
    algorithm        = string
    protection_level = string
  }))
  default = {}

  validation {
    condition     = length(setintersection(keys(var.retired_keys), keys(var.keys))) == 0
    error_message = "retired_keys: Invalid value: ${jsonencode(keys(var.retired_keys))}: must not be in keys too: ${jsonencode(keys(var.keys))}."
  }
}

variable "signers" {
  description = "IAM members that may sign with the keys and read their public keys, at all times: the function."
  type        = set(string)

  validation {
    condition     = alltrue([for member in var.signers : can(regex("^(serviceAccount|user):[^@\\s:]+@[^@\\s:]+$", member))])
    error_message = "signers: Invalid value: ${jsonencode(var.signers)}: must be single principals, serviceAccount:EMAIL or user:EMAIL. A group or a domain would hide the members that can sign, and allUsers would let anyone sign."
  }
}
