# A principal that can write here can change the signer's code.
resource "google_storage_bucket" "source" {
  #checkov:skip=CKV_GCP_62:reads and writes are in the Data Access audit log, which bucket logs would only repeat
  project                     = var.project
  name                        = "${var.project}-${var.name}-${substr(sha256(var.location), 0, 6)}" # the region's name is too long
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
  bucket = google_storage_bucket.source.name
  name   = var.archive.name
  source = var.archive.path
  # The zip exists only on the machine that planned. If another machine applies the saved plan, the upload fails, and the old
  # object must still be there. So Terraform deletes no object.
  deletion_policy = "ABANDON"

  lifecycle {
    # An object keeps the key that it was encrypted with, and a later build reads it again.
    replace_triggered_by = [google_storage_bucket.source.encryption]
  }
}

# Until 0.2.0, both had a count.
moved {
  from = google_storage_bucket.source[0]
  to   = google_storage_bucket.source
}

moved {
  from = google_storage_bucket_object.source[0]
  to   = google_storage_bucket_object.source
}
