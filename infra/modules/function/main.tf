resource "google_cloudfunctions2_function" "this" {
  #checkov:skip=CKV_GCP_124:clusters outside the VPC network and perimeter cannot call an internal address; `callers` opens it only for them, and IAM decides which accounts can call
  project      = var.project
  location     = var.location
  name         = var.name
  description  = "Signs certificates for Kubernetes CertificateSigningRequests with keys in Cloud KMS."
  kms_key_name = var.encryption_key
  labels       = var.labels

  build_config {
    runtime               = "python313" # the packages are locked for it
    entry_point           = "handle"
    docker_repository     = google_artifact_registry_repository.images.id
    service_account       = google_service_account.build.id
    environment_variables = var.build_environment
    worker_pool           = var.worker_pool

    source {
      storage_source {
        bucket     = google_storage_bucket.source.name
        object     = google_storage_bucket_object.source.name
        generation = google_storage_bucket_object.source.generation
      }
    }

    # Google patches the base image without a deployment. The code and its packages are pinned; the base image is not.
    automatic_update_policy {}
  }

  service_config {
    # Cloud Run requires a whole CPU for more than one concurrent request.
    available_cpu                    = "1"
    available_memory                 = "${var.memory}Mi"
    max_instance_request_concurrency = var.concurrency
    # Limits the cost of a flood of CSRs, in money and in the key's quota.
    max_instance_count = var.max_instances
    min_instance_count = var.min_instances
    # Below the exporter's own time limit, and far below the 90 s after which Calico's pods give up.
    timeout_seconds                = 30
    all_traffic_on_latest_revision = true
    ingress_settings               = var.callers == "internet" ? "ALLOW_ALL" : "ALLOW_INTERNAL_ONLY"
    service_account_email          = var.service_account
    # Only to reach API servers at private addresses. All other traffic, including to Google's APIs, does not use it.
    direct_vpc_egress = var.network == null ? null : var.network.egress == "all-traffic" ? "VPC_EGRESS_ALL_TRAFFIC" : "VPC_EGRESS_PRIVATE_RANGES_ONLY"

    environment_variables = {
      CSR_SIGNER_CONFIGURATION = var.configuration
      GOOGLE_CLOUD_PROJECT     = var.project
      CSR_SIGNER_CONCURRENCY   = tostring(var.concurrency)
    }

    dynamic "direct_vpc_network_interface" {
      for_each = var.network[*]

      content {
        network    = direct_vpc_network_interface.value.network
        subnetwork = direct_vpc_network_interface.value.subnetwork
        tags       = direct_vpc_network_interface.value.tags
      }
    }
  }

  depends_on = [time_sleep.grants]
}

# Google keeps a function whose build failed, and the provider then sees no difference. This warns, and does not stop other
# changes or a new build.
check "active" {
  assert {
    condition     = google_cloudfunctions2_function.this.state == "ACTIVE"
    error_message = "google_cloudfunctions2_function.this.state: Invalid value: ${jsonencode(google_cloudfunctions2_function.this.state)}: must be \"ACTIVE\": the last build or deployment failed. gcloud functions describe ${var.name} --region=${var.location} --project=${var.project} and gcloud builds list --region=${var.location} --project=${var.project} show the cause. If no change of the code is needed, deploy again with terraform apply -replace=ADDRESS, in the examples module.signer.module.function[0].google_cloudfunctions2_function.this."
  }
}

# Callers of a second-generation function call its Cloud Run service. roles/cloudfunctions.invoker does not allow that.
resource "google_cloud_run_v2_service_iam_member" "invoke" {
  for_each = var.invokers

  project  = var.project
  location = var.location
  name     = google_cloudfunctions2_function.this.name
  role     = "roles/run.servicesInvoker"
  member   = each.value

  lifecycle {
    # A new function of the same name has a new Cloud Run service, without the grants of the old one.
    replace_triggered_by = [google_cloudfunctions2_function.this.id]
  }
}
