"""The issuer: nothing is signed for a CA that is not one, is not trusted, or whose key is another."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from csr_signer.ca.algorithm import RAW_ALGORITHMS, SIGNATURE_ALGORITHMS, SignatureAlgorithm
from csr_signer.ca.issuer import (
    PROTECTION_LEVELS,
    Issuer,
    KmsPublicKey,
    confirm,
    load,
    protects,
    refuse_names,
    verify,
    warnings,
)
from csr_signer.errors import ConfigurationError
from sandbox.calico import der as writer
from tests.unit.function.authorities import BEGIN, END, Ca, permitted
from tests.unit.function.builders import (
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


def test_a_self_signed_ca_is_an_issuer() -> None:
    """A CA that is its own trust bundle; its identifier, validity and key are what certificates follow from."""
    issuer = loaded(authority().pem)
    assert issuer.certificate == authority().certificate
    assert (issuer.not_before, issuer.not_after) == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC))
    assert issuer.public_keys == {public_key_info(authority().key)}
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority().key.public_key()).digest
    assert issuer.key_identifier == identifier
    assert issuer.chain_pem == b""


def test_a_chain_narrows_the_validity() -> None:
    """Validity is what all CAs of the chain share; no key of chain or trust bundle may be requested."""
    root = make_authority(
        common_name="Root", key=ec_key(number=31), path_length=None, not_after=datetime(2030, 1, 1, tzinfo=UTC)
    )
    issuing = make_authority(
        common_name="Issuing", key=ec_key(number=32), above=root, not_before=datetime(2026, 2, 1, tzinfo=UTC)
    )
    issuer = loaded(issuing.pem + root.pem, root.pem)
    assert issuer.certificate == issuing.certificate
    assert issuer.key_identifier == x509.SubjectKeyIdentifier.from_public_key(issuing.key.public_key()).digest
    assert (issuer.not_before, issuer.not_after) == (datetime(2026, 2, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
    assert issuer.public_keys == {public_key_info(ec_key(number=31)), public_key_info(ec_key(number=32))}
    assert issuer.chain_pem == issuing.pem


@pytest.mark.parametrize(
    "trust", [ROOT.pem, ISSUING.pem, authority().pem + ROOT.pem], ids=["its root", "itself", "its root among others"]
)
def test_an_intermediate_is_trusted_by(trust: bytes) -> None:
    """The trust bundle holds the last certificate of the file, or what issued it."""
    assert loaded(ISSUING.pem, trust).certificate == ISSUING.certificate


CONFIRMED: list[tuple[SignatureAlgorithm, str | None]] = [(each, None) for each in SIGNATURE_ALGORITHMS.values()]
CONFIRMED += [(algorithm, signature_hash) for (_, signature_hash), algorithm in RAW_ALGORITHMS.items()]


def of_kind(algorithm: SignatureAlgorithm) -> PrivateKey:
    """A key of the only kind that an algorithm is for."""
    curves = {"secp256r1": "P-256", "secp384r1": "P-384"}
    return ec_key(curves[algorithm.key]) if algorithm.key in curves else rsa_key(int(algorithm.key[4:]))


@pytest.mark.parametrize(("algorithm", "signature_hash"), CONFIRMED, ids=lambda each: getattr(each, "name", each))
def test_the_key_of_the_ca_certificate_is_confirmed(algorithm: SignatureAlgorithm, signature_hash: str | None) -> None:
    """Each algorithm of Cloud KMS that signs certificates here gives hash and padding, and what it signs verifies."""
    key = of_kind(algorithm)
    issuer = replace(make_issuer(make_authority(key=key)), signature_hash=signature_hash)
    assert confirm(issuer, kms_key(key, algorithm.name)) is algorithm
    signature = sign(key, b"data", algorithm.digest())
    assert verify(issuer, algorithm, signature=signature, data=b"data")
    assert not verify(issuer, algorithm, signature=signature, data=b"other")
    assert not verify(issuer, algorithm, signature=b"", data=b"data")


@pytest.mark.parametrize("name", SIGNATURE_ALGORITHMS)
def test_a_signature_must_match_the_ca_keys_kind(name: str) -> None:
    """An ECDSA signature is invalid under an RSA algorithm, and the reverse."""
    of: Authority = make_authority() if name.startswith("RSA") else make_authority(key=rsa_key())
    assert not verify(make_issuer(of), SIGNATURE_ALGORITHMS[name], signature=sign(of.key, b"data"), data=b"data")


@pytest.mark.parametrize(
    ("violation", "key"),
    [
        (
            "algorithm EC_SIGN_SECP256K1_SHA256 is not supported: .*; use a key version of EC_SIGN_P256_SHA256",
            kms_key(authority().key, "EC_SIGN_SECP256K1_SHA256"),
        ),
        ("algorithm RSA_SIGN_PSS_2048_SHA256 is not supported", kms_key(rsa_key(), "RSA_SIGN_PSS_2048_SHA256")),
        (
            "algorithm CRYPTO_KEY_VERSION_ALGORITHM_UNSPECIFIED is not supported",
            kms_key(authority().key, "CRYPTO_KEY_VERSION_ALGORITHM_UNSPECIFIED"),
        ),
        (
            "protection level is SOFTWARE, must be at least HSM: use a key of that level, or lower",
            kms_key(authority().key, protection_level="SOFTWARE"),
        ),
        (
            "protection level is EXTERNAL, must be at least HSM: keys outside Cloud KMS are not supported",
            kms_key(authority().key, protection_level="EXTERNAL"),
        ),
        (
            "because algorithm RSA_SIGN_RAW_PKCS1_2048 has no fixed hash",
            kms_key(rsa_key(), "RSA_SIGN_RAW_PKCS1_2048"),
        ),
        (
            "algorithm EC_SIGN_P384_SHA384 is for secp384r1 keys, the key of .CN=Calico CA. is secp256r1",
            kms_key(authority().key, "EC_SIGN_P384_SHA384"),
        ),
        ("its public key must be that of the CA certificate .CN=Calico CA.", kms_key(ec_key(number=99))),
        ("its public key must be that of the CA certificate", kms_key(rsa_key())),
        (
            "its public key must be that of the CA certificate",
            KmsPublicKey(pem=b"garbage", algorithm="EC_SIGN_P256_SHA256", protection_level="HSM"),
        ),
    ],
)
def test_not_confirmed_is(violation: str, key: KmsPublicKey) -> None:
    """Another key, algorithm or protection than was configured; the message names the key version."""
    with pytest.raises(ConfigurationError, match=violation) as raised:
        confirm(make_issuer(), key)
    assert KEY_VERSION in str(raised.value)


def test_a_configured_hash_for_another_key_is_an_error() -> None:
    """The error names the key version."""
    issuer = replace(make_issuer(), signature_hash="SHA384")
    with pytest.raises(
        ConfigurationError,
        match=f"{KEY_VERSION}: issuer.signature_hash: Forbidden: algorithm EC_SIGN_P256_SHA256 has a fixed hash",
    ):
        confirm(issuer, kms_key(authority().key))


@pytest.mark.parametrize(
    ("key", "algorithm", "violation"),
    [
        (rsa_key(3072), "RSA_SIGN_PKCS1_4096_SHA512", "is for RSA-4096 keys, the key of .* is RSA-3072"),
        (rsa_key(3072), "RSA_SIGN_PKCS1_2048_SHA256", "is for RSA-2048 keys, the key of .* is RSA-3072"),
    ],
    ids=["a larger one", "a smaller one"],
)
def test_keys_of_another_size_are_not_confirmed(key: PrivateKey, algorithm: str, violation: str) -> None:
    """KMS would refuse the digest, or sign with an RSA key of a size that was not meant."""
    with pytest.raises(ConfigurationError, match=f"{algorithm} {violation}"):
        confirm(make_issuer(make_authority(key=key)), kms_key(key, algorithm))


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
        (_leaf(authority()) + ROOT.pem, True),
        (_leaf(ROOT) + authority().pem, False),
        (authority().pem + _leaf(authority()), True),  # the CA itself, which it signed
        (_leaf(ROOT), False),
        (_leaf(make_authority(key=ec_key(number=33))), False),  # a CA of the same name
        (b"", False),
        (b"garbage", False),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", False),
    ],
)
def test_only_what_this_ca_signed_is_its_own(pem: bytes, ours: bool) -> None:  # noqa: FBT001 - a column
    """A certificate that stands in a CSR already may be anyone's, of any form; the first of the text counts."""
    assert make_issuer().issued(pem) == (x509.load_pem_x509_certificate(pem) if ours else None)


