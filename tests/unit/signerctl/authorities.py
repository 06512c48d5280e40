"""CAs that are not ours, valid or with one fault, and helpers that read certificates."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.unit.function.builders import ca_key_usage

PURPOSES: Final = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


def certificates(path: Path) -> list[x509.Certificate]:
    """Reads certificates from a PEM file."""
    return x509.load_pem_x509_certificates(path.read_bytes())


def spki(key: Any) -> bytes:
    """Encodes a public key as DER."""
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


class Corporate:
    """A corporate CA with a root and an intermediate, which answers requests.

    Attributes:
        root, intermediate: Their certificates.
    """

    def __init__(self) -> None:
        self._root_key = ec.generate_private_key(ec.SECP384R1())
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.root = ca_certificate(
            "Corporate root", self._root_key, "Corporate root", self._root_key, path_length=None, days=(-100, 3000)
        )
        self.intermediate = ca_certificate(
            "Corporate CA", self._key, "Corporate root", self._root_key, path_length=1, days=(-100, 2000)
        )

    def renewed(self, days: tuple[int, int]) -> x509.Certificate:
        """Returns another certificate for the intermediate's key."""
        return ca_certificate("Corporate CA", self._key, "Corporate root", self._root_key, path_length=1, days=days)

    def answer(self, request: Path, **changes: Any) -> x509.Certificate:
        """Returns the certificate for a request, optionally with changed arguments of `ca_certificate`."""
        asked = x509.load_pem_x509_csr(request.read_bytes())
        name = asked.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        return ca_certificate(str(name), asked.public_key(), "Corporate CA", self._key, **{"path_length": 0, **changes})


def ca_certificate(
    subject: str | None,
    key: Any,
    issuer: str | None,
    issuer_key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    *,
    path_length: int | None = 0,
    ca: bool = True,
    key_cert_sign: bool = True,
    purposes: x509.ExtendedKeyUsage | None = PURPOSES,
    constraints: x509.NameConstraints | None = None,
    days: tuple[int, int] = (-1, 1000),
    serial_number: int | None = None,
) -> x509.Certificate:
    """Returns a CA certificate, valid or with one fault.

    Subject and issuer are common names; None stands for a name with only an organization. The key may be public or
    private. `days` holds the start and the end of the validity, in days from now.
    """
    public = key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) else key
    now = datetime.now(UTC).replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(public)
        .serial_number(serial_number or x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), critical=True)
        .add_extension(ca_key_usage(key_cert_sign=key_cert_sign), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if purposes is not None:
        builder = builder.add_extension(purposes, critical=False)
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    return builder.sign(issuer_key, hashes.SHA256())


def foreign(name: str = "Other", **changes: Any) -> x509.Certificate:
    """Returns a self-signed CA whose key is not in KMS."""
    key = ec.generate_private_key(ec.SECP256R1())
    return ca_certificate(name, key, name, key, **changes)


def weak_root() -> x509.Certificate:
    """Returns a self-signed CA with a key that an attacker could break."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - tests expect its refusal
    return ca_certificate("Weak", key, "Weak", key)


def _name(common_name: str | None) -> x509.Name:
    kind = NameOID.ORGANIZATION_NAME if common_name is None else NameOID.COMMON_NAME
    return x509.Name([x509.NameAttribute(kind, common_name or "Example")])


def write(path: Path, *found: x509.Certificate) -> Path:
    """Writes certificates to a PEM file."""
    path.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in found))
    return path
