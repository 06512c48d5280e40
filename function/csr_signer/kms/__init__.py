"""The key: one CryptoKeyVersion of Cloud KMS, the connection to it, and the meaning of its answers.

Only this package and `cluster` do network I/O. `ca` has the key's CA certificate.
"""