def test_while_a_ca_is_replaced_the_other_ones_certificates_are_no_alarm() -> None:
    """What another CA of the trust bundle signed is known too: two instances may serve before and after the switch."""
    old, new = authority(), make_authority(common_name="New CA", key=ec_key(number=99))
    both = make_issuer(new, trust=new.pem + old.pem)
    assert both.issued(_leaf(old)) is not None
    assert both.issued(_leaf(new)) is not None
    assert make_issuer(new).issued(_leaf(old)) is None


def test_a_certificate_with_an_unknown_signature_algorithm_is_someone_elses() -> None:
    """What cannot be verified was not signed here."""
    leaf = x509.load_pem_x509_certificate(_leaf(authority())).public_bytes(Encoding.DER)
    ecdsa_with_sha256, unknown = writer.object_identifier("1.2.840.10045.4.3.2"), bytes.fromhex("06082a8648ce3d04037f")
    encoded = leaf.replace(ecdsa_with_sha256, unknown)
    assert encoded != leaf
    certificate = x509.load_der_x509_certificate(encoded).public_bytes(Encoding.PEM)
    assert make_issuer().issued(certificate) is None


def test_names_that_the_cas_do_not_permit_are_refused_at_load() -> None:
    """A profile and a CA that do not fit are an error of the configuration, not of the first pod."""
    constraints = permitted(x509.DNSName("typha-server"), x509.DNSName("svc.cluster.local"))
    issuer = loaded(Ca(extensions=constraints).pem)
    refuse_names(issuer, ["typha-server", "calico-api.calico-system.svc.cluster.local"])
    refuse_names(make_issuer(), ["anything"])
    with pytest.raises(
        ConfigurationError,
        match=r"^issuer\.certificate: Forbidden: name constraints do not permit typha-client by .CN=Issuing.",
    ):
        refuse_names(issuer, ["typha-server", "typha-client"])


