"""Calico's side of a cluster: what the tigera operator renders, and the client that asks for certificates.

In reading order: `components` (who asks for what), `der`, `keys` and `request` (the PKCS#10 bytes), `client`
(the init container's program), `render` (pods and nodes as they would look), `world` (all of it in an API
server), `observer` (what became of the requests), `fleet` (many requesters), `twists`, `stories` and
`attackers` (requests that must be refused).
"""
