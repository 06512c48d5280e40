"""The key: one CryptoKeyVersion of Cloud KMS, the connection to it, and what its answers mean.

This package and `cluster` are the only ones that do network I/O. The CA certificate that belongs to the key is in `ca`.
"""
