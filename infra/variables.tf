variable "audit" {
  description = "The audit trail (modules/audit), for example { project = \"example-audit\" }. null: no trail, and KMS logs no signature; only for trials, so you must set null explicitly."
  type = object({
    encryption_key        = optional(string)           # of the log bucket, in its location; null: Google's own keys; you cannot change it later
    link_key_project      = optional(bool, true)       # false if the metrics scope of project includes key_project already, as with a second deployment
    location              = optional(string)           # of the log bucket, for example europe-west4; null: location
    locked                = optional(bool, false)      # true for ever: nobody can delete a record early, and terraform destroy fails until the last one expires
    notification_channels = optional(list(string), []) # of the alerts: ["projects/example-audit/notificationChannels/1"]
    project               = string                     # holds the log bucket, metrics, alerts and dashboard
    retention_days        = optional(number, 400)      # how long the log bucket keeps records
  })

  validation {
    condition     = try(var.audit.encryption_key, null) == null || can(regex("^projects/[^/]+/locations/${coalesce(var.audit.location, var.location)}/keyRings/[^/]+/cryptoKeys/[^/]+$", var.audit.encryption_key))
    error_message = "audit.encryption_key: Invalid value: ${jsonencode(try(var.audit.encryption_key, null))}: must be the full name of a key in the log bucket's location, projects/P/locations/${try(coalesce(var.audit.location, var.location), "L")}/keyRings/R/cryptoKeys/K."
  }
}

variable "binary_authorization_policy" {
  description = "Binary Authorization policy that the image must pass, for example projects/P/platforms/cloudRun/policies/POLICY. The text \"default\" names the project's own policy; null: none. Only with image."
  type        = string
  default     = null

  validation {
    condition     = var.binary_authorization_policy == null || var.image != null
    error_message = "binary_authorization_policy: Forbidden: without image: Google builds a function's image, and no attestor has signed it. Set image to an image that your pipeline built and attested."
  }
}

variable "build_environment" {
  description = "Environment variables of the build, which are not secret, for example { PIP_INDEX_URL = \"https://pypi.example.com/simple/\" }."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(var.build_environment) == 0 || var.image == null
    error_message = "build_environment: Forbidden: together with image, because Terraform builds nothing then."
  }
}

variable "ca_administrator" {
  description = "The principal that makes CA certificates with signerctl, for example user:alice@example.com. It may sign only until ca_administrator_until, and each of its signatures raises an alert."
  type        = string

  validation {
    condition     = can(regex("^(user|serviceAccount):[^@\\s:]+@[^@\\s:]+$", var.ca_administrator))
    error_message = "ca_administrator: Invalid value: ${jsonencode(var.ca_administrator)}: must be one principal, user:EMAIL or serviceAccount:EMAIL; a group hides who can sign."
  }
}

variable "ca_administrator_until" {
  description = "The time until which ca_administrator may sign with all keys, for example 2026-11-26T18:00:00Z; null: only the function may sign. Give it on the command line, -var ca_administrator_until=TIME: the next apply without it removes the right."
  type        = string
  default     = null

  validation {
    condition     = var.ca_administrator_until == null || can(regex("Z$", var.ca_administrator_until)) && try(timecmp(var.ca_administrator_until, plantimestamp()) > 0 && timecmp(var.ca_administrator_until, timeadd(plantimestamp(), "24h")) <= 0, false)
    error_message = "ca_administrator_until: Invalid value: ${jsonencode(var.ca_administrator_until)}: must be an RFC 3339 time in UTC within 24 hours from ${plantimestamp()}."
  }
}

variable "callers" {
  description = "Where the clusters are: same-vpc (VPC networks of this project or its Shared VPC), perimeter (the same perimeter of VPC Service Controls), or internet (anywhere; only IAM limits the callers). For the first two, nodes reach run.app by Private Google Access or Private Service Connect."
  type        = string

  validation {
    condition     = contains(["same-vpc", "perimeter", "internet"], var.callers)
    error_message = "callers: Unsupported value: \"${var.callers}\": supported values: \"same-vpc\", \"perimeter\", \"internet\". If the choice is too narrow, the exporter gets HTTP 404."
  }
}

