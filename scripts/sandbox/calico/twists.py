"""Twists turn a client's request into an attack by changing one part."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sandbox.calico import der, request
from sandbox.calico.client import USAGES
from sandbox.calico.keys import generate
from sandbox.calico.request import Content

_SHA1_WITH_RSA = "1.2.840.113549.1.1.5"
_ED25519 = "1.3.101.112"


@dataclass(frozen=True, slots=True, kw_only=True)
class Victim:
    """The attacked pod."""

    request_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A request before its encoding.

    Attributes:
        request_name: The CSR's name.
        content: The content of the CertificationRequest.
        usages: `spec.usages`.
        encode: Encodes the CertificationRequest with a matching key.
        wrap: Turns it into `spec.request`.
    """

    request_name: str
    content: Content
    usages: tuple[str, ...] = USAGES
    encode: Callable[[Content], bytes]
    wrap: Callable[[bytes], bytes] = request.pem


Twist = Callable[[Draft, Victim], Draft]


def elliptic(content: Content) -> bytes:
    """Encodes with a new P-256 key; all stories use it, except those about keys."""
    return request.certification_request(content, generate("ECDSAWithCurve256"), "ECDSAWithSHA256")


def nothing(draft: Draft, _: Victim) -> Draft:
    """Keeps the client's request: the fault is in the requester."""
    return draft


def change(**changes: object) -> Twist:
    """Changes fields of the draft."""
    return lambda draft, _: replace(draft, **changes)  # type: ignore[arg-type]  # names and types are Draft's


def ask(**changes: object) -> Twist:
    """Changes fields of the content."""
    return lambda draft, _: replace(
        draft,
        content=replace(draft.content, **changes),  # type: ignore[arg-type]  # names and types are Content's
    )


def steal_name(draft: Draft, victim: Victim) -> Draft:
    """Uses the victim's CSR name."""
    return replace(draft, request_name=victim.request_name)


def more_dns_names(*names: str) -> Twist:
    """Adds DNS names after the component's."""
    return lambda draft, _: replace(draft, content=replace(draft.content, dns_names=(*draft.content.dns_names, *names)))


def sign_certificates(draft: Draft, _: Victim) -> Draft:
    """Requests the right to sign certificates, in key usage and in `spec.usages`."""
    key_usage = (request.DIGITAL_SIGNATURE, request.KEY_ENCIPHERMENT, request.KEY_CERT_SIGN)
    return replace(draft, usages=(*USAGES, "cert sign"), content=replace(draft.content, key_usage=key_usage))


def encode_weak(content: Content) -> bytes:
    """Encodes with an RSA key of 1024 bits."""
    return request.certification_request(content, rsa.generate_private_key(65537, 1024))  # noqa: S505  # the attack


def encode_sha1(content: Content) -> bytes:
    """Encodes with an RSA key, signed with SHA-1."""
    key = rsa.generate_private_key(65537, 2048)
    return request.assemble(
        content,
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        der.sequence(der.object_identifier(_SHA1_WITH_RSA), der.NULL),
        lambda information: key.sign(information, padding.PKCS1v15(), hashes.SHA1()),  # noqa: S303  # the attack
    )


def encode_ed25519(content: Content) -> bytes:
    """Encodes with an Ed25519 key."""
    key = ed25519.Ed25519PrivateKey.generate()
    return request.assemble(
        content,
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        der.sequence(der.object_identifier(_ED25519)),
        key.sign,
    )


def wrap_in_text(encoded: bytes) -> bytes:
    """Adds text before and after the PEM block."""
    return b"please sign this:\n" + request.pem(encoded) + b"thank you\n"
