"""The issuing CA as the operator configured it: its certificates, their chain, and the algorithm of its key version.

Everything about CA certificates, nothing about the certificates that they issue: those are in `issuance`.
"""
