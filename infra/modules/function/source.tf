# The bundle is named by what is in it. The same content gives the same object, so that applying again builds nothing;
# one byte more gives another object, and so another build. The hash is over the files, not over the zip, whose bytes
# could change with the program that packs it.
locals {
  code = {
    for path in fileset(var.source_folder, "**") : path => file("${var.source_folder}/${path}")
    if length(regexall("(^|/)(__pycache__|\\.[^/]*)(/|$)|\\.pyc$", path)) == 0
  }
  bundle = merge(local.code, var.documents)
  digest = sha256(jsonencode(local.bundle))
  # Not read from the data source: where that waits for something else to be applied, the plan would not know the path,
  # and would replace the object for nothing.
  archive = "${path.root}/.terraform/${var.name}-${local.digest}.zip"
}

data "archive_file" "bundle" {
  type             = "zip"
  output_path      = local.archive
  output_file_mode = "0644" # else it is the deployer's umask that decides

  dynamic "source" {
    for_each = local.bundle

    content {
      filename = source.key
      content  = source.value
    }
  }
}

# Who can write here can change what the signer does.
resource "google_storage_bucket" "source" {
  #checkov:skip=CKV_GCP_62:reads and writes are in the Data Access audit log, which bucket logs would only repeat
  project                     = var.project
  name                        = "${var.project}-${var.name}-source"
  location                    = var.location
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # every object can be packed again; its versions would keep the bucket for ever

  versioning {
    enabled = true
  }

  lifecycle_rule {
    # No object has two versions, as its name is its content's: old ones are those that were replaced.
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
