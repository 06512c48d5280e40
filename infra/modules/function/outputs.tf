output "uri" {
  description = "URL of the service, and the audience of ID tokens for it; known only after Terraform allows the exporters to call it."
  value       = google_cloudfunctions2_function.this.service_config[0].uri
  depends_on  = [google_cloud_run_v2_service_iam_member.invoke]
}