variable "clusters" {
  description = "The clusters, at most 16, by a short name of your choice. infra/examples has one of each kind. Set exactly one of gke (a GKE cluster) and oidc (every other cluster): it is the issuer of the cluster's service account tokens."
  type = map(object({
    access                   = string                            # gke-dns, gke-private, connect-gateway, or oidc for every other API server
    address_ranges           = optional(list(string), [])        # networks of all pods and nodes: ["10.0.0.0/8"]; empty: all addresses
    audience                 = optional(string)                  # for access oidc: an unguessable audience of its own
    certificate_authority    = optional(string)                  # for access oidc: the API server's CA, file("api-server.pem")
    cluster_domain           = optional(string, "cluster.local") # of service names
    credential_id            = optional(string, "required")      # waived: for Kubernetes before 1.32, whose tokens have no credential ID
    exporter_network         = optional(string, "host")          # pod: on GKE, only if the pod network works without this signer's certificates; with Calico: host
    exporter_service_account = optional(string, "csr-exporter")  # in Kubernetes; each cluster of a GKE project needs its own
    fleet_project            = optional(string)                  # for access connect-gateway: the fleet's project; null: the variable project
    gke = optional(object({
      location = string # "europe-west1"
      name     = string # "prod"
      project  = string # "example-clusters"
    }))
    oidc = optional(object({
      issuer = string           # the iss of the tokens: "https://kubernetes.default.svc.cluster.local"
      jwks   = optional(string) # the issuer's keys, file("jwks.json"); null: Google fetches them from the issuer
    }))
    server              = optional(string)      # https URL of the API server; absent for gke-private
    shared_trust_domain = optional(bool, false) # true: this cluster and others with true may share a CA, so their owners can impersonate each other's components
  }))

  validation {
    condition     = length(var.clusters) > 0 && alltrue([for name in keys(var.clusters) : can(regex("^[a-z0-9]([a-z0-9-]{0,15}[a-z0-9])?$", name))])
    error_message = "clusters: Invalid value: ${jsonencode(keys(var.clusters))}: must have at least one key, each with at most 17 lower-case letters, digits and hyphens, because Terraform makes account names from it."
  }

  validation {
    condition     = length(var.clusters) <= 16
    error_message = "clusters: Too many: ${length(var.clusters)}: must have at most 16 items, because they share one function, its memory and its CPU. Deploy another function for further clusters."
  }

  validation {
    condition     = alltrue([for cluster in values(var.clusters) : contains(["gke-dns", "gke-private", "connect-gateway", "oidc"], cluster.access)])
    error_message = "clusters[*].access: Unsupported value: ${jsonencode({ for name, cluster in var.clusters : name => cluster.access })}: supported values: \"gke-dns\", \"gke-private\", \"connect-gateway\", \"oidc\". infra/examples has one of each."
  }

  validation {
    condition     = alltrue([for cluster in values(var.clusters) : (cluster.gke == null) != (cluster.oidc == null) && (cluster.gke != null || !startswith(cluster.access, "gke-"))])
    error_message = "clusters[*]: Invalid value: ${jsonencode({ for name, cluster in var.clusters : name => compact([cluster.gke == null ? "" : "gke", cluster.oidc == null ? "" : "oidc"]) })}: must have exactly one of gke and oidc, the issuer of its service account tokens: gke for GKE, oidc for every other cluster. Access \"gke-dns\" and \"gke-private\" need gke; access is ${jsonencode({ for name, cluster in var.clusters : name => cluster.access })}."
  }

  validation {
    condition = alltrue([for cluster in values(var.clusters) : cluster.access == "gke-private" ? cluster.server == null : can(regex(lookup({
      connect-gateway = "^https://connectgateway\\.googleapis\\.com/v1/projects/[0-9]+/locations/[a-z0-9-]+/${cluster.gke == null ? "memberships" : "gkeMemberships"}/[^/]+$"
      gke-dns         = "^https://([a-z0-9-]+\\.)+gke\\.goog/?$"
    }, cluster.access, "^https://[^/?#@]+(/[^?#]*)?$"), cluster.server))])
    error_message = "clusters[*].server: Invalid value: ${jsonencode({ for name, cluster in var.clusters : name => cluster.server })}: must be an https URL without user, query or fragment; with access \"gke-dns\" the DNS-based endpoint, https://gke-....gke.goog (gcloud container clusters describe CLUSTER --format='value(controlPlaneEndpointsConfig.dnsEndpointConfig.endpoint)'); with \"connect-gateway\" https://connectgateway.googleapis.com/v1/projects/NUMBER/locations/LOCATION/memberships/NAME (gkeMemberships for GKE). With \"gke-private\" it must be absent, because Terraform reads address and CA from the cluster. Access is ${jsonencode({ for name, cluster in var.clusters : name => cluster.access })}."
  }

  validation {
    condition = alltrue([for cluster in values(var.clusters) :
      cluster.access == "oidc" ? can(regex("-----BEGIN CERTIFICATE-----", cluster.certificate_authority)) : cluster.certificate_authority == null
    ])
    error_message = "clusters[*].certificate_authority: Invalid value: must be the API server's CA as PEM with access \"oidc\". With every other access it must be absent: Google's hosts have public certificates, and Terraform reads the CA of gke-private from the cluster. Access is ${jsonencode({ for name, cluster in var.clusters : name => cluster.access })}."
  }

  validation {
    condition     = alltrue([for cluster in values(var.clusters) : cluster.access == "oidc" ? length(coalesce(cluster.audience, "-")) >= 16 && length([for other in values(var.clusters) : other if other.audience == cluster.audience]) == 1 : cluster.audience == null])
    error_message = "clusters[*].audience: Invalid value: ${jsonencode({ for name, cluster in var.clusters : name => cluster.audience })}: must be set with access \"oidc\" only, and be an audience of at least 16 characters that no other API server accepts, for example https://csr-signer.example.com/ followed by the output of uuidgen. Each cluster must have its own."
  }

  validation {
    condition     = length(distinct([for cluster in values(var.clusters) : "${cluster.gke.project}/${cluster.exporter_service_account}" if cluster.gke != null])) == length([for cluster in values(var.clusters) : cluster if cluster.gke != null])
    error_message = "clusters[*].exporter_service_account: Duplicate value: ${jsonencode({ for name, cluster in var.clusters : name => cluster.exporter_service_account })}: each cluster of a GKE project must have its own: the project has one identity pool, and equal names in it are one identity."
  }

  validation {
    condition     = alltrue(flatten([for cluster in values(var.clusters) : [for range in cluster.address_ranges : try(cidrhost(range, 0) == split("/", range)[0], false) || (can(cidrhost(range, 0)) && strcontains(range, ":"))]]))
    error_message = "clusters[*].address_ranges: Invalid value: ${jsonencode({ for name, cluster in var.clusters : name => cluster.address_ranges })}: must be in CIDR notation without host bits, such as 10.0.0.0/8 or fd00::/8."
  }

  validation {
    condition     = length(distinct([for name, cluster in var.clusters : try("${cluster.gke.project}/${cluster.gke.location}/${cluster.gke.name}", name)])) == length(var.clusters)
    error_message = "clusters: Duplicate value: ${jsonencode({ for name, cluster in var.clusters : name => try("${cluster.gke.project}/${cluster.gke.location}/${cluster.gke.name}", name) })}: each cluster must have one entry, which can have several signers."
  }

  validation {
    condition     = alltrue([for cluster in values(var.clusters) : contains(cluster.gke == null ? ["host"] : ["host", "pod"], cluster.exporter_network)])
    error_message = "clusters[*].exporter_network: Unsupported value: ${jsonencode({ for name, cluster in var.clusters : name => cluster.exporter_network })}: supported values: \"host\"; for a cluster with gke also \"pod\", because only GKE's metadata server gives a pod its identity."
  }

  validation {
    condition     = alltrue([for cluster in values(var.clusters) : contains(["required", "waived"], cluster.credential_id)])
    error_message = "clusters[*].credential_id: Unsupported value: ${jsonencode({ for name, cluster in var.clusters : name => cluster.credential_id })}: supported values: \"required\", \"waived\" (only for Kubernetes before 1.32)."
  }
}

