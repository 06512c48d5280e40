# Until 0.2.0, Terraform added projects to a perimeter of VPC Service Controls. Now the organisation does, and Terraform only
# forgets what it added: outside the perimeter, callers = "perimeter" would shut the exporters out.
removed {
  from = google_access_context_manager_service_perimeter_resource.this

  lifecycle {
    destroy = false
  }
}
