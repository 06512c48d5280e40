"""The issuing CA's certificates and requests: builds, lints and verifies them, and the bundle that Calico trusts.

It does not depend on the command line or on a cluster. `signerctl.key` has the key, `signerctl.records` its records.
"""
