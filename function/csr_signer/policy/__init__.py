"""Decides which requester may have which certificate: attestation of its pod, profile, rules and decision.

No function reads a clock or the environment. `profile.load` reads files, and `attestation.attest_requester` awaits the
pod and its node; all other functions are pure. `issuance` encodes a permitted certificate.
"""
