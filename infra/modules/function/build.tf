# The build of the function's image. Without its own account, the build would run as the Compute Engine default account,
# which has nearly all rights in many projects.
resource "google_service_account" "build" {
  project      = var.project
  account_id   = "${var.name}-build"
  display_name = "Build of ${var.name}"
  description  = "Builds the CSR signer's image, and has no other rights."
}

resource "google_artifact_registry_repository" "images" {
  project       = var.project
  location      = var.location
  repository_id = var.name
  format        = "DOCKER"
  description   = "Images of ${var.name}, as built from its source."
  kms_key_name  = var.encryption_key
  labels        = var.labels

  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"

    most_recent_versions {
      keep_count = 5
    }
  }

  # Artifact Registry deletes old images; the policy above keeps recent ones.
  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"

    condition {
      older_than = "2592000s"
    }
  }
}

locals {
  build = "serviceAccount:${google_service_account.build.account_id}@${google_service_account.build.project}.iam.gserviceaccount.com"
  # Cloud Functions copies our object into this bucket first. Google creates the bucket at the first deployment. So the
  # grant is on the project, and a condition limits it to the bucket.
  staging = "projects/_/buckets/gcf-v2-sources-${var.project_number}-${var.location}"
  # For functions with an encryption key, the bucket's name ends with a hash of the key's name.
  staged = var.encryption_key == null ? "resource.name == '${local.staging}' || resource.name.startsWith('${local.staging}/')" : "resource.name.startsWith('${local.staging}-')"
}

# The deployer needs this right to build as this account.
resource "google_service_account_iam_member" "deploy" {
  count = var.deployer == null ? 0 : 1

  service_account_id = google_service_account.build.name
  role               = "roles/iam.serviceAccountUser"
  member             = var.deployer
}

resource "google_artifact_registry_repository_iam_member" "build_push" {
  project    = var.project
  location   = var.location
  repository = google_artifact_registry_repository.images.repository_id
  role       = "roles/artifactregistry.writer"
  member     = local.build

  lifecycle {
    # Another encryption key replaces the repository, and the new one of the same name lacks the grant of the old one.
    replace_triggered_by = [google_artifact_registry_repository.images.id]
  }
}

resource "google_project_iam_member" "build_log" {
  project = var.project
  role    = "roles/logging.logWriter"
  member  = local.build
}

resource "google_project_iam_member" "build_read_source" {
  project = var.project
  role    = "roles/storage.objectViewer"
  member  = local.build

  condition {
    title       = "source-of-functions"
    description = "Only Cloud Functions' staging bucket for source."
    expression  = local.staged
  }
}

# Grants take effect after a delay; an earlier build fails.
resource "time_sleep" "grants" {
  create_duration = "60s"
  triggers        = { member = local.build, key = coalesce(var.encryption_key, "none"), location = var.location, source = local.staged }

  depends_on = [
    google_artifact_registry_repository_iam_member.build_push,
    google_project_iam_member.build_log,
    google_project_iam_member.build_read_source,
    google_service_account_iam_member.deploy,
  ]
}
