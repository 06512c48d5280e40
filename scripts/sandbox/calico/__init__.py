"""Calico's side of a cluster: the tigera operator's objects, and the client that requests certificates.

In reading order: `components` (the workloads and their certificates), `der`, `keys` and `request` (the PKCS#10
bytes), `client` (the init container's program), `render` (pods and nodes), `world` (all of it in an API server),
`observer` (the outcome of each request), `fleet` (many requesters), `key_pairs` (Goldmane and Whisker, which have no
client), `twists`, `stories` and `attackers` (requests that the signer must refuse).
"""
