"""Parses the requester's `spec.request` into a CertificationRequest (RFC 2986), or into violations.

This package reads only the bytes; `policy` decides whether the requester may have the names in them.
"""
