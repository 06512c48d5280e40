"""Cloud KMS as a double: a gRPC server for the real client library, as strict as the service.

In reading order: `names`, `fields`, `errors` (what a request may look like), `algorithms` (what keys are),
`store`, `resources`, `signing` and `methods` (what it does), `iam` (who may), `faults` and `corruption` (what may go
wrong), `audit`, `server`, `control` and `client` (how others reach it). Keys are made here and live in this process's
memory: they protect nothing, and nothing but tests and demonstrations should trust them.

Not done on purpose: IAM conditions, import, decryption, MAC, post-quantum keys, more than one page of 1,000 results.
"""

from sandbox.kms.audit import AuditRecord, read_audit_log
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
    "read_audit_log",
    "wait_until_enabled",
]
