# What builds the function's image. Without an account of its own the build would run as the Compute Engine default
# account, which in many projects may do nearly everything.
resource "google_service_account" "build" {
  project      = var.project
  account_id   = "${var.name}-build"
  display_name = "Build of ${var.name}"
  description  = "Builds the CSR signer's image, and may do nothing else."
}

resource "google_artifact_registry_repository" "images" {
  project       = var.project
  location      = var.location
  repository_id = var.name
  format        = "DOCKER"
  description   = "Images of ${var.name}, as built from its source."
  kms_key_name  = var.encryption_key

  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"

    most_recent_versions {
      keep_count = 5
    }
  }

  # What is to be kept is only an exception to this.
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
  # Cloud Functions copies our object there first. The bucket is Google's: it exists only after the first deployment, so
  # the grant lies on the project and is confined by a condition.
  staging = "projects/_/buckets/gcf-v2-sources-${var.project_number}-${var.location}"
  # Of functions with an encryption key of their own the bucket's name goes on with a hash of that key's.
  staged = var.encryption_key == null ? "resource.name == '${local.staging}' || resource.name.startsWith('${local.staging}/')" : "resource.name.startsWith('${local.staging}-')"
}

# Who deploys must be allowed to hand the build its identity.
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
    description = "Only the bucket that Cloud Functions stages source in."
    expression  = local.staged
  }
}

# Grants take a while to hold; a build that starts before that fails.
resource "time_sleep" "grants" {
  create_duration = "60s"
  triggers        = { member = local.build }

  depends_on = [
    google_artifact_registry_repository_iam_member.build_push,
    google_project_iam_member.build_log,
    google_project_iam_member.build_read_source,
    google_service_account_iam_member.deploy,
  ]
}
