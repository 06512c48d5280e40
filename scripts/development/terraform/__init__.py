"""Terraform without network: the real Terraform, with doubles of the providers and of Google.

`environment` makes a copy of the tree that tests may change, with the doubles beside it; `program` is Terraform itself.
"""
