"""The Kubernetes objects that the function reads, as values, each parsed from the API server's JSON.

They hold facts only; `policy` decides whether the facts suffice for a certificate. `cluster` has the calls that fetch
the objects.
"""