YEAR = timedelta(days=365)
SECOND = timedelta(seconds=1)
BITES = END - YEAR
EXPIRY = {
    "long before": (BITES - timedelta(days=90) - SECOND, YEAR, None, ""),
    "90 days before certificates are cut short": (
        BITES - timedelta(days=90),
        YEAR,
        "WARNING",
        '"CN=Issuing" ends 2036-01-01: from 2035-01-01 on, certificates get a shorter lifetime; rotate the issuing CA',
    ),
    "a second before they are": (BITES - SECOND, YEAR, "WARNING", "shorter lifetime"),
    "when they are": (BITES, YEAR, "ERROR", "in 365 days: certificates get less than their 365 days; rotate"),
    "at the end": (END, YEAR, "ERROR", "ends 2036-01-01, in 0 hours"),
    "after the end": (END + SECOND, YEAR, "ERROR", "ended 2036-01-01: the function cannot issue certificates"),
    "before the beginning": (BEGIN - SECOND, YEAR, "ERROR", "is not valid before 2026-01-01T00:00:00Z"),
    "at the beginning": (BEGIN, YEAR, None, ""),
    "a short lifetime, 30 days before the end": (
        END - timedelta(days=30),
        timedelta(hours=1),
        "ERROR",
        "in 30 days; rotate",
    ),
    "a short lifetime, when it is cut": (
        END - timedelta(hours=2),
        timedelta(hours=5),
        "ERROR",
        "ends 2036-01-01, in 2 hours: certificates get less than their 5 hours; rotate",
    ),
    "a short lifetime, a second after it is cut": (
        END - timedelta(hours=2) + SECOND,
        timedelta(hours=5),
        "ERROR",
        "ends 2036-01-01, in 1 hours",
    ),
    "a short lifetime, a day before the end": (
        END - timedelta(days=1),
        timedelta(hours=5),
        "ERROR",
        "ends 2036-01-01, in 1 days; rotate",
    ),
    "a short lifetime, 30 days and a second before the end": (
        END - timedelta(days=30) - SECOND,
        timedelta(hours=1),
        "WARNING",
        "shorter lifetime",
    ),
    "a short lifetime, 120 days before the end": (
        END - timedelta(days=120) - SECOND,
        timedelta(hours=1),
        None,
        "",
    ),
}


@pytest.mark.parametrize(("now", "lifetime", "severity", "message"), EXPIRY.values(), ids=EXPIRY)
def test_the_end_of_a_ca_is_announced(now: datetime, lifetime: timedelta, severity: str | None, message: str) -> None:
    """A warning while there is time to rotate, an error once certificates suffer; `now` is all that it depends on."""
    found = warnings(loaded(Ca().pem), now, lifetime=lifetime)
    assert [each.severity for each in found] == ([] if severity is None else [severity])
    for each in found:
        assert message in each.message
        assert (each.certificate, each.not_after) == ("CN=Issuing", END)


def test_every_ca_of_the_path_is_announced() -> None:
    """Also the root in the trust bundle, without which nothing verifies; the default lifetime is a year."""
    root = Ca("Root", key=ec_key(number=31), path_length=1, end=datetime(2028, 1, 1, tzinfo=UTC))
    issuing = Ca(key=ec_key(number=32), above=root)
    issuer = loaded(issuing.pem, root.pem)
    (expiry,) = warnings(issuer, datetime(2027, 1, 1, tzinfo=UTC))
    assert (expiry.severity, expiry.certificate) == ("ERROR", "CN=Root")
    assert "certificates get less than their 365 days" in expiry.message
    assert len(warnings(issuer, datetime(2040, 1, 1, tzinfo=UTC))) == 2
    assert warnings(issuer, datetime(2026, 2, 1, tzinfo=UTC)) == ()
