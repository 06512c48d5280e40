"""The doubles of the providers and of Google, which Terraform's commands meet instead of the registry's programs.

`schema` rebuilds the google provider's schema from a pinned Python package, and `small` has those of the small
providers. `plugin` serves them to Terraform, `resources` plans and applies, `kinds` says what replaces a resource, and
`google` keeps what exists. They do not cover the providers' own checks of values, or most rules of Google's APIs.
"""
