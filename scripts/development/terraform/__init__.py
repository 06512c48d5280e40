"""Terraform without network: the real Terraform, with doubles of the providers and of Google.

The providers' programs would come from Terraform's registry; test doubles replace them. `schema` rebuilds the schema of
resources and data sources from a pinned Python package, and `small` has the schemas of the small providers. `plugin`
serves them to Terraform, `resources` plans and applies, `kinds` says what replaces a resource, and `google` keeps what
exists. `environment` makes a copy of the tree that tests may change. The doubles do not cover the providers' own checks
of values, or most rules of Google's APIs.
"""
