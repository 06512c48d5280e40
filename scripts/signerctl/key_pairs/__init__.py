"""Key pairs for components that have no client: `signerctl key-pairs` asks in the place of their pods.

- `catalog`: which key pairs there are, from the profile's rows.
- `need`: what a component's pod and its Secret show: whether the key pair is missing, expires soon, or is fine.
- `request` and `certificate`: the CSR, and the checks of the issued certificate; both without I/O.
- `provision`: one key pair from the token to the Secret.
"""
