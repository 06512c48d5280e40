"""Python's cryptography: an honest request of its builder is certified, and its verifier accepts what is issued.

The function reads with the same library, but never writes a request, and never verifies a chain.
"""

from collections.abc import Callable
from functools import cache
from ipaddress import ip_address
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification
from cryptography.x509.oid import AttributeOID, ExtendedKeyUsageOID, NameOID

from tests.function.builders import rsa_key
from tests.interoperability.stories import HONEST, NODE, WHEN, Story, certified, refused

DIGESTS: Final[dict[str, Any]] = {
    "SHA224": hashes.SHA224(),
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
    "SHA3-256": hashes.SHA3_256(),
}
KINDS: Final[dict[str, Callable[[], Any]]] = {
    "DSA-2048": lambda: dsa.generate_private_key(2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
    "P-224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "RSA-1024": lambda: rsa_key(1024),
    "RSA-2048": lambda: rsa.generate_private_key(65537, 2048),
    "RSA-2048, exponent 3": lambda: rsa.generate_private_key(3, 2048),
    "RSA-3072": lambda: rsa.generate_private_key(65537, 3072),
    "RSA-4096": lambda: rsa.generate_private_key(65537, 4096),
    "RSA-8192": lambda: rsa_key(8192),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
}
SUBJECT: Final = (
    (NameOID.COUNTRY_NAME, "US"),
    (NameOID.STATE_OR_PROVINCE_NAME, "California"),
    (NameOID.LOCALITY_NAME, "San Francisco"),
    (NameOID.ORGANIZATION_NAME, "Tigera"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "Engineering"),
)


@cache
def key(kind: str) -> Any:
    """A new private key of each kind."""
    return KINDS[kind]()


def extensions(story: Story) -> list[x509.ExtensionType]:
    """What Calico's client asks for."""
    names = [x509.DNSName(name) for name in story.dns_names]
    return [
        x509.SubjectAlternativeName([*names, x509.IPAddress(ip_address(story.address))]),
        x509.BasicConstraints(ca=False, path_length=None),
        usage(),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
    ]


def usage(*, content_commitment: bool = False) -> x509.KeyUsage:
    """What Calico's client asks for, or more."""
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


def request(
    kind: str,
    digest: str | None,
    story: Story,
    *,
    more: x509.ExtensionType | None = None,
    attribute: x509.NameAttribute[str] | None = None,
    challenge_password: bool = False,
    rsa_padding: padding.PSS | None = None,
) -> bytes:
    """PEM of a story's request; an extension replaces the one of its kind."""
    subject = [x509.NameAttribute(kind, value) for kind, value in SUBJECT]
    subject += [x509.NameAttribute(NameOID.COMMON_NAME, story.common_name), *([attribute] if attribute else [])]
    builder = x509.CertificateSigningRequestBuilder(subject_name=x509.Name(subject))
    wanted = {extension.oid: extension for extension in [*extensions(story), *([more] if more else [])]}
    for extension in wanted.values():
        critical = isinstance(extension, x509.BasicConstraints | x509.KeyUsage)
        builder = builder.add_extension(extension, critical=critical)
    if challenge_password:
        builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, b"12345678")
    digests = DIGESTS[digest] if digest else None
    return builder.sign(key(kind), digests, rsa_padding=rsa_padding).public_bytes(Encoding.PEM)


def accept(kind: str, certificate: bytes, story: Story) -> None:
    """Fails unless the certificate is the key's and good for every name, as server and as client."""
    leaf, *intermediates = x509.load_pem_x509_certificates(certificate)
    assert leaf.public_key() == key(kind).public_key()
    store = verification.Store(x509.load_pem_x509_certificates(story.root))
    builder = verification.PolicyBuilder().store(store).time(WHEN)
    builder.build_client_verifier().verify(leaf, intermediates)
    for name in map(x509.DNSName, story.dns_names):
        builder.build_server_verifier(name).verify(leaf, intermediates)
    builder.build_server_verifier(x509.IPAddress(ip_address(story.address))).verify(leaf, intermediates)


@pytest.mark.parametrize(
    ("kind", "digest", "story"),
    [*HONEST, ("RSA-3072", "SHA256", NODE), ("RSA-8192", "SHA512", NODE)],
    ids=str,
)
def test_an_honest_request_is_certified(kind: str, digest: str, story: Story) -> None:
    """Every key and digest of Calico's gets exactly the names that it asks for, and the verifier accepts the chain."""
    accept(kind, certified(request(kind, digest, story), story), story)


def test_another_keys_certificate_is_not_accepted() -> None:
    """What accepts can also reject: here a certificate that was issued for another key."""
    certificate = certified(request("P-256", "SHA256", NODE), NODE)
    with pytest.raises(AssertionError):
        accept("P-384", certificate, NODE)


PSS: Final = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
WITH_MAIL: Final = x509.SubjectAlternativeName([x509.DNSName("typha-client"), x509.RFC822Name("a@example.com")])


@pytest.mark.parametrize(
    ("kind", "digest", "changes", "codes"),
    [
        ("RSA-2048", "SHA224", {}, {"request.signature_algorithm"}),
        ("RSA-2048", "SHA3-256", {}, {"request.signature_algorithm"}),
        ("P-256", "SHA224", {}, {"request.signature_algorithm"}),
        ("P-256", "SHA3-256", {}, {"request.signature_algorithm"}),
        ("RSA-2048", "SHA256", {"rsa_padding": PSS}, {"request.signature_algorithm"}),
        ("RSA-1024", "SHA256", {}, {"public_key.size"}),
        ("RSA-2048, exponent 3", "SHA256", {}, {"public_key.exponent"}),
        ("P-224", "SHA256", {}, {"public_key.type"}),
        ("secp256k1", "SHA256", {}, {"public_key.type"}),
        ("DSA-2048", "SHA256", {}, {"public_key.type"}),
        ("Ed25519", None, {}, {"public_key.type"}),
        ("Ed448", None, {}, {"public_key.type"}),
        ("P-256", "SHA256", {"challenge_password": True}, {"request.attribute"}),
        ("P-256", "SHA256", {"more": x509.BasicConstraints(ca=True, path_length=0)}, {"basic_constraints.ca"}),
        ("P-256", "SHA256", {"more": usage(content_commitment=True)}, {"key_usage.not_allowed"}),
        ("P-256", "SHA256", {"more": x509.OCSPNoCheck()}, {"request.extension"}),
        ("P-256", "SHA256", {"more": WITH_MAIL}, {"san.type"}),
        (
            *("P-256", "SHA256"),
            {"attribute": x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@example.com")},
            {"subject.structure"},
        ),
        ("P-256", "SHA256", {"attribute": x509.NameAttribute(NameOID.TITLE, "Admiral")}, {"subject.attribute"}),
    ],
)
def test_what_is_not_allowed_is_refused(
    kind: str, digest: str | None, changes: dict[str, Any], codes: set[str]
) -> None:
    """The builder writes it when asked, and the refusal says what is wrong, and nothing else."""
    assert refused(request(kind, digest, NODE, **changes)) == codes
