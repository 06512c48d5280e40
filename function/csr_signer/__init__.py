"""kms-csr-signer: certificates for Kubernetes CertificateSigningRequests, signed by a CA key that stays in Cloud KMS.

`pipeline` processes one CSR in eleven steps. The packages in the order of these steps are events, cluster, objects,
request, policy and issuance, which uses ca and kms. Each package's docstring says what belongs in it. The other modules
are configuration and document (the deployment's settings), start (cheap imports), service (one process), shutdown (the
end of a process), audit (the records), single_flight (one fetch for many requests), concurrency (each cluster's share
of a process), errors, violation, field_error (the form of messages), rfc1123 (the form of names) and der.
"""

VERSION = "0.2.0"
