"""The configured issuing CA: its certificates, their chain, and the algorithm of its key version.

This package is about CA certificates. The certificates that they issue are in `issuance`.
"""