variable "deployer" {
  description = "Principal that applies this configuration, if it does not own the project, for example serviceAccount:terraform@example-signer.iam.gserviceaccount.com. Terraform allows it to deploy as the function's account and to build as the build's account. null: no grant."
  type        = string
  default     = null

  validation {
    condition     = var.deployer == null || can(regex("^(user|serviceAccount):[^@\\s:]+@[^@\\s:]+$", var.deployer))
    error_message = "deployer: Invalid value: ${jsonencode(var.deployer)}: must be one principal, user:EMAIL or serviceAccount:EMAIL."
  }
}

variable "encryption_key" {
  description = "Key of Cloud KMS that encrypts image, source and configuration at rest, projects/P/locations/L/keyRings/R/cryptoKeys/K; null: Google's own keys. Never a signer's key. The audit records have a key of their own, audit.encryption_key. Terraform grants its use, so the deployer needs the right to set the key's IAM policy."
  type        = string
  default     = null

  validation {
    condition     = var.encryption_key == null || can(regex("^projects/[^/]+/locations/${var.location}/keyRings/[^/]+/cryptoKeys/[^/]+$", var.encryption_key))
    error_message = "encryption_key: Invalid value: ${jsonencode(var.encryption_key)}: must be the full name of a key in the function's region, projects/P/locations/${var.location}/keyRings/R/cryptoKeys/K."
  }
}

