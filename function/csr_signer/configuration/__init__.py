"""The configuration document: everything that a deployment decides, in one file that Terraform renders.

Belongs here: the document's types, the rules for each field, and the loader. No secret is in the document. Does not
belong here: what a profile or an issuer must be; `policy.profile` and `ca.issuer` say that.
"""
