"""CA certificates of every kind that an operator may bring, right ones and wrong ones."""

import base64
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from sandbox.calico import der
from tests.unit.function.builders import ca_key_usage, ec_key

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
END: Final = datetime(2036, 1, 1, tzinfo=UTC)
Extensions = Mapping[type[x509.ExtensionType], tuple[x509.ExtensionType, bool] | None]


def named(common_name: str | None, **attributes: str) -> x509.Name:
    """A subject: other attributes by their name in NameOID, then the common name."""
    pairs = [(getattr(x509.NameOID, name), value) for name, value in attributes.items()]
    pairs += [] if common_name is None else [(x509.NameOID.COMMON_NAME, common_name)]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in pairs])


class Ca:
    """A CA with its key: self-signed, or issued by another.

    Args:
        name: Common name, or the whole subject.
        key: Its key.
        public_key: Its key, where the private one is elsewhere and another CA issues it.
        above: Who issues it.
        path_length: Of basic constraints.
        begin, end: Its validity.
        digest: Of its signature.
        extensions: Changes to the usual ones: another value with its criticality, or None for none at all.
        further: Extensions that pyca has no type for: number, content, criticality.
    """

    def __init__(
        self,
        name: str | x509.Name = "Issuing",
        *,
        key: Any = None,
        public_key: Any = None,
        above: "Ca | None" = None,
        path_length: int | None = 0,
        begin: datetime = BEGIN,
        end: datetime = END,
        digest: hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None = None,
        extensions: Extensions | None = None,
        further: Sequence[tuple[str, bytes, bool]] = (),
    ) -> None:
        self.key = key or ec_key(number=4242)
        public_key = public_key or self.key.public_key()
        self.subject = name if isinstance(name, x509.Name) else named(name)
        signing = self if above is None else above
        usual: dict[type[x509.ExtensionType], tuple[x509.ExtensionType, bool] | None] = {
            x509.BasicConstraints: (x509.BasicConstraints(ca=True, path_length=path_length), True),
            x509.KeyUsage: (ca_key_usage(), True),
            x509.SubjectKeyIdentifier: (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
            x509.AuthorityKeyIdentifier: (
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.key.public_key()),
                False,
            ),
        }
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(signing.subject)
            .public_key(public_key)
            .serial_number(0x5EED)
            .not_valid_before(begin)
            .not_valid_after(end)
        )
        for each in (usual | dict(extensions or {})).values():
            if each is not None:
                builder = builder.add_extension(each[0], critical=each[1])
        for number, content, critical in further:
            unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(number), content)
            builder = builder.add_extension(unknown, critical=critical)
        edwards = isinstance(signing.key, ed25519.Ed25519PrivateKey)
        deterministic = True if isinstance(signing.key, ec.EllipticCurvePrivateKey) else None
        self.certificate = builder.sign(
            signing.key, None if edwards else digest or hashes.SHA256(), ecdsa_deterministic=deterministic
        )

    @property
    def pem(self) -> bytes:
        """The certificate, PEM."""
        return self.certificate.public_bytes(Encoding.PEM)


def pem_of(encoded: bytes) -> bytes:
    """PEM of a certificate of any bytes at all."""
    body = "\n".join(textwrap.wrap(base64.b64encode(encoded).decode(), 64))
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n".encode()


def with_replaced(ca: Ca, old: bytes, new: bytes) -> bytes:
    """PEM of a CA's certificate with bytes exchanged for as many others; its signature is none any more."""
    encoded = ca.certificate.public_bytes(Encoding.DER)
    assert old in encoded
    assert len(old) == len(new)
    return pem_of(encoded.replace(old, new))


def signed_with_sha1(ca: Ca, key: rsa.RSAPrivateKey) -> bytes:
    """PEM of a CA's certificate, signed again by an RSA key with SHA-1, which libraries do no longer."""
    sha256, sha1 = (der.object_identifier(f"1.2.840.113549.1.1.{number}") for number in (11, 5))
    tbs = ca.certificate.tbs_certificate_bytes.replace(sha256, sha1)
    signature = key.sign(tbs, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303 - the point
    return pem_of(der.sequence(tbs, der.sequence(sha1, der.NULL), der.bit_string(signature)))


def permitted(*names: x509.GeneralName, excluded: Sequence[x509.GeneralName] = ()) -> Extensions:
    """Name constraints."""
    constraints = x509.NameConstraints(list(names) or None, list(excluded) or None)
    return {x509.NameConstraints: (constraints, True)}


def purposes(*numbers: str) -> Extensions:
    """An extended key usage."""
    return {x509.ExtendedKeyUsage: (x509.ExtendedKeyUsage(list(map(x509.ObjectIdentifier, numbers))), False)}


def unreadable_names() -> tuple[str, bytes, bool]:
    """A subjectAltName of a kind that pyca does not read (x400Address)."""
    return "2.5.29.17", der.sequence(der.element(0xA3, der.sequence())), False


def curve(name: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    """A key on any curve."""
    return ec.derive_private_key(987654321, name)
