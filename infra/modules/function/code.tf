# A principal that can write here can change the signer's code.
resource "google_storage_bucket" "source" {
  #checkov:skip=CKV_GCP_62:reads and writes are in the Data Access audit log, which bucket logs would only repeat
  count = var.bundle == null ? 1 : 0

  project                     = var.project
  name                        = "${var.project}-${var.name}-source"
  location                    = var.location
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # Terraform can create every object again; without this, old versions would block the bucket's deletion
  labels                      = var.labels

  versioning {
    enabled = true
  }

  lifecycle_rule {
    condition {
      days_since_noncurrent_time = 90
    }
    action {
      type = "Delete"
    }
  }

  dynamic "encryption" {
    for_each = var.encryption_key[*]

    content {
      default_kms_key_name = encryption.value
    }
  }
}

# With the same content, a second apply builds nothing; any change causes a new object and a new build.
resource "google_storage_bucket_object" "source" {
  count = var.bundle == null ? 1 : 0

  bucket = google_storage_bucket.source[0].name
  name   = var.archive.name
  source = var.archive.path
  # The zip exists only on the machine that planned. If another machine applies the saved plan, the upload fails, and the old
  # object must still be there. So Terraform deletes no object; create_before_destroy would also apply to the bucket, whose
  # name is taken.
  deletion_policy = "ABANDON"

  lifecycle {
    # An object keeps the key that it was encrypted with, and a later build reads the object again.
    replace_triggered_by = [google_storage_bucket.source[0].encryption]
  }
}

locals {
  given = var.bundle == null ? null : regex("^gs://([^/]+)/(.+)#([0-9]+)$", var.bundle)
  source = var.bundle == null ? {
    bucket     = google_storage_bucket.source[0].name
    object     = google_storage_bucket_object.source[0].name
    generation = google_storage_bucket_object.source[0].generation
  } : { bucket = local.given[0], object = local.given[1], generation = tonumber(local.given[2]) }
}
