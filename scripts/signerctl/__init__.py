"""The operator's command line for the issuing CA, and for each cluster's manifests and guards.

It follows the function's rules and uses the function's code. The modules in reading order:

- `commands`: one module per command; `options`, `program`, `text`, `files` and `kinds`: input, errors and output.
- `key` and `records`: the KMS key, and the audit records of its use.
- `ca_certificate`, `cross_certificate`, `certification_request` and `ca_extensions` build what the key signs; `ca_lint`
  checks it first.
- `answer`, `trust`, `installation`, `verification` and `description`: checks of certificates, and how they are shown.
- `guarded`, `manifest`, `admission`, `csr_policies`, `csr_bounds`, `event_bounds`, `pod_policy`: the cluster's guards.
- `cluster`: the folder of manifests for one cluster, from Terraform's outputs.
- `api_server` and `objects`: the cluster's API server, and what commands read of its objects.
- `doctor` and `explanation`: checks of the whole way of a certificate, and why one CSR waits.
- `recorded`: reads audit records, and makes recorded decisions again; `durations`: options and columns of time.
- `reconciliation`: compares KMS's audit log with the audit records.
"""
