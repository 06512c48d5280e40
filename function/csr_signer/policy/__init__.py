"""Decides which requester may have which certificate: attestation of its pod, profile, rules and decision.

All functions are pure: no clock, no environment, no I/O. `issuance` encodes a permitted certificate.
"""
