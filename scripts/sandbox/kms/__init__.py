"""A double of Cloud KMS: a gRPC server for the real client library, as strict as the service.

In reading order: `names`, `fields` and `errors` (checks of requests), `algorithms` (keys), `store`, `resources`,
`signing` and `methods` (the service's work), `iam` (roles), `faults` and `corruption` (faults on demand), `audit`,
`server`, `control` and `client` (access). The double makes its keys itself and keeps them in memory. They protect
nothing: use them only for tests and demos.

Deliberately left out: IAM conditions, import, decryption, MAC, post-quantum keys, more than one page of 1,000 results.
"""

from sandbox.kms.audit import AuditRecord, data_access_entry
from sandbox.kms.client import connect, create_signing_key, wait_until_enabled
from sandbox.kms.control import KmsControl
from sandbox.kms.faults import Corruption, Fault
from sandbox.kms.server import KmsServer

__all__ = [
    "AuditRecord",
    "Corruption",
    "Fault",
    "KmsControl",
    "KmsServer",
    "connect",
    "create_signing_key",
    "data_access_entry",
    "wait_until_enabled",
]
