"""The issuer: nothing is signed for a CA that is not one, is not trusted, or whose key is another."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from csr_signer.errors import ConfigurationError
from csr_signer.issuer import (
    PROTECTION_LEVELS,
    SIGNATURE_ALGORITHMS,
    Issuer,
    KmsPublicKey,
    confirm,
    load,
    protects,
    verify,
)
from sandbox.calico import der as writer
from tests.function.builders import (
    KEY_VERSION,
    Authority,
    PrivateKey,
    authority,
    ec_key,
    make_authority,
    make_issuer,
    public_key_info,
    rsa_key,
    sign,
)

ROOT = make_authority(common_name="Root", key=ec_key(number=31), path_length=None)
ISSUING = make_authority(common_name="Issuing", key=ec_key(number=32), above=ROOT)


def loaded(certificate: bytes, trust_bundle: bytes | None = None) -> Issuer:
    """An issuer of these PEM texts."""
    return load(
        key_version=KEY_VERSION,
        certificate=certificate,
        trust_bundle=certificate if trust_bundle is None else trust_bundle,
        protection_level="HSM",
    )


def kms_key(key: PrivateKey, algorithm: str = "EC_SIGN_P256_SHA256", protection_level: str = "HSM") -> KmsPublicKey:
    """What KMS says of a key version that holds this key."""
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return KmsPublicKey(pem=pem, algorithm=algorithm, protection_level=protection_level)


def with_unreadable_names() -> bytes:
    """A CA certificate with a name in subjectAltName that pyca does not read (x400Address)."""
    der_ca = authority().certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(der_ca.subject)
        .issuer_name(der_ca.issuer)
        .public_key(authority().key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
        .add_extension(
            x509.UnrecognizedExtension(
                x509.ObjectIdentifier("2.5.29.17"), writer.sequence(writer.element(0xA3, writer.sequence()))
            ),
            critical=False,
        )
    )
    return builder.sign(authority().key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_a_self_signed_ca_is_an_issuer() -> None:
    """A CA that is its own trust bundle; its identifier, validity and key are what certificates follow from."""
    issuer = loaded(authority().pem)
    assert issuer.certificate == authority().certificate
    assert (issuer.not_before, issuer.not_after) == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC))
    assert issuer.public_keys == {public_key_info(authority().key)}
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority().key.public_key()).digest
    assert issuer.key_identifier == identifier
    assert issuer.chain_pem() == b""


def test_a_chain_narrows_the_validity() -> None:
    """Validity is what all CAs of the chain share; no key of chain or trust bundle may be requested."""
    root = make_authority(
        common_name="Root", key=ec_key(number=31), path_length=None, not_after=datetime(2030, 1, 1, tzinfo=UTC)
    )
    issuing = make_authority(
        common_name="Issuing", key=ec_key(number=32), above=root, not_before=datetime(2026, 2, 1, tzinfo=UTC)
    )
    issuer = loaded(issuing.pem + root.pem, root.pem)
    assert (issuer.not_before, issuer.not_after) == (datetime(2026, 2, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
    assert issuer.public_keys == {public_key_info(ec_key(number=31)), public_key_info(ec_key(number=32))}
    assert issuer.chain_pem() == issuing.pem


@pytest.mark.parametrize(
    "trust", [ROOT.pem, ISSUING.pem, authority().pem + ROOT.pem], ids=["its root", "itself", "its root among others"]
)
def test_an_intermediate_is_trusted_by(trust: bytes) -> None:
    """The trust bundle holds the last certificate of the file, or what issued it."""
    assert loaded(ISSUING.pem, trust).certificate == ISSUING.certificate


@pytest.mark.parametrize(
    ("complaint", "certificate", "trust_bundle"),
    [
        (r"issuer\.certificate: no PEM certificates", b"", None),
        (r"issuer\.certificate: no PEM certificates", b"garbage", None),
        (
            r"issuer\.certificate: no PEM certificates",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            None,
        ),
        (r"issuer\.trust_bundle: no PEM certificates", authority().pem, b""),
        (r"'CN=Calico CA': basic constraints are not CA:TRUE", make_authority(ca=False).pem, None),
        (r"basic constraints are not CA:TRUE", make_authority(basic_constraints=False).pem, None),
        (r"path length is 1, allowed is 0: it issues leaves only", make_authority(path_length=1).pem, None),
        (r"path length is None, allowed is 0", make_authority(path_length=None).pem, None),
        (r"key usage has no keyCertSign", make_authority(key_cert_sign=False).pem, None),
        (r"key usage has no keyCertSign", make_authority(key_usage=False).pem, None),
        (r"has no subject key identifier", make_authority(key_identifier=False).pem, None),
        (r"its extensions cannot be read", with_unreadable_names(), None),
        (r"'CN=Issuing' is not issued by the next in the file, 'CN=Calico CA'", ISSUING.pem + authority().pem, None),
        (r"path length is None, allowed is 0", ROOT.pem + ISSUING.pem, None),
        (
            r"'CN=Not a CA': basic constraints are not CA:TRUE",
            ISSUING.pem + make_authority(common_name="Not a CA", ca=False).pem,
            ROOT.pem,
        ),
        (
            r"issuer\.trust_bundle: neither holds nor issued 'CN=Issuing'",
            ISSUING.pem,
            authority().pem,
        ),
        (
            r"issuer\.trust_bundle: neither holds nor issued 'CN=Calico CA'",
            authority().pem,
            make_authority(key=ec_key(number=33)).pem,  # of the same name
        ),
    ],
)
def test_refused_is(complaint: str, certificate: bytes, trust_bundle: bytes | None) -> None:
    """An issuer that relying parties would not accept is an error of the configuration that says why."""
    with pytest.raises(ConfigurationError, match=complaint):
        loaded(certificate, trust_bundle)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("EC_SIGN_P256_SHA256", ec_key()),
        ("EC_SIGN_P384_SHA384", ec_key("P-384")),
        ("RSA_SIGN_PKCS1_2048_SHA256", rsa_key(2048)),
        ("RSA_SIGN_PKCS1_3072_SHA256", rsa_key(3072)),
        ("RSA_SIGN_PKCS1_4096_SHA256", rsa_key(4096)),
        ("RSA_SIGN_PKCS1_4096_SHA512", rsa_key(4096)),
    ],
)
def test_the_key_of_the_ca_certificate_is_confirmed(name: str, key: PrivateKey) -> None:
    """Each algorithm of Cloud KMS that signs certificates here gives hash and padding, and what it signs verifies."""
    of = make_authority(key=key, algorithm=name)
    issuer = make_issuer(of)
    algorithm = confirm(issuer, kms_key(key, name))
    assert algorithm is SIGNATURE_ALGORITHMS[name]
    assert verify(issuer, algorithm, signature=of.sign(b"data"), data=b"data")
    assert not verify(issuer, algorithm, signature=of.sign(b"data"), data=b"other")
    assert not verify(issuer, algorithm, signature=b"", data=b"data")


@pytest.mark.parametrize("name", SIGNATURE_ALGORITHMS)
def test_a_signature_is_verified_as_the_ca_keys_kind_alone(name: str) -> None:
    """An ECDSA signature is none under an RSA algorithm, nor the other way round."""
    of: Authority = make_authority() if name.startswith("RSA") else make_authority(key=rsa_key())
    assert not verify(make_issuer(of), SIGNATURE_ALGORITHMS[name], signature=sign(of.key, b"data"), data=b"data")


@pytest.mark.parametrize(
    ("complaint", "key"),
    [
        (
            "algorithm EC_SIGN_SECP256K1_SHA256 is not supported, use one of RSA_SIGN_PKCS1_2048_SHA256",
            kms_key(authority().key, "EC_SIGN_SECP256K1_SHA256"),
        ),
        ("algorithm RSA_SIGN_PSS_2048_SHA256 is not supported", kms_key(rsa_key(), "RSA_SIGN_PSS_2048_SHA256")),
        (
            "algorithm CRYPTO_KEY_VERSION_ALGORITHM_UNSPECIFIED is not supported",
            kms_key(authority().key, "CRYPTO_KEY_VERSION_ALGORITHM_UNSPECIFIED"),
        ),
        (
            "protection level SOFTWARE, configured is at least HSM",
            kms_key(authority().key, protection_level="SOFTWARE"),
        ),
        (
            "protection level EXTERNAL, configured is at least HSM",
            kms_key(authority().key, protection_level="EXTERNAL"),
        ),
        ("its public key is not that of the CA certificate 'CN=Calico CA'", kms_key(ec_key(number=99))),
        ("its public key is not that of the CA certificate", kms_key(rsa_key())),
        (
            "its public key is not that of the CA certificate",
            KmsPublicKey(pem=b"garbage", algorithm="EC_SIGN_P256_SHA256", protection_level="HSM"),
        ),
    ],
)
def test_not_confirmed_is(complaint: str, key: KmsPublicKey) -> None:
    """Another key, algorithm or protection than was configured; the message names the key version."""
    with pytest.raises(ConfigurationError, match=complaint) as raised:
        confirm(make_issuer(), key)
    assert KEY_VERSION in str(raised.value)


@pytest.mark.parametrize("least", range(3), ids=PROTECTION_LEVELS)
@pytest.mark.parametrize("got", range(3), ids=PROTECTION_LEVELS)
def test_protection_levels_are_ordered(got: int, least: int) -> None:
    """Each protects what asks for itself or less."""
    assert protects(PROTECTION_LEVELS[got], PROTECTION_LEVELS[least]) == (got >= least)


@pytest.mark.parametrize("level", ["", "EXTERNAL", "EXTERNAL_VPC", "PROTECTION_LEVEL_UNSPECIFIED", "hsm"])
def test_an_unknown_protection_level_protects_nothing(level: str) -> None:
    """External keys are out of scope."""
    assert not protects(level, "SOFTWARE")


def _leaf(of: Authority, **changes: Any) -> bytes:
    return make_authority(common_name="leaf", key=ec_key(number=41), above=of, ca=False, **changes).pem


@pytest.mark.parametrize(
    ("pem", "ours"),
    [
        (_leaf(authority()), True),
        (_leaf(authority()) + authority().pem, True),
        (authority().pem + _leaf(authority()), True),  # the CA itself, which it signed
        (_leaf(ROOT), False),
        (_leaf(make_authority(key=ec_key(number=33))), False),  # a CA of the same name
        (b"", False),
        (b"garbage", False),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", False),
    ],
)
def test_only_what_this_ca_signed_is_its_own(pem: bytes, ours: bool) -> None:  # noqa: FBT001 - a column
    """A certificate that stands in a CSR already may be anyone's, of any form."""
    assert (make_issuer().issued(pem) is not None) == ours


def test_a_certificate_with_an_unknown_signature_algorithm_is_someone_elses() -> None:
    """What cannot be verified was not signed here."""
    leaf = x509.load_pem_x509_certificate(_leaf(authority())).public_bytes(Encoding.DER)
    ecdsa_with_sha256, unknown = writer.object_identifier("1.2.840.10045.4.3.2"), bytes.fromhex("06082a8648ce3d04037f")
    encoded = leaf.replace(ecdsa_with_sha256, unknown)
    assert encoded != leaf
    certificate = x509.load_der_x509_certificate(encoded).public_bytes(Encoding.PEM)
    assert make_issuer().issued(certificate) is None
    with pytest.raises(ConfigurationError, match="neither holds nor issued"):
        loaded(_intermediate_of_unknown_algorithm(), ROOT.pem)


def _intermediate_of_unknown_algorithm() -> bytes:
    encoded = ISSUING.certificate.public_bytes(Encoding.DER)
    changed = encoded.replace(writer.object_identifier("1.2.840.10045.4.3.2"), bytes.fromhex("06082a8648ce3d04037f"))
    return x509.load_der_x509_certificate(changed).public_bytes(Encoding.PEM)