variable "exporter_namespace" {
  description = "Namespace of the exporter in every cluster."
  type        = string
  default     = "kms-csr-signer"

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", var.exporter_namespace)) && !can(regex("^(default$|kube-|calico|tigera)", var.exporter_namespace))
    error_message = "exporter_namespace: Invalid value: \"${var.exporter_namespace}\": must begin with a letter, and name a namespace for the exporter alone: the guards refuse other pods in it, and uninstalling deletes it."
  }
}

variable "image" {
  description = "Image of function/ by digest, REPOSITORY@sha256:DIGEST, to run as a Cloud Run service; null: Terraform builds a Cloud Function from source. Prefer an image that was built in another project: the account of a build could forge the function's records (docs/evidence.md)."
  type        = string
  default     = null

  validation {
    condition     = var.image == null || can(regex("^[^@\\s]+@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image: Invalid value: ${jsonencode(var.image)}: must be REPOSITORY@sha256:DIGEST. A tag can point to other code after its review."
  }
}

variable "key_location" {
  description = "Region of the key ring, for example europe-west4; null: location. A key cannot move: another region needs a new CA (docs/recovery.md)."
  type        = string
  default     = null

  validation {
    condition     = var.key_location == null || can(regex("^[a-z]+-[a-z]+[0-9]+$", var.key_location))
    error_message = "key_location: Invalid value: ${jsonencode(var.key_location)}: must be a region such as europe-west1. The location global promises no HSM."
  }
}

variable "key_project" {
  description = "Project of the keys, for example example-keys; preferably one that holds nothing else, because an owner of the project can sign with its keys."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.key_project))
    error_message = "key_project: Invalid value: \"${var.key_project}\": must be a project ID, 6 to 30 lower-case letters, digits and hyphens, and not a number or display name."
  }
}

# modules/key validates it.
variable "key_ring" {
  description = "Name of the key ring; you can never delete or rename it."
  type        = string
  default     = "csr-signer"
}

variable "labels" {
  description = "Labels of all resources that can have labels, for example { team = \"platform\" }."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", name)) && can(regex("^[a-z0-9_-]{0,63}$", value))])
    error_message = "labels: Invalid value: ${jsonencode(var.labels)}: must have keys and values of at most 63 lower-case letters, digits, hyphens and underscores; a key begins with a letter."
  }
}

