"""The Kubernetes objects that the function reads, as values, each parsed from the API server's JSON.

Facts only: whether a fact is enough for a certificate is decided in `policy`. The calls that fetch the objects are in
`cluster`.
"""
