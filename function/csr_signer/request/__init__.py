"""What the requester sent: `spec.request` parsed into a CertificationRequest (RFC 2986), or violations.

Only what the bytes themselves show. Whether the requester may have the names in them is decided in `policy`.
"""
