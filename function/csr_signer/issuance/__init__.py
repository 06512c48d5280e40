"""From a permit to a certificate: build, lint, assemble, compare. Only what `lint` cleared can be signed.

The signature itself comes from `kms`. Whether a certificate may be issued at all is decided in `policy`.
"""
