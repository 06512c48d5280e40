"""Python's cryptography: the function reads with it, but neither writes requests nor verifies chains with it."""

import sys
from collections.abc import Callable, Sequence
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar, Final

import cryptography
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification
from cryptography.x509.oid import AttributeOID, ExtendedKeyUsageOID, NameOID

from sandbox import derived_keys
from tests.interoperability.requesters import Requester
from tests.interoperability.stack import Query, RequestWriter, is_address

_DIGESTS: Final[dict[str, Any]] = {
    "SHA224": hashes.SHA224(),
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
    "SHA3-256": hashes.SHA3_256(),
}
_KINDS: Final[dict[str, Callable[[], Any]]] = {
    "DSA-2048": lambda: dsa.generate_private_key(2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
    "P-224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "RSA-2048, exponent 3": lambda: rsa.generate_private_key(3, 2048),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
}
"""Kinds of key that no certificate may have; `derived_keys` has the others."""

_SUBJECT: Final = (
    (NameOID.COUNTRY_NAME, "US"),
    (NameOID.STATE_OR_PROVINCE_NAME, "California"),
    (NameOID.LOCALITY_NAME, "San Francisco"),
    (NameOID.ORGANIZATION_NAME, "Tigera"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "Engineering"),
)
PSS: Final = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


@cache
def key(kind: str) -> Any:
    """Returns the private key of a kind."""
    return _KINDS[kind]() if kind in _KINDS else derived_keys.key(kind)


def key_usage(*, content_commitment: bool = False) -> x509.KeyUsage:
    """Returns the key usage that Calico's client asks for, or more."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=content_commitment,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=True,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


class Pyca(RequestWriter):
    """The package that the tests run with."""

    name = "pyca"
    required = True
    reasons: ClassVar = {
        "a flipped bit in the signature": r"signature does not match",
        "another root of the same name": r"signature does not match",
        "expired": r"not valid at validation time",
        "another host": r"no matching subjectAltName",
        "serverAuth alone, as a client": r"EKU not found",
        "issued by a leaf": r"basicConstraints\.cA must be asserted",
        "without its intermediates": r"all candidates exhausted",
    }

    def describe(self) -> str:
        """Returns the package's version."""
        return f"cryptography {cryptography.__version__}, Python {sys.version.split()[0]}"

    def request(self, kind: str, requester: Requester, digest: str = "", change: dict[str, Any] | str = "") -> bytes:
        """Builds a request.

        A change may hold `digest`, `rsa_padding`, `challenge_password`, `attribute` (a further attribute of the
        subject) and `extension` (replaces the one of its type).
        """
        changes = change or {}
        assert isinstance(changes, dict)
        subject = [x509.NameAttribute(oid, value) for oid, value in _SUBJECT]
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, requester.component.common_name))
        subject += [changes["attribute"]] if "attribute" in changes else []
        builder = x509.CertificateSigningRequestBuilder(subject_name=x509.Name(subject))
        extensions: list[x509.ExtensionType] = [
            x509.SubjectAlternativeName(map(_general_name, requester.hosts)),
            x509.BasicConstraints(ca=False, path_length=None),
            key_usage(),
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            *([changes["extension"]] if "extension" in changes else []),
        ]
        for extension in {each.oid: each for each in extensions}.values():
            critical = isinstance(extension, x509.BasicConstraints | x509.KeyUsage)
            builder = builder.add_extension(extension, critical=critical)
        if changes.get("challenge_password"):
            builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, b"12345678")
        hashed = None if kind.startswith("Ed") else _DIGESTS[digest or changes.get("digest", "SHA256")]
        return builder.sign(key(kind), hashed, rsa_padding=changes.get("rsa_padding")).public_bytes(Encoding.PEM)

    def verify(self, queries: Sequence[Query]) -> list[str]:
        """Verifies with `cryptography.x509.verification`."""

        @cache
        def load(path: Path) -> list[x509.Certificate]:
            return x509.load_pem_x509_certificates(path.read_bytes())

        def reason(query: Query) -> str:
            leaf, *intermediates = load(query.chain)
            builder = verification.PolicyBuilder().store(verification.Store(load(query.roots)))
            try:
                if query.purpose == "client":
                    builder.build_client_verifier().verify(leaf, intermediates)
                else:
                    builder.build_server_verifier(_general_name(query.host)).verify(leaf, intermediates)
            except verification.VerificationError as error:
                return str(error)
            return ""

        return list(map(reason, queries))


def _general_name(host: str) -> x509.DNSName | x509.IPAddress:
    return x509.IPAddress(ip_address(host)) if is_address(host) else x509.DNSName(host)
