"""The operator's command line for the issuing CA, and for each cluster's manifests and guards.

It follows the function's rules and uses the function's code. In reading order:

- `command_line` and `commands`: all commands, one module each; `options` and `interface`: what they share.
- `ca`: certificates and requests of the issuing CA, and their checks.
- `key` and `records`: the KMS key, and the audit records of its use; `reconciliation` compares both.
- `guards` and `cluster`: the admission policies, and the folder of manifests for one cluster.
- `api_server`, `objects` and `installation`: the cluster's API server, and what commands read there.
- `doctor` and `explanation`: checks of the whole way of a certificate, and why one CSR waits.
- `recorded`: reads audit records, and re-evaluates recorded decisions; `log_bucket` fetches them with gcloud.
- `renewal`: replaces pods whose certificates expire soon.
- `files`, `kinds` and `description`: certificates in files, and how they are shown.
"""
