"""Controls: chains that no stack may accept. Each differs in one thing from a chain that every stack must accept."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sandbox.derived_keys import ec_key, key
from tests.interoperability.issuers import KmsIssuer
from tests.interoperability.requesters import Requester
from tests.interoperability.stack import Query, pem_file
from tests.unit.function.builders import certifying_addresses

_SHORTEST_LIFETIME: Final = timedelta(minutes=10)
_OTHER_KEY: Final = ec_key("P-256", number=7654321)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """An issued certificate and what it was issued for.

    Attributes:
        issuer, requester, kind, digest, request: Who was asked, by whom, with which key and request.
        chain: The leaf and its intermediates, PEM.
        queries: What every stack must accept.
        folder: For further files.
    """

    issuer: KmsIssuer
    requester: Requester
    kind: str
    digest: str
    request: bytes
    chain: bytes
    queries: tuple[Query, ...]
    folder: Path

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate."""
        return x509.load_pem_x509_certificate(self.chain)

    def with_chain(self, chain: bytes) -> Query:
        """Returns the first query, about another chain."""
        return replace(self.queries[0], chain=pem_file(self.folder, chain))


Pair = tuple[Query, Query]
"""A query that every stack must refuse, and the one that it must accept, so that nothing else causes the refusal."""


def _flipped_bit(issued: Issued) -> Pair:
    """The last bit of the signature: of ECDSA's s, or of RSA's number."""
    encoded = bytearray(issued.leaf.public_bytes(Encoding.DER))
    encoded[-1] ^= 1
    flipped = x509.load_der_x509_certificate(bytes(encoded))
    return issued.with_chain(issued.chain.replace(_pem(issued.leaf), _pem(flipped))), issued.queries[0]


def _other_root(issued: Issued) -> Pair:
    root = x509.load_pem_x509_certificate(issued.issuer.root.read_bytes())
    other = _copy(root, subject=root.subject, issuer=root.subject, key=_OTHER_KEY.public_key())
    roots = pem_file(issued.folder, _pem(other.sign(_OTHER_KEY, hashes.SHA256())))
    return replace(issued.queries[0], roots=roots), issued.queries[0]


def _expired(issued: Issued) -> Pair:
    """The same request with the shortest lifetime, filed so long ago that it ended a minute before now."""
    created = datetime.now(UTC).replace(microsecond=0) - _SHORTEST_LIFETIME - timedelta(minutes=1)
    seconds = int(_SHORTEST_LIFETIME.total_seconds())
    chain = issued.requester.certify(issued.request, issued.issuer, created=created, expiration_seconds=seconds)
    return issued.with_chain(chain), issued.queries[0]


def _other_host(issued: Issued) -> Pair:
    return replace(issued.queries[0], host=f"other.{issued.queries[0].host}"), issued.queries[0]


def _server_only(issued: Issued) -> Pair:
    """By a profile with one extended key usage."""
    profile = certifying_addresses()
    rows = tuple(replace(row, extended_key_usage=("serverAuth",)) for row in profile.components)
    chain = issued.requester.certify(issued.request, issued.issuer, profile=replace(profile, components=rows))
    server = issued.with_chain(chain)
    return replace(server, host="", purpose="client"), server


def _issued_by_leaf(issued: Issued) -> Pair:
    """The leaf's key signs a certificate for the same names; the chain is right, except that the leaf is no CA."""
    leaf, subject = issued.leaf, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issued by a leaf")])
    copy = _copy(leaf, subject=subject, issuer=leaf.subject, key=_OTHER_KEY.public_key())
    leaf_identifier = leaf.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(leaf_identifier)
    signed = copy.add_extension(identifier, critical=False).sign(key(issued.kind), hashes.SHA256())
    return issued.with_chain(_pem(signed) + issued.chain), issued.queries[0]


def _no_intermediates(issued: Issued) -> Pair:
    return issued.with_chain(_pem(issued.leaf)), issued.queries[0]


CONTROLS: Final[dict[str, Callable[[Issued], Pair]]] = {
    "a flipped bit in the signature": _flipped_bit,
    "another root of the same name": _other_root,
    "expired": _expired,
    "another host": _other_host,
    "serverAuth alone, as a client": _server_only,
    "issued by a leaf": _issued_by_leaf,
    "without its intermediates": _no_intermediates,
}
"""By name; the last one only where there are intermediates."""


def controls_of(issued: Issued) -> dict[str, Pair]:
    """Returns every control that can be made of a certificate."""
    has_intermediates = len(x509.load_pem_x509_certificates(issued.chain)) > 1
    return {name: make(issued) for name, make in CONTROLS.items() if make is not _no_intermediates or has_intermediates}


def _copy(
    certificate: x509.Certificate, *, subject: x509.Name, issuer: x509.Name, key: CertificatePublicKeyTypes
) -> x509.CertificateBuilder:
    """Returns the same certificate for another key, without the authority key identifier."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
    for extension in certificate.extensions:
        if not isinstance(extension.value, x509.AuthorityKeyIdentifier | x509.SubjectKeyIdentifier):
            builder = builder.add_extension(extension.value, critical=extension.critical)
    return builder


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)
