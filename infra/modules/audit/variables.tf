variable "audit_project" {
  description = "Project that holds the log bucket, the metrics, the alerts and the dashboard; choose one where no operator of the signer may delete logs."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.audit_project))
    error_message = "audit_project: Invalid value: \"${var.audit_project}\": must be a project ID: 6 to 30 lower-case letters, digits and hyphens, not a project number."
  }
}

variable "crypto_keys" {
  description = "The signers' keys, projects/P/locations/L/keyRings/R/cryptoKeys/K each; all in key_project."
  type        = set(string)

  validation {
    condition = length(var.crypto_keys) > 0 && alltrue([
      for key in var.crypto_keys : can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[A-Za-z0-9_-]+$", key))
    ])
    error_message = "crypto_keys: Invalid value: ${jsonencode(var.crypto_keys)}: must be at least one key, projects/P/locations/L/keyRings/R/cryptoKeys/K, and not a key version."
  }

  validation {
    condition     = alltrue([for key in var.crypto_keys : startswith(key, "projects/${var.key_project}/")])
    error_message = "crypto_keys: Invalid value: ${jsonencode(var.crypto_keys)}: must be in key_project, because this audit trail cannot see keys of another project."
  }
}

variable "encryption_key" {
  description = "Key of Cloud KMS that encrypts the log bucket at rest, projects/P/locations/L/keyRings/R/cryptoKeys/K, in the bucket's location; null: Google's own keys. Terraform lets Cloud Logging's service agent use the key. Set it before the first apply: the module refuses to change or remove it, because Google's documentation contradicts itself on changes, and says that a key cannot be removed."
  type        = string
  default     = null

  validation {
    condition     = var.encryption_key == null || can(regex("^projects/[^/]+/locations/${var.location}/keyRings/[^/]+/cryptoKeys/[^/]+$", var.encryption_key))
    error_message = "encryption_key: Invalid value: ${jsonencode(var.encryption_key)}: must be the full name of a key in the log bucket's location, projects/P/locations/${var.location}/keyRings/R/cryptoKeys/K."
  }
}

variable "exporter_namespace" {
  description = "Namespace of the exporter in every cluster."
  type        = string
  default     = "kms-csr-signer"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.exporter_namespace))
    error_message = "exporter_namespace: Invalid value: \"${var.exporter_namespace}\": must be the name of a Kubernetes namespace."
  }
}

variable "exporter_projects" {
  description = "Projects whose Cloud Logging receives the exporters' lines, as for GKE clusters. Clusters that keep their logs elsewhere cause no alerts on undelivered CSRs."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for project in var.exporter_projects : can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", project))])
    error_message = "exporter_projects: Invalid value: ${jsonencode(var.exporter_projects)}: must be project IDs: 6 to 30 lower-case letters, digits and hyphens each."
  }
}

variable "function_project" {
  description = "Project of the function."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.function_project))
    error_message = "function_project: Invalid value: \"${var.function_project}\": must be a project ID: 6 to 30 lower-case letters, digits and hyphens, not a project number."
  }
}

variable "function_service_account" {
  description = "Email of the function's service account."
  type        = string

  validation {
    condition     = can(regex("^[^@\\s\":]+@[^@\\s\":]+$", var.function_service_account))
    error_message = "function_service_account: Invalid value: ${jsonencode(var.function_service_account)}: must be an email address without the prefix serviceAccount:, as audit logs show it."
  }
}

variable "key_project" {
  description = "Project of the keys; Cloud KMS logs their use there."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.key_project))
    error_message = "key_project: Invalid value: \"${var.key_project}\": must be a project ID: 6 to 30 lower-case letters, digits and hyphens, not a project number."
  }
}

variable "labels" {
  description = "Labels of the alert policies, of the service and of its objective; the other resources have none."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", name)) && can(regex("^[a-z0-9_-]{0,63}$", value))])
    error_message = "labels: Invalid value: ${jsonencode(var.labels)}: must have keys and values of at most 63 lower-case letters, digits, hyphens and underscores; a key begins with a letter."
  }
}

variable "link_key_project" {
  description = "Add key_project to the metrics scope of audit_project, so that the quota alert sees it. It needs monitoring.metricsScopes.link (roles/monitoring.metricsScopesAdmin) on both projects. false: the scope already includes key_project, for example by another deployment, or you do without the alert."
  type        = bool
  default     = true
}

variable "location" {
  description = "Location of the log bucket, a region or global; you cannot change it later."
  type        = string

  validation {
    condition     = can(regex("^(global|eu|us|[a-z]+-[a-z]+[0-9]+)$", var.location))
    error_message = "location: Invalid value: \"${var.location}\": must be a region such as europe-west1, or global, eu or us, and not a zone."
  }
}

variable "locked" {
  description = "Lock the log bucket: then no principal can shorten its retention or delete its entries early, not even terraform destroy. You cannot undo this."
  type        = bool
  default     = false
}

variable "name" {
  description = "Names of buckets, sinks, metrics and alerts begin with it: a second deployment in the same projects needs another name."
  type        = string
  default     = "csr-signer"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,38}[a-z0-9]$", var.name))
    error_message = "name: Invalid value: \"${var.name}\": must have 2 to 40 lower-case letters, digits and hyphens."
  }
}

variable "notification_channels" {
  description = "Notification channels of the alerts, projects/P/notificationChannels/N each. Empty: incidents show in Cloud Monitoring only."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for channel in var.notification_channels : can(regex("^projects/[^/]+/notificationChannels/[^/]+$", channel))])
    error_message = "notification_channels: Invalid value: ${jsonencode(var.notification_channels)}: must be full names, projects/P/notificationChannels/N each."
  }
}

variable "retention_days" {
  description = "How many days to keep records: longer than a certificate's lifetime, so that you can explain each certificate in use."
  type        = number
  default     = 400

  validation {
    condition     = var.retention_days >= 1 && var.retention_days <= 3650 && floor(var.retention_days) == var.retention_days
    error_message = "retention_days: Invalid value: ${var.retention_days}: must be a whole number from 1 to 3650."
  }
}

variable "service_name" {
  description = "Name of the function's Cloud Run service."
  type        = string
}

variable "signatures_per_pod_and_hour" {
  description = "Signatures for one pod in one hour above which an alert opens; a pod that starts requests one or two."
  type        = number
  default     = 10

  validation {
    condition     = var.signatures_per_pod_and_hour >= 1
    error_message = "signatures_per_pod_and_hour: Invalid value: ${var.signatures_per_pod_and_hour}: must be at least 1."
  }
}

variable "undelivered_seconds" {
  description = "Age of the oldest CSR that the function has not acknowledged, above which an alert opens. Calico's pods give up after 90 s."
  type        = number
  default     = 60

  validation {
    condition     = var.undelivered_seconds >= 1 && floor(var.undelivered_seconds) == var.undelivered_seconds
    error_message = "undelivered_seconds: Invalid value: ${var.undelivered_seconds}: must be a whole number of at least 1."
  }
}
