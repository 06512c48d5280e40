"""The issuing CA's certificates and requests: builds, lints and verifies them, and the bundle that Calico trusts.

It does not depend on the command line or on a cluster. The key itself is in `signerctl.key`, its records in `signerctl.records`.
"""
