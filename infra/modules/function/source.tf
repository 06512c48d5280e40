# The bundle's name is the hash of its content. With the same content, a second apply builds nothing; any change causes a
# new object and a new build. The hash covers the files and not the zip, because another zip program writes other bytes.
locals {
  code = {
    for path in fileset(var.source_folder, "**") : path => file("${var.source_folder}/${path}")
    if length(regexall("(^|/)(__pycache__|\\.[^/]*)(/|$)|\\.pyc$", path)) == 0
  }
  bundle = merge(local.code, var.documents)
  digest = sha256(jsonencode(local.bundle))
  # The path does not come from the data source. If the data source had to wait for an apply, the plan would not know the
  # path, and would replace the object needlessly.
  archive = "${path.root}/.terraform/${var.name}-${local.digest}.zip"
}

data "archive_file" "bundle" {
  type             = "zip"
  output_path      = local.archive
  output_file_mode = "0644" # otherwise the deployer's umask would decide

  dynamic "source" {
    for_each = local.bundle

    content {
      filename = source.key
      content  = source.value
    }
  }
}

# A principal that can write here can change the signer's code.
resource "google_storage_bucket" "source" {
  #checkov:skip=CKV_GCP_62:reads and writes are in the Data Access audit log, which bucket logs would only repeat
  project                     = var.project
  name                        = "${var.project}-${var.name}-source"
  location                    = var.location
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # Terraform can create every object again; without this, old versions would block the bucket's deletion

  versioning {
    enabled = true
  }

  lifecycle_rule {
    # An object's name follows from its content, so noncurrent versions are objects of earlier deployments.
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

resource "google_storage_bucket_object" "source" {
  bucket = google_storage_bucket.source.name
  name   = "${var.name}-${local.digest}.zip"
  source = local.archive

  depends_on = [data.archive_file.bundle]
}
