resource "google_cloud_run_v2_service" "this" {
  project             = var.project
  location            = var.location
  name                = var.name
  description         = "Signs certificates for Kubernetes CertificateSigningRequests with keys in Cloud KMS."
  ingress             = var.callers == "internet" ? "INGRESS_TRAFFIC_ALL" : "INGRESS_TRAFFIC_INTERNAL_ONLY"
  labels              = var.labels
  deletion_protection = false # Terraform can create the service again; only the keys need protection

  template {
    service_account                  = var.service_account
    max_instance_request_concurrency = var.concurrency
    # Below the exporter's own time limit, and far below the 90 s after which Calico's pods give up.
    timeout        = "30s"
    encryption_key = var.encryption_key

    scaling {
      max_instance_count = var.max_instances
      min_instance_count = var.min_instances
    }

    containers {
      image = var.image

      resources {
        limits            = { cpu = "1", memory = "${var.memory}Mi" }
        cpu_idle          = true # Cloud Run bills only requests; without this line, it bills instances for their whole lifetime
        startup_cpu_boost = true
      }

      env {
        name  = "CSR_SIGNER_CONFIGURATION"
        value = var.configuration
      }

      env {
        name  = "GOOGLE_CLOUD_PROJECT"
        value = var.project
      }

      env {
        name  = "CSR_SIGNER_CONCURRENCY"
        value = tostring(var.concurrency)
      }

      dynamic "volume_mounts" {
        for_each = var.files

        content {
          name       = replace(volume_mounts.key, ".", "-")
          mount_path = volume_mounts.value.folder
        }
      }
    }

    dynamic "volumes" {
      for_each = var.files

      content {
        name = replace(volumes.key, ".", "-")

        secret {
          secret = volumes.value.secret

          items {
            path    = volumes.key
            version = volumes.value.version
          }
        }
      }
    }

    dynamic "vpc_access" {
      for_each = var.network[*]

      content {
        egress = vpc_access.value.egress == "all-traffic" ? "ALL_TRAFFIC" : "PRIVATE_RANGES_ONLY"

        network_interfaces {
          network    = vpc_access.value.network
          subnetwork = vpc_access.value.subnetwork
          tags       = vpc_access.value.tags
        }
      }
    }
  }

  dynamic "binary_authorization" {
    for_each = var.binary_authorization_policy[*]

    content {
      policy      = binary_authorization.value == "default" ? null : binary_authorization.value
      use_default = binary_authorization.value == "default" ? true : null
    }
  }
}

resource "google_cloud_run_v2_service_iam_member" "invoke" {
  for_each = var.invokers

  project  = var.project
  location = var.location
  name     = google_cloud_run_v2_service.this.name
  role     = "roles/run.servicesInvoker"
  member   = each.value

  lifecycle {
    # A new service of the same name does not have the grants of the old one.
    replace_triggered_by = [google_cloud_run_v2_service.this.id]
  }
}
