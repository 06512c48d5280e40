"""Which requester may have which certificate: attestation of its pod, profile, rules and decision.

Pure functions of values: no clock, no environment, no I/O. What a permitted certificate looks like in DER is in
`issuance`.
"""
