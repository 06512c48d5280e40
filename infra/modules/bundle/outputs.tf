output "archive" {
  description = "Path of the zip file on this machine."
  value       = data.archive_file.this.output_path
}

output "name" {
  description = "Name of the zip file; it holds the hash of all files, so that the same files have the same name."
  value       = "${var.name}-${local.digest}.zip"
}
