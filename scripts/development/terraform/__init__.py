"""Terraform without network: the real Terraform, and a stand-in that knows the providers' schemas and nothing else.

The providers' programs come from Terraform's registry; here they are replaced by a test double. `schema` rebuilds from
a pinned Python package what resources and data sources look like, `small` writes that down for the small providers,
`plugin` serves it to Terraform, `environment` puts all of it where Terraform looks, in a copy of the tree. What it
shows: arguments that are missing, unknown or of the wrong type, and, with mocked providers, plans. What it cannot show:
the providers' own checks of values, and what Google's APIs say. The real providers were not run.
"""