variable "location" {
  description = "Region of the function, for example europe-west1: the region of the clusters, or a near one. Keys and audit trail are there too, unless key_location and audit.location name other locations."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.location))
    error_message = "location: Invalid value: \"${var.location}\": must be a region such as europe-west1."
  }
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
  description = "Instances that always run. With 1, the first pods do not wait for an instance to start. null: 1 with network, otherwise 0."
  type        = number
  default     = null

  validation {
    condition     = var.min_instances == null || try(var.min_instances >= (var.network == null ? 0 : 1) && var.min_instances <= var.max_instances && floor(var.min_instances) == var.min_instances, false)
    error_message = "min_instances: Invalid value: ${jsonencode(var.min_instances)}: must be a whole number from 0 to max_instances; with network at least 1: with Direct VPC egress, a new instance may need a minute until it reaches the API server, and pods wait at most 90 s."
  }
}

variable "name" {
  description = "Name of the function, of its Cloud Run service and of its account; the names of its parts begin with it."
  type        = string
  default     = "csr-signer"

  validation {
    # A service account's name has 6 to 30 characters. Terraform makes the accounts NAME and NAME-build.
    condition     = can(regex("^[a-z][a-z0-9-]{4,22}[a-z0-9]$", var.name))
    error_message = "name: Invalid value: \"${var.name}\": must have 6 to 24 lower-case letters, digits and hyphens, because NAME and NAME-build are names of service accounts."
  }
}

variable "network" {
  description = "Direct VPC egress, for API servers at private addresses, for example { network = \"main\", subnetwork = \"functions\" }; null: none."
  type = object({
    egress     = optional(string, "private-ranges-only") # all-traffic: also to public addresses, which then needs Cloud NAT or Private Google Access
    network    = string                                  # of a Shared VPC the full name, projects/HOST/global/networks/N; Cloud Run's service agent needs roles/compute.networkUser there
    subnetwork = string                                  # in the function's region; of a Shared VPC the full name, projects/HOST/regions/R/subnetworks/S
    tags       = optional(list(string), [])              # network tags, for firewall rules
  })
  default = null

  validation {
    condition     = var.network == null || contains(["private-ranges-only", "all-traffic"], try(var.network.egress, ""))
    error_message = "network.egress: Unsupported value: \"${try(var.network.egress, "")}\": supported values: \"private-ranges-only\", \"all-traffic\"."
  }

  validation {
    condition     = alltrue([for cluster in values(var.clusters) : cluster.access != "gke-private" || var.network != null])
    error_message = "network: Required value: must be set with access \"gke-private\": without Direct VPC egress, the function cannot reach a private address."
  }

  validation {
    # Internal ingress knows the VPC networks of the function's own project, and the Shared VPC that the function is attached to.
    condition = var.callers != "same-vpc" || alltrue([for cluster in values(var.clusters) : cluster.gke == null || try(cluster.gke.project == var.project, false)]) || try(
      can(regex("^projects/[^/]+/global/networks/[^/]+$", var.network.network)) && can(regex("^projects/[^/]+/regions/[^/]+/subnetworks/[^/]+$", var.network.subnetwork)), false
    )
    error_message = "network: Invalid value: ${jsonencode(var.network)}: must be the Shared VPC of the clusters with full names, projects/HOST/global/networks/NETWORK and projects/HOST/regions/REGION/subnetworks/SUBNETWORK, because callers is \"same-vpc\" and a cluster is in another project than ${var.project}: otherwise the exporter gets HTTP 404. If they share no VPC network, set callers to \"perimeter\" or \"internet\"."
  }
}

variable "profiles" {
  description = "Your own profiles (docs/profiles.md), YAML by file name, for example { \"postgresql.yaml\" = file(\"postgresql.yaml\") }; a signer names the file in profile.name."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.profiles) : can(regex("^[a-z0-9][a-z0-9-]*\\.yaml$", name)) && name != "configuration.yaml"])
    error_message = "profiles: Invalid value: ${jsonencode(keys(var.profiles))}: must be file names of lower-case letters, digits and hyphens that end in .yaml, other than configuration.yaml."
  }

  validation {
    # The function loads a profile only from the document's own folder, and Cloud Run mounts each file in its own folder.
    condition     = var.image == null || length(var.profiles) == 0
    error_message = "profiles: Forbidden: together with image, which contains its profiles: put the file into function/csr_signer/profiles before you build the image, and name it in signers without its ending."
  }
}

