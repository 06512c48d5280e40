"""The function's audit records: where to read them, and what they say about certificates and decisions.

It uses nothing but the records. `reconciliation` compares them with Cloud KMS's log.
"""

from signerctl.recorded.certificate import Certificate, CertificateRecord, certificates
from signerctl.recorded.refusal import RecordedRefusal

__all__ = ["Certificate", "CertificateRecord", "RecordedRefusal", "certificates"]
