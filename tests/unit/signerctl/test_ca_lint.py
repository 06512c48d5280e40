"""signerctl's lint names every field of the encoded bytes that differs from the template or breaks a rule."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from csr_signer.ca.algorithm import SIGNATURE_ALGORITHMS
from csr_signer.errors import IntegrityError
from csr_signer.issuance.lint import LintError, TBSCertificate
from csr_signer.kms.key import Attempts
from signerctl.ca import certificate as ca_certificate
from signerctl.ca import certification_request
from signerctl.ca import lint as ca_lint
from signerctl.ca.certificate import CaTemplate
from signerctl.ca.certification_request import RequestTemplate
from signerctl.key import KmsOptions, SigningKey, opened
from tests.unit.function.der_trees import Tree
from tests.unit.signerctl.authorities import spki
from tests.unit.signerctl.stage import Stage

NOW = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
KEY = spki(ec.derive_private_key(1234567, ec.SECP256R1()).public_key())
OTHER_KEY = spki(ec.derive_private_key(7654321, ec.SECP256R1()).public_key())
ALGORITHM = SIGNATURE_ALGORITHMS["EC_SIGN_P256_SHA256"]


def template(**one_thing_wrong: Any) -> CaTemplate:
    """Returns the template of a cross-certificate, because it has every field."""
    values: dict[str, Any] = {
        "purpose": "test",
        "subject": ca_certificate.name("Calico CA", "Example"),
        "issuer": ca_certificate.name("Calico root", "Example"),
        "not_before": NOW,
        "not_after": NOW + timedelta(days=100),
        "subject_public_key_info": KEY,
        "algorithm": ALGORITHM,
        "path_length": 0,
        "permitted_dns_names": ("typha-client",),
        "subject_key_identifier": bytes(range(20)),
        "authority_key_identifier": bytes(range(20, 40)),
        "serial_number": 12345,
    }
    return CaTemplate(**values | one_thing_wrong)


CERTIFICATE: dict[str, tuple[dict[str, Any], str]] = {
    "another subject": ({"subject": ca_certificate.name("Other CA", "Example")}, "subject"),
    "another issuer": ({"issuer": ca_certificate.name("Other root", "Example")}, "issuer"),
    "a later start": ({"not_before": NOW + timedelta(seconds=1)}, "notBefore"),
    "a later end": ({"not_after": NOW + timedelta(days=101)}, "notAfter"),
    "another key": ({"subject_public_key_info": OTHER_KEY}, "public key"),
    "another algorithm": ({"algorithm": SIGNATURE_ALGORITHMS["EC_SIGN_P384_SHA384"]}, "encoding"),
    "another path length": ({"path_length": 1}, "BasicConstraints"),
    "other constraints": ({"permitted_dns_names": ("typha-server",)}, "NameConstraints"),
    "no constraints": ({"permitted_dns_names": ()}, "NameConstraints"),
    "another key identifier": ({"subject_key_identifier": bytes(20)}, "SubjectKeyIdentifier"),
    "another issuer's key": ({"authority_key_identifier": bytes(20)}, "AuthorityKeyIdentifier"),
    "no issuer's key": ({"authority_key_identifier": None}, "AuthorityKeyIdentifier"),
    "another serial number": ({"serial_number": 12346}, "serial number"),
}


@pytest.mark.parametrize(("changes", "named"), CERTIFICATE.values(), ids=CERTIFICATE)
def test_a_field_that_differs_from_the_template_is_refused(changes: dict[str, Any], named: str) -> None:
    """The error names the field."""
    built = ca_certificate.build(template(**changes))
    with pytest.raises(LintError, match=named):
        ca_lint.lint_certificate(built, template())


FORBIDDEN: dict[str, tuple[dict[str, Any], str]] = {
    "the operator's name": ({"subject": ca_certificate.name("tigera-operator-signer@1", "")}, "common name"),
    "Kubernetes' name": ({"subject": ca_certificate.name("system:masters", "")}, "common name"),
    "no common name": ({"subject": ca_certificate.name("", "Example")}, "common name"),
    "no lifetime": ({"not_after": NOW}, "validity"),
    "a root with another issuer": ({"authority_key_identifier": None}, "only a root is self-issued"),
    "a self-issued cross-certificate": (
        {"issuer": ca_certificate.name("Calico CA", "Example")},
        "only a root is self-issued",
    ),
}


@pytest.mark.parametrize(("changes", "named"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_a_template_that_breaks_the_rules_for_our_cas_is_refused(changes: dict[str, Any], named: str) -> None:
    """The bytes match the template, but the template is wrong."""
    wrong = template(**changes)
    with pytest.raises(LintError, match=named):
        ca_lint.lint_certificate(ca_certificate.build(wrong), wrong)


def test_a_serial_number_of_160_bits_is_refused() -> None:
    """RFC 5280 §4.1.2.2 allows 20 octets, and their first bit is the sign."""
    tree = Tree.read(ca_certificate.build(template()))
    tree.part(1).content = (1 << 159).to_bytes(21, "big")
    with pytest.raises(LintError, match="serial number"):
        ca_lint.lint_certificate(tree.write(), template(serial_number=1 << 159))


def test_bytes_that_match_the_template_are_cleared() -> None:
    """The result holds exactly these bytes, with serial number and purpose."""
    built = ca_certificate.build(template())
    assert ca_lint.lint_certificate(built, template()) == TBSCertificate(der=built, serial_number=12345, purpose="test")


def test_times_from_2050_on_are_cleared() -> None:
    """From 2050 on, times are GeneralizedTime (RFC 5280 §4.1.2.5)."""
    late = template(not_after=datetime(2051, 1, 1, tzinfo=UTC))
    built = ca_certificate.build(late)
    assert b"20510101000000Z" in built
    assert ca_lint.lint_certificate(built, late).der == built


MUTILATED = {
    "nothing": b"",
    "half": ca_certificate.build(template())[:-1],
    "something after it": ca_certificate.build(template()) + b"\x05\x00",
    "another structure": b"\x30\x03\x02\x01\x00",
}


@pytest.mark.parametrize("encoded", MUTILATED.values(), ids=MUTILATED)
def test_bytes_that_are_not_one_certificate_are_refused(encoded: bytes) -> None:
    """They are empty, cut off, too long or of another structure."""
    with pytest.raises(LintError):
        ca_lint.lint_certificate(encoded, template())


def test_an_encoding_that_is_not_der_is_refused() -> None:
    """Parsers accept a KeyUsage with trailing zero bits, but it is not DER."""
    built = ca_certificate.build(template())
    assert built.count(b"\x03\x02\x01\x06") == 1
    sloppy = built.replace(b"\x03\x02\x01\x06", b"\x03\x02\x00\x06")
    with pytest.raises(LintError, match="encoding"):
        ca_lint.lint_certificate(sloppy, template())


def request_template(**one_thing_wrong: Any) -> RequestTemplate:
    """Returns the template of a request."""
    values: dict[str, Any] = {
        "purpose": "test",
        "subject": ca_certificate.name("Calico CA", "Example"),
        "subject_public_key_info": KEY,
        "algorithm": ALGORITHM,
        "permitted_dns_names": ("typha-client",),
    }
    return RequestTemplate(**values | one_thing_wrong)


REQUEST: dict[str, tuple[dict[str, Any], str]] = {
    "another subject": ({"subject": ca_certificate.name("Other CA", "Example")}, "subject"),
    "another key": ({"subject_public_key_info": OTHER_KEY}, "public key, SubjectKeyIdentifier"),
    "other constraints": ({"permitted_dns_names": ("typha-server",)}, "NameConstraints"),
    "no constraints": ({"permitted_dns_names": ()}, "NameConstraints"),
}


@pytest.mark.parametrize(("changes", "named"), REQUEST.values(), ids=REQUEST)
def test_a_request_that_differs_from_the_template_is_refused(changes: dict[str, Any], named: str) -> None:
    """The error names the field."""
    built = certification_request.build(request_template(**changes))
    with pytest.raises(LintError, match=named):
        ca_lint.lint_request(built, request_template())


def test_a_request_that_matches_the_template_is_cleared() -> None:
    """The result holds exactly these bytes."""
    built = certification_request.build(request_template())
    assert ca_lint.lint_request(built, request_template()) == TBSCertificate(der=built, serial_number=0, purpose="test")


@pytest.fixture
def key(stage: Stage) -> SigningKey:
    """A key version, opened."""
    endpoint = stage.server.endpoint
    return opened(
        stage.key(),
        KmsOptions(endpoint=None, unsafe_plaintext_endpoint=endpoint, protection_level="HSM", signature_hash=None),
    )


def test_only_the_keys_own_signature_over_the_linted_bytes_is_assembled(key: SigningKey) -> None:
    """Neither a signature over other bytes nor an empty one makes a certificate or a request."""
    wanted = template(subject_public_key_info=key.subject_public_key_info)
    tbs = ca_lint.lint_certificate(ca_certificate.build(wanted), wanted)
    asked = request_template(subject_public_key_info=key.subject_public_key_info)
    info = ca_lint.lint_request(certification_request.build(asked), asked)
    signatures = key.sign(tbs, Attempts()).value, key.sign(info, Attempts()).value
    assert ca_certificate.assemble(tbs, signatures[0], key).tbs_certificate_bytes == tbs.der
    assert certification_request.assemble(info, signatures[1], key).tbs_certrequest_bytes == info.der
    with pytest.raises(IntegrityError, match="does not verify with the key version's own public key"):
        ca_certificate.assemble(tbs, signatures[1], key)
    with pytest.raises(IntegrityError, match="does not verify with the key version's own public key"):
        certification_request.assemble(info, b"", key)


def test_bytes_that_change_after_the_signature_are_refused(key: SigningKey) -> None:
    """The signature does not verify over the changed bytes."""
    wanted = template(subject_public_key_info=key.subject_public_key_info)
    tbs = ca_lint.lint_certificate(ca_certificate.build(wanted), wanted)
    signature = key.sign(tbs, Attempts()).value
    with pytest.raises(IntegrityError):
        ca_certificate.assemble(replace(tbs, der=tbs.der.replace(b"Calico CA", b"Calico CB")), signature, key)
