"""Terraform without network: the real Terraform, with a double that knows only the providers' schemas.

The providers' programs would come from Terraform's registry; a test double replaces them. `schema` rebuilds the schema
of resources and data sources from a pinned Python package, `small` has the schemas of the small providers, `plugin`
serves them to Terraform, and `environment` sets up a copy of the tree in which Terraform finds them. This detects
missing, unknown and wrongly typed arguments and, with mocked providers, computes plans. It does not cover the
providers' own checks of values, or Google's APIs.
"""
