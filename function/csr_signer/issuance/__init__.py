"""From a permit to a certificate: build, lint, assemble, compare. Only bytes that `lint` cleared can be signed.

`kms` makes the signature, and `policy` decides whether the function may issue a certificate.
"""
