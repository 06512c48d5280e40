"""Who may have which certificate: the attestation of the requester's pod, the profile, the rules and the decision.

Pure functions of values: no clock, no environment, no I/O. What a permitted certificate looks like in DER is in
`issuance`.
"""
