"""What no stack may accept: each differs in one thing from what it must accept.

A stack that accepts everything would fill the matrix just as well; here it is found out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from csr_signer.profile import Profile
from development.matrix.authorities import Authority
from development.matrix.certificates import certify
from development.matrix.questions import Inquiry
from development.matrix.requesters import Requester
from sandbox.derived_keys import ec_key

_SHORTEST: Final = timedelta(minutes=10)
_AGO: Final = timedelta(minutes=1)
_STRANGER: Final = ec_key("P-256", number=7654321)


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """A good certificate, and what it was made of.

    Attributes:
        requester, authority, profile: as `certify` takes them.
        chain: what came of it.
        host: a name that it is for.
    """

    requester: Requester
    authority: Authority
    profile: Profile
    chain: bytes
    host: str

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate itself."""
        return x509.load_pem_x509_certificate(self.chain)

    @property
    def inquiry(self) -> Inquiry:
        """The question that every stack says yes to."""
        return Inquiry(chain=self.chain, root=self.authority.root, host=self.host, purpose="server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two questions that differ in one thing.

    Attributes:
        refused: must be refused.
        accepted: must be accepted, so that nothing else can be why the other one is not.
    """

    refused: Inquiry
    accepted: Inquiry


def _flipped(good: Good) -> Pair:
    """The last bit of the signature: of ECDSA's s, or of RSA's number."""
    encoded = bytearray(good.leaf.public_bytes(Encoding.DER))
    encoded[-1] ^= 1
    flipped = x509.load_der_x509_certificate(bytes(encoded))
    return _chained(good, _pem(flipped) + good.chain.removeprefix(_pem(good.leaf)))


def _other_root(good: Good) -> Pair:
    """A root of the same name, with another key."""
    root = good.authority.root
    copy = _copy(root, subject=root.subject, issuer=root.subject, key=_STRANGER.public_key())
    other = replace(good.inquiry, root=copy.sign(_STRANGER, hashes.SHA256()))
    return Pair(refused=other, accepted=good.inquiry)


def _expired(good: Good) -> Pair:
    """The same request of a while ago, for the shortest lifetime that there is: it ended a minute ago."""
    created = datetime.now(UTC).replace(microsecond=0) - _SHORTEST - _AGO
    requester = good.requester.earlier(created, expiration_seconds=int(_SHORTEST.total_seconds()))
    return _chained(good, certify(requester, good.authority, good.profile).chain)


def _other_host(good: Good) -> Pair:
    return Pair(refused=replace(good.inquiry, host=f"other.{good.host}"), accepted=good.inquiry)


def _server_alone(good: Good) -> Pair:
    """A profile's row with one usage: what it certifies serves, but does not connect."""
    rows = tuple(replace(row, extended_key_usage=("serverAuth",)) for row in good.profile.components)
    certified = certify(good.requester, good.authority, replace(good.profile, components=rows))
    serving = replace(good.inquiry, chain=certified.chain)
    return Pair(refused=replace(serving, host="", purpose="client"), accepted=serving)


def _leaf_as_authority(good: Good) -> Pair:
    """What the leaf's key signs, for the same names: the chain is right but for the leaf, which is no CA."""
    leaf, subject = good.leaf, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issued by a leaf")])
    copy = _copy(leaf, subject=subject, issuer=leaf.subject, key=_STRANGER.public_key())
    above = leaf.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above)
    signed = copy.add_extension(identifier, critical=False).sign(good.requester.key, hashes.SHA256())
    return _chained(good, _pem(signed) + good.chain)


CONTROLS: Final[Mapping[str, Callable[[Good], Pair]]] = MappingProxyType(
    {
        "a flipped bit in the signature": _flipped,
        "another root of the same name": _other_root,
        "expired": _expired,
        "another host": _other_host,
        "serverAuth alone, as a client": _server_alone,
        "issued by a leaf": _leaf_as_authority,
    }
)
"""By their names in the table and in `reasons`."""


def _chained(good: Good, chain: bytes) -> Pair:
    """The good question, with another chain."""
    return Pair(refused=replace(good.inquiry, chain=chain), accepted=good.inquiry)


def _copy(
    certificate: x509.Certificate, *, subject: x509.Name, issuer: x509.Name, key: CertificatePublicKeyTypes
) -> x509.CertificateBuilder:
    """The same for another key, but for the identifier of the issuer's."""
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
