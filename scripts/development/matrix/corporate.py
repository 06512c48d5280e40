"""A corporate CA: it answers to a request for an issuing CA, and its key is nowhere near KMS."""

from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sandbox.derived_keys import ec_key

_NAME: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Corporate root")])
_KEY: Final = ec_key("P-384", number=7654321)  # none of the requesters'
_LIFETIME: Final = timedelta(days=3650)
_BACKDATE: Final = timedelta(minutes=5)


def answer(request_pem: bytes) -> bytes:
    """The issuing CA with all that was asked for, and the root above it; PEM."""
    request = x509.load_pem_x509_csr(request_pem)
    usage = request.extensions.get_extension_for_class(x509.KeyUsage)
    authority = x509.BasicConstraints(ca=True, path_length=1)
    root = _builder(_NAME, _KEY.public_key()).add_extension(authority, critical=True)
    root = root.add_extension(usage.value, critical=True)
    root = root.add_extension(x509.SubjectKeyIdentifier.from_public_key(_KEY.public_key()), critical=False)
    issuing = _builder(request.subject, request.public_key())
    for extension in request.extensions:
        issuing = issuing.add_extension(extension.value, critical=extension.critical)
    return b"".join(each.sign(_KEY, hashes.SHA384()).public_bytes(Encoding.PEM) for each in (issuing, root))


def _builder(subject: x509.Name, key: CertificatePublicKeyTypes) -> x509.CertificateBuilder:
    now = datetime.now(UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_NAME)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(_KEY.public_key()), critical=False)
    )