variable "project" {
  description = "Project of the function and of the exporters' identities, for example example-signer."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project: Invalid value: \"${var.project}\": must be a project ID, 6 to 30 lower-case letters, digits and hyphens, and not a number or display name."
  }
}

variable "retired_signers" {
  description = "Signers that you removed: move an entry here from signers. Its key stays, because certificates of its CA are still in use; the function and ca_administrator have no right on it, and each use raises an alert. The alert also covers a key in key_version that Terraform did not create."
  type = map(object({
    key_algorithm    = optional(string, "EC_SIGN_P384_SHA384")
    key_version      = optional(string) # if the signer had one
    protection_level = optional(string, "HSM")
    signs            = optional(bool, false) # true: the function keeps its right until it is deployed without the signer; then remove it
  }))
  default = {}

  validation {
    condition     = length(setintersection(keys(var.retired_signers), keys(var.signers))) == 0
    error_message = "retired_signers: Invalid value: ${jsonencode(keys(var.retired_signers))}: must not be in signers too: ${jsonencode(keys(var.signers))}. A new signer needs a new name, because a key of Cloud KMS keeps its name for ever."
  }
}

variable "signers" {
  description = "The signers, by a name of your choice; a signer's key has the same name."
  type = map(object({
    approve        = optional(bool, true)                    # false: another approver decides, and you name it when you render the cluster's folder
    ca_certificate = optional(string)                        # null at first, so that Terraform makes the key; then what signerctl made, file("ca.pem")
    cluster        = string                                  # its name in clusters
    deferral_limit = optional(string)                        # CSR age at which the function waits no longer, for example for a pod, and refuses: "10m"; null: 5m
    key_algorithm  = optional(string, "EC_SIGN_P384_SHA384") # or RSA_SIGN_PKCS1_3072_SHA256 for old clients
    key_version    = optional(string)                        # projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N; null: version 1 of its own key
    lifetime       = optional(string)                        # of certificates: "90d"; null: the profile's, which is also the maximum
    profile = object({
      name       = string                    # calico, calico-enterprise, or a file name in profiles
      namespaces = optional(set(string), []) # only those that exist in the cluster; required for calico-enterprise and for calico before 3.31: ["calico-apiserver", "calico-system"]
      release    = optional(string)          # "3.31"
    })
    protection_level = optional(string, "HSM") # or HSM_SINGLE_TENANT; SOFTWARE only for trials
    signature_hash   = optional(string)        # SHA256, SHA384 or SHA512, only for a raw RSA key
    signer_name      = string                  # "csr-signer.example.com/calico"
    trust_bundle     = optional(string)        # the CAs that relying parties trust, file("trust.pem"); null: ca_certificate
  }))

  validation {
    condition     = length(var.signers) > 0 && alltrue([for name in keys(var.signers) : can(regex("^[a-z0-9]([a-z0-9-]{0,47}[a-z0-9])?$", name))])
    error_message = "signers: Invalid value: ${jsonencode(keys(var.signers))}: must have at least one key, each with at most 49 lower-case letters, digits and hyphens, because keys and files have these names."
  }

  validation {
    condition     = alltrue([for signer in values(var.signers) : can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+/[A-Za-z0-9._:/-]{1,317}$", signer.signer_name)) && !can(regex("^([a-z0-9-]+\\.)*(kubernetes|k8s)\\.io/", signer.signer_name))])
    error_message = "signers[*].signer_name: Invalid value: ${jsonencode({ for name, signer in var.signers : name => signer.signer_name })}: must be DOMAIN/NAME with a dot in DOMAIN, such as example.com/calico. Use your own domain: names below kubernetes.io and k8s.io belong to Kubernetes."
  }

  validation {
    condition     = alltrue([for signer in values(var.signers) : contains(keys(var.clusters), signer.cluster)])
    error_message = "signers[*].cluster: Not found: ${jsonencode({ for name, signer in var.signers : name => signer.cluster })}: clusters has ${jsonencode(keys(var.clusters))}."
  }

  validation {
    condition     = var.image != null || alltrue([for signer in values(var.signers) : contains(concat(["calico", "calico-enterprise"], keys(var.profiles)), signer.profile.name)])
    error_message = "signers[*].profile.name: Not found: ${jsonencode({ for name, signer in var.signers : name => signer.profile.name })}: must be \"calico\", \"calico-enterprise\", or a file name in profiles: ${jsonencode(keys(var.profiles))}."
  }

  validation {
    condition     = alltrue([for signer in values(var.signers) : signer.profile.release == null ? !contains(["calico", "calico-enterprise"], signer.profile.name) : can(regex("^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)$", signer.profile.release))])
    error_message = "signers[*].profile.release: Invalid value: ${jsonencode({ for name, signer in var.signers : name => signer.profile.release })}: must be MAJOR.MINOR, such as 3.31. The profiles calico and calico-enterprise require it, because components of different releases request different names."
  }

  validation {
    # Only for shipped profiles with several namespaces. Not every cluster has the namespace of Calico's API server (until 3.30).
    condition = alltrue([for signer in values(var.signers) :
      length(signer.profile.namespaces) > 0 || !(signer.profile.name == "calico-enterprise" || signer.profile.name == "calico" && can(regex("^[0-2]\\.|^3\\.([0-9]|[12][0-9]|30)$", signer.profile.release)))
    ])
    error_message = "signers[*].profile.namespaces: Required value: must list the namespaces that the cluster uses, such as [\"calico-apiserver\", \"calico-system\"], for the profile calico-enterprise and for calico before 3.31: an attacker who can create a listed but unused namespace gets its certificates; got ${jsonencode({ for name, signer in var.signers : name => signer.profile })}."
  }

  validation {
    condition     = length(distinct([for signer in values(var.signers) : "${signer.cluster} ${signer.signer_name}"])) == length(var.signers)
    error_message = "signers[*].signer_name: Duplicate value: ${jsonencode({ for name, signer in var.signers : name => "${signer.cluster} ${signer.signer_name}" })}: each signer of a cluster must have its own."
  }

  validation {
    condition     = alltrue([for signer in values(var.signers) : signer.key_version == null || can(regex("^projects/${var.key_project}/locations/[a-z0-9-]+/keyRings/[A-Za-z0-9_-]+/cryptoKeys/[A-Za-z0-9_-]+/cryptoKeyVersions/[1-9][0-9]*$", signer.key_version))])
    error_message = "signers[*].key_version: Invalid value: ${jsonencode({ for name, signer in var.signers : name => signer.key_version })}: must be the full name, projects/${var.key_project}/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N; an asymmetric key has no primary version. It must be in key_project: in another project, the function gets no grant, and the audit trail sees no signature."
  }

  validation {
    condition     = alltrue([for signer in values(var.signers) : startswith(signer.key_algorithm, "RSA_SIGN_RAW_") ? contains(["SHA256", "SHA384", "SHA512"], coalesce(signer.signature_hash, "-")) : signer.signature_hash == null])
    error_message = "signers[*].signature_hash: Invalid value: ${jsonencode({ for name, signer in var.signers : name => signer.signature_hash })}: must be SHA256, SHA384 or SHA512 for a raw key (RSA_SIGN_RAW_PKCS1_*), which has no fixed hash, and absent for every other key. Prefer a key that is not raw."
  }

  validation {
    condition     = alltrue([for signer in values(var.signers) : contains(["SOFTWARE", "HSM", "HSM_SINGLE_TENANT"], signer.protection_level)])
    error_message = "signers[*].protection_level: Unsupported value: ${jsonencode({ for name, signer in var.signers : name => signer.protection_level })}: supported values: \"HSM\", \"HSM_SINGLE_TENANT\", \"SOFTWARE\" (only for trials)."
  }

  validation {
    condition = alltrue([for name, signer in var.signers :
      signer.protection_level != "HSM_SINGLE_TENANT"
      || !startswith(coalesce(signer.key_version, "projects/${var.key_project}/locations/${coalesce(var.key_location, var.location)}/keyRings/${var.key_ring}/cryptoKeys/${name}/"), "projects/${var.key_project}/locations/${coalesce(var.key_location, var.location)}/keyRings/${var.key_ring}/cryptoKeys/${name}/")
    ])
    error_message = "signers[*].key_version: Required value: must name an existing key version if protection_level is HSM_SINGLE_TENANT: such a key needs its own HSM instance, which this module does not create."
  }

  validation {
    condition = alltrue(flatten([for signer in values(var.signers) : [for pem in [signer.ca_certificate, signer.trust_bundle] :
      pem == null || (can(regex("-----BEGIN CERTIFICATE-----", pem)) && !can(regex("PRIVATE KEY-----", pem)))
    ]]))
    error_message = "signers[*].ca_certificate, signers[*].trust_bundle: Invalid value: must be certificates as PEM, such as file(\"ca.pem\"), not a file name and never a private key."
  }

  validation {
    # Calico trusts a CA and a common name. So with one CA, the owner of one cluster can impersonate the other's components,
    # and a requester of one profile those of the other. The condition compares the first certificate without the text
    # around it, and the key version.
    condition = alltrue([for pair in setproduct(keys(var.signers), keys(var.signers)) :
      var.signers[pair[0]].cluster == var.signers[pair[1]].cluster && var.signers[pair[0]].profile == var.signers[pair[1]].profile
      || var.signers[pair[0]].profile.name == var.signers[pair[1]].profile.name && try(var.clusters[var.signers[pair[0]].cluster].shared_trust_domain && var.clusters[var.signers[pair[1]].cluster].shared_trust_domain, false)
      || alltrue([for each in [compact(flatten([for name in pair : [
        replace(try(regex("(?s)-----BEGIN CERTIFICATE-----(.*?)-----END", var.signers[name].ca_certificate)[0], ""), "/\\s/", ""),
        coalesce(var.signers[name].key_version, "projects/${var.key_project}/locations/${coalesce(var.key_location, var.location)}/keyRings/${var.key_ring}/cryptoKeys/${name}/cryptoKeyVersions/1"),
      ]]))] : length(distinct(each)) == length(each)])
    ])
    error_message = "signers: Duplicate value: two clusters or two profiles share a CA certificate or key version. So an owner of one cluster, or a requester of one profile, could impersonate the other's components. Give each cluster and each profile its own signer with its own CA. Two clusters that are one trust domain may share a CA of one profile: set shared_trust_domain = true on both."
  }

  validation {
    condition     = alltrue([for signer in values(var.signers) : alltrue([for text in [signer.lifetime, signer.deferral_limit] : text == null || can(regex("^[1-9][0-9]{0,5}[mhd]$", text))])])
    error_message = "signers[*].lifetime, signers[*].deferral_limit: Invalid value: ${jsonencode({ for name, signer in var.signers : name => [signer.lifetime, signer.deferral_limit] })}: must be a number with m, h or d, such as 90d."
  }
}

variable "worker_pool" {
  description = "Private pool of Cloud Build that builds the function's image, projects/P/locations/L/workerPools/W; null: Google's shared pool. If P is another project, Cloud Functions' service agent needs roles/cloudbuild.customworkers.builder there (infra/README.md)."
  type        = string
  default     = null

  validation {
    condition     = var.worker_pool == null || can(regex("^projects/[^/]+/locations/[^/]+/workerPools/[^/]+$", var.worker_pool))
    error_message = "worker_pool: Invalid value: ${jsonencode(var.worker_pool)}: must be the full name of a pool, projects/P/locations/L/workerPools/W."
  }

  validation {
    condition     = var.worker_pool == null || var.image == null
    error_message = "worker_pool: Forbidden: together with image, because Terraform builds nothing then."
  }
}
