"""kms-csr-signer: certificates for Kubernetes CertificateSigningRequests, signed by a CA key that stays in Cloud KMS.

Modules in reading order, each one stage of the way that `pipeline` describes:
cloud_event, csr, pkcs10, extensions, public_key, attestation, profile, rules, policy, issuer, certificate, lint, audit,
pipeline. What issuer needs to know of CAs and of Cloud KMS is in algorithm, authority, chain and kms_status; what a
profile's texts look like is in grammar.
Beside them: configuration and document (what a deployment decides), service (what one process serves), shared (one
fetch for many threads), outcome, errors, violation, der, api_object (the API server's JSON). I/O is done by cluster,
api_server (HTTP exchanges, and whose fault a failed one is), credentials and kms alone.
"""
