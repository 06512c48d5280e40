"""Network I/O with an API server: the HTTP client with its credentials, and the calls that the pipeline makes.

Only this package and `kms` do network I/O. The objects themselves are in `objects`.
"""
