# The organisation owns the perimeter; these resources add the projects to it. They come last: inside the perimeter, Google
# refuses requests from outside, also those of this apply.
resource "google_access_context_manager_service_perimeter_resource" "this" {
  for_each = toset(try(var.service_perimeter.project_numbers, []))

  perimeter_name = var.service_perimeter.name
  resource       = "projects/${each.value}"

  depends_on = [
    google_project_iam_member.connect,
    google_project_iam_member.gateway,
    google_service_account_iam_member.impersonate,
    module.audit,
    module.function,
    module.identities,
    module.key,
    module.service,
  ]
}
