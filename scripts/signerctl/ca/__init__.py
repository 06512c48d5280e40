"""The issuing CA's certificates and requests: builds, lints and verifies them, and the bundle that Calico trusts.

It knows no command line and no cluster. The key itself is in `signerctl.key`, its records in `signerctl.records`.
"""
