"""Renewal: replaces pods whose certificates end soon, because clients such as Calico's ask only when a pod starts.

- `requesters`: the signers, and the service accounts whose pods hold their certificates.
- `pods`: what renewal reads of a pod, a DaemonSet and a CSR.
- `validity`: when a pod's certificate ends, from records or from the pod's start, and whether it is due.
- `disruption`: whether an eviction keeps enough pods of the same owner available.
- `eviction`: replaces one pod, and waits for its replacement.
- `progress`: tells people or a log what happens.

Nothing here reads a private key or a certificate's bytes.
"""
