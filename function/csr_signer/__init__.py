"""kms-csr-signer: certificates for Kubernetes CertificateSigningRequests, signed by a CA key that stays in Cloud KMS.

`pipeline` is the way of one CSR in eleven steps. The packages in the order of these steps: events, cluster, objects,
request, policy, issuance, with ca and kms beside it. Each package's docstring says what belongs in it.
Beside them: configuration and document (what a deployment decides), service (what one process serves), audit (the
records), single_flight (one fetch for many threads), concurrency (what one cluster may hold of a process), errors,
violation, field_error (how messages read), rfc1123 (what a name is), der.
"""
