"""Network I/O with an API server: the HTTP client with its credentials, and the calls that the pipeline makes.

This package and `kms` are the only ones that do network I/O. The objects themselves are in `objects`.
"""
