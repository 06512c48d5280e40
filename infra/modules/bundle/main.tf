# The hash covers the files and not the zip, because another zip program writes other bytes.
#
# This is a module of its own, without depends_on: Terraform then reads the data source at plan. If the data source had to
# wait for other resources, each plan with a change would print all files.
locals {
  code = {
    for path in fileset(var.source_folder, "**") : path => file("${var.source_folder}/${path}")
    if length(regexall("(^|/)(__pycache__|\\.[^/]*)(/|$)|\\.pyc$", path)) == 0
  }
  files  = merge(local.code, var.documents)
  digest = sha256(jsonencode(local.files))
}

data "archive_file" "this" {
  type             = "zip"
  output_path      = "${path.root}/.terraform/${var.name}-${local.digest}.zip"
  output_file_mode = "0644" # otherwise the deployer's umask would decide

  dynamic "source" {
    for_each = local.files

    content {
      filename = source.key
      content  = source.value
    }
  }
}
