"""The configuration document: all settings of a deployment, in one file that Terraform renders.

The document contains no secret. Belongs here: the document's types, the rules for each field, and the loader. Does not
belong here: the rules for a profile (`policy.profile`) or an issuer (`ca.issuer`).
"""
