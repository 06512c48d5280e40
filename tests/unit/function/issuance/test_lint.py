"""Step 7, lint: a TBSCertificate is cleared for signing only if every field is as permitted."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ObjectIdentifier

from csr_signer import der
from csr_signer.ca.algorithm import EVERY_ALGORITHM, SIGNATURE_ALGORITHMS, SignatureAlgorithm
from csr_signer.ca.issuer import Issuer, load
from csr_signer.errors import ItemError
from csr_signer.issuance.certificate import build, serial_number
from csr_signer.issuance.lint import LintError, lint
from csr_signer.policy.decision import Permit
from csr_signer.request.public_key import examine
from sandbox.calico import der as writer
from tests.unit.function.authorities import Ca
from tests.unit.function.authorities import permitted as constraints
from tests.unit.function.builders import (
    CSR_UID,
    KEY_VERSION,
    ec_key,
    ec_public_key_info,
    make_authority,
    make_issuer,
    make_permit,
    public_key_info,
    rsa_key,
)

_CONSTRAINED = Ca(
    extensions=constraints(
        x509.DNSName("typha-client"),
        x509.IPAddress(ip_network("10.0.0.0/8")),
        x509.IPAddress(ip_network("2001:db8::/32")),
    )
)
CONSTRAINED = load(
    key_version=KEY_VERSION, certificate=_CONSTRAINED.pem, trust_bundle=_CONSTRAINED.pem, protection_level="HSM"
)
ALGORITHM = SIGNATURE_ALGORITHMS["EC_SIGN_P256_SHA256"]
PERMIT = make_permit(ip_addresses=(ip_address("10.0.0.5"), ip_address("2001:db8::5")))
ISSUER = make_issuer()
HONEST = build(PERMIT, ISSUER, ALGORITHM)
# The honest key, as pyca reads it, in the other form that RFC 5480 has for it.
COMPRESSED = der.tlv(
    ec_public_key_info(ec_key().public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint))
)
SERIAL = der.decode(der.TBSCertificate, HONEST).serial_number


def fields(*, number: int | None = None, **changes: Any) -> bytes:
    """The honest TBSCertificate with other fields, and the serial number that follows from them or another one."""
    changed = replace(der.decode(der.TBSCertificate, HONEST), serial_number=0, **changes)
    follows = serial_number(PERMIT, der.encode(changed))
    return der.encode(replace(changed, serial_number=follows if number is None else number))


def permitted(**changes: Any) -> bytes:
    """What the builder makes of another permit."""
    return build(replace(PERMIT, **changes), ISSUER, ALGORITHM)


def of_size(size: int) -> Permit:
    """A permit of many names, whose TBSCertificate has this size."""
    names: tuple[str, ...] = (".".join(["l" * 62] * 4),) * 60
    spare = size - len(build(replace(PERMIT, dns_names=(*names, "n")), ISSUER, ALGORITHM))
    names += ("m" * 60,) * (spare // 62)
    return replace(PERMIT, dns_names=(*names, "n" * (1 + spare % 62)))


def extensions(change: Callable[[list[der.Extension]], list[der.Extension]]) -> bytes:
    """The honest TBSCertificate with other extensions."""
    return fields(extensions=change(list(der.decode(der.TBSCertificate, HONEST).extensions)))


def extension(
    number: str, value: bytes, *, critical: bool = False
) -> Callable[[list[der.Extension]], list[der.Extension]]:
    """Puts an extension in place of the one of that number."""
    new = der.Extension(extn_id=ObjectIdentifier(number), critical=critical, extn_value=value)
    return lambda old: [new if each.extn_id == new.extn_id else each for each in old]


def spliced(before_extensions: bytes) -> bytes:
    """The honest TBSCertificate with an element that our type does not know, before the extensions."""
    body = bytes(asn1.decode_der(asn1.TLV, HONEST).data)
    place = body.rindex(b"\xa3\x81")
    return writer.sequence(body[:place], before_extensions, body[place:])


def names(*encoded: bytes) -> bytes:
    """GeneralNames of encoded names."""
    return writer.sequence(*encoded)


OWN_NAME = writer.implicit(2, b"typha-client")
OWN_ADDRESSES = (
    writer.implicit(7, ip_address("10.0.0.5").packed),
    writer.implicit(7, ip_address("2001:db8::5").packed),
)
VALIDITY = der.decode(der.TBSCertificate, HONEST).validity


def test_the_builders_bytes_are_cleared() -> None:
    """The result holds the same bytes, with their serial number and CSR."""
    cleared = lint(HONEST, PERMIT, ISSUER, ALGORITHM)
    assert cleared.der == HONEST
    assert cleared.serial_number == der.decode(der.TBSCertificate, HONEST).serial_number
    assert cleared.purpose == f"csr-uid={CSR_UID}"
    assert cleared.sha256 == hashlib.sha256(HONEST).hexdigest()


@pytest.mark.parametrize("own", EVERY_ALGORITHM, ids=lambda each: f"{each.name}-{each.digest.name}")
def test_a_tbs_certificate_is_cleared_only_for_its_own_algorithm(own: SignatureAlgorithm) -> None:
    """A TBSCertificate with one signature algorithm is refused for every other."""
    encoded = build(PERMIT, ISSUER, own)
    for other in EVERY_ALGORITHM:
        if other.identifier == own.identifier:
            assert lint(encoded, PERMIT, ISSUER, other).der == encoded
        else:
            with pytest.raises(LintError, match="signature algorithm"):
                lint(encoded, PERMIT, ISSUER, other)


@pytest.mark.parametrize("key", [rsa_key(), rsa_key(3072), rsa_key(8192), ec_key("P-384"), ec_key("P-521")])
def test_every_kind_of_key_is_cleared(key: Any) -> None:
    """RSA keys may encipher keys, EC keys may not: lint expects of each what the builder writes."""
    permit = make_permit(public_key=examine(public_key_info(key)))
    assert lint(build(permit, ISSUER, ALGORITHM), permit, ISSUER, ALGORITHM).der


@pytest.mark.parametrize(
    ("names_the_field", "encoded"),
    [
        ("serial number", fields(number=2**159)),
        ("serial number", fields(number=SERIAL ^ 1)),
        ("serial number", fields(number=1)),
        ("serial number", permitted(csr_uid="00000000-0000-0000-0000-000000000000")),
        ("serial number", permitted(cluster="another")),
        ("order of extensions", extensions(lambda old: [old[1], old[0], *old[2:]])),
        ("order of extensions", extensions(lambda old: old[::-1])),
        (
            "signature algorithm",
            fields(
                signature=der.AlgorithmIdentifier(algorithm=ObjectIdentifier("1.2.840.10045.4.3.4"), parameters=None)
            ),
        ),
        ("issuer", fields(issuer=der.tlv(make_authority(common_name="Other CA").certificate.subject.public_bytes()))),
        ("issuer", fields(issuer=der.tlv(make_authority(common_name="A third CA").certificate.subject.public_bytes()))),
        ("notBefore", permitted(not_before=PERMIT.not_before - timedelta(seconds=1))),
        ("notBefore", permitted(not_before=PERMIT.not_before + timedelta(seconds=1))),
        ("notAfter", permitted(not_after=PERMIT.not_after - timedelta(seconds=1))),
        ("notAfter", permitted(not_after=PERMIT.not_after + timedelta(seconds=1))),
        (
            "time encoding",
            fields(
                validity=der.Validity(not_before=asn1.GeneralizedTime(PERMIT.not_before), not_after=VALIDITY.not_after)
            ),
        ),
        (
            "time encoding",
            fields(
                validity=der.Validity(not_before=VALIDITY.not_before, not_after=asn1.GeneralizedTime(PERMIT.not_after))
            ),
        ),
        ("subject", permitted(common_name="typha-server")),
        ("subject", permitted(common_name="typha-admins")),
        ("subject", fields(subject=[])),
        (
            "subject",
            fields(
                subject=[
                    asn1.SetOf([der.TextAttribute(type=ObjectIdentifier("2.5.4.10"), value="system:masters")]),
                    asn1.SetOf([der.TextAttribute(type=der.COMMON_NAME, value="typha-client")]),
                ]
            ),
        ),
        (
            "subject",
            fields(
                subject=[
                    asn1.SetOf(
                        [
                            der.TextAttribute(type=der.COMMON_NAME, value="typha-client"),
                            der.TextAttribute(type=ObjectIdentifier("2.5.4.10"), value="system:masters"),
                        ]
                    )
                ]
            ),
        ),
        ("subject public key", permitted(public_key=examine(public_key_info(ec_key("P-384"))))),
        (
            "subject public key, SubjectKeyIdentifier",
            fields(subject_public_key_info=der.tlv(public_key_info(ec_key(number=99)))),
        ),
        ("subject public key", fields(subject_public_key_info=COMPRESSED)),
        ("structure", spliced(bytes.fromhex("81020055"))),
        ("structure", spliced(bytes.fromhex("82020055"))),
        ("BasicConstraints", extensions(extension("2.5.29.19", writer.sequence(writer.TRUE), critical=True))),
        ("BasicConstraints", extensions(extension("2.5.29.19", writer.sequence()))),
        ("BasicConstraints", extensions(lambda old: old[1:])),
        ("KeyUsage", extensions(extension("2.5.29.15", writer.named_bits(0, 5), critical=True))),
        ("KeyUsage", extensions(extension("2.5.29.15", writer.named_bits(0)))),
        ("KeyUsage", extensions(extension("2.5.29.15", bytes.fromhex("03020680"), critical=True))),
        ("KeyUsage", extensions(lambda old: old[:1] + old[2:])),
        ("ExtendedKeyUsage", permitted(extended_key_usage=("serverAuth",))),
        (
            "ExtendedKeyUsage",
            extensions(extension("2.5.29.37", writer.sequence(writer.object_identifier("2.5.29.37.0")))),
        ),
        (
            "ExtendedKeyUsage",
            extensions(
                extension(
                    "2.5.29.37",
                    writer.sequence(
                        writer.object_identifier("1.3.6.1.5.5.7.3.1"), writer.object_identifier("1.3.6.1.5.5.7.3.2")
                    ),
                    critical=True,
                )
            ),
        ),
        ("ExtendedKeyUsage", extensions(lambda old: old[:2] + old[3:])),
        ("SubjectAlternativeName", permitted(dns_names=("typha-client", "google.com"))),
        ("SubjectAlternativeName", permitted(dns_names=())),
        ("SubjectAlternativeName", permitted(ip_addresses=())),
        ("SubjectAlternativeName", permitted(ip_addresses=(*PERMIT.ip_addresses, ip_address("8.8.8.8")))),
        (
            "SubjectAlternativeName",
            extensions(
                extension("2.5.29.17", names(OWN_NAME, *OWN_ADDRESSES, writer.implicit(1, b"root@example.com")))
            ),
        ),
        (
            "SubjectAlternativeName",
            extensions(extension("2.5.29.17", names(OWN_NAME, *OWN_ADDRESSES), critical=True)),
        ),
        ("SubjectAlternativeName", extensions(lambda old: old[:3] + old[4:])),
        ("SubjectKeyIdentifier", extensions(extension("2.5.29.14", writer.octet_string(bytes(20))))),
        ("SubjectKeyIdentifier", extensions(lambda old: old[:4] + old[5:])),
        (
            "AuthorityKeyIdentifier",
            extensions(extension("2.5.29.35", writer.sequence(writer.implicit(0, bytes(20))))),
        ),
        ("AuthorityKeyIdentifier", extensions(lambda old: old[:5])),
        (
            "NameConstraints",
            extensions(
                lambda old: [
                    *old,
                    der.Extension(
                        extn_id=ObjectIdentifier("2.5.29.30"),
                        critical=False,
                        extn_value=writer.sequence(writer.explicit(0, writer.sequence(OWN_NAME))),
                    ),
                ]
            ),
        ),
        (
            "UnrecognizedExtension",
            extensions(
                lambda old: [
                    *old,
                    der.Extension(extn_id=ObjectIdentifier("1.2.3.4"), critical=True, extn_value=b"\x05\x00"),
                ]
            ),
        ),
    ],
)
def test_a_difference_in_one_field_is_refused_and_named(names_the_field: str, encoded: bytes) -> None:
    """A TBSCertificate that differs from the permit in one field is not cleared, and the message names it alone."""
    with pytest.raises(LintError, match=f"^lint: these fields are wrong: {names_the_field}$"):
        lint(encoded, PERMIT, ISSUER, ALGORITHM)


@pytest.mark.parametrize(
    "encoded",
    [
        fields(version=1),
        fields(signature=der.AlgorithmIdentifier(algorithm=ALGORITHM.identifier, parameters=asn1.Null())),
        (extensions(lambda old: [*old, old[3]])),
        (extensions(extension("2.5.29.17", names(writer.implicit(3, b""))))),
        (
            fields(
                subject_public_key_info=der.tlv(
                    writer.sequence(
                        writer.sequence(writer.object_identifier("1.3.101.112")), writer.bit_string(bytes(32))
                    )
                )
            ),
        ),
        (fields(subject_public_key_info=der.tlv(ec_public_key_info(b"\x04" + bytes(64))))),
        (
            fields(
                subject_public_key_info=der.tlv(
                    writer.sequence(writer.sequence(writer.object_identifier("1.2.3")), writer.bit_string(b""))
                )
            ),
        ),
        HONEST + b"\x00",
        HONEST[:-1],
        b"",
    ],
)
def test_an_unparseable_certificate_is_refused(encoded: bytes) -> None:
    """Relying parties may refuse these bytes, or parse them differently."""
    with pytest.raises(LintError, match=r"^lint: cannot parse the TBSCertificate: "):
        lint(encoded, PERMIT, ISSUER, ALGORITHM)


@pytest.mark.parametrize("number", [0, -5])
@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
def test_a_serial_number_is_positive(number: int) -> None:
    """RFC 5280 §4.1.2.2: the lint refuses it even if pyca only warns."""
    with pytest.raises(LintError, match="serial number"):
        lint(fields(number=number), PERMIT, ISSUER, ALGORITHM)


@pytest.mark.parametrize(
    ("names_the_field", "permit", "issuer"),
    [
        (
            r"validity \(outside the issuer's\)",
            replace(PERMIT, not_after=ISSUER.not_after + timedelta(seconds=1)),
            ISSUER,
        ),
        (
            r"validity \(outside the issuer's\)",
            replace(PERMIT, not_before=ISSUER.not_before - timedelta(seconds=1)),
            ISSUER,
        ),
        (r"validity \(outside the issuer's\)", replace(PERMIT, not_after=PERMIT.not_before), ISSUER),
        (
            r"validity \(outside the issuer's\)",
            replace(PERMIT, not_after=PERMIT.not_before - timedelta(seconds=1)),
            ISSUER,
        ),
        (
            r"public key \(an issuer's own\)",
            make_permit(public_key=examine(public_key_info(make_authority().key))),
            ISSUER,
        ),
        (r"common name \(starts with system:\)", replace(PERMIT, common_name="system:masters"), ISSUER),
        ("alternative names", replace(PERMIT, dns_names=(), ip_addresses=()), ISSUER),
        ("cannot parse the TBSCertificate", replace(PERMIT, extended_key_usage=()), ISSUER),
        *[
            ("DNS names", replace(PERMIT, dns_names=("typha-client", name)), ISSUER)
            for name in (
                "*.example.com",
                "*",
                "UPPER.example.com",
                "under_score.example.com",
                "-hyphen.example.com",
                "hyphen-.example.com",
                "dot.example.com.",
                ".example.com",
                "two..dots",
                "",
                "space example.com",
                "10.0.0.5",
                "1",
                f"{'l' * 64}.example.com",
                ".".join(["l" * 50] * 5),
            )
        ],
        *[
            ("addresses", replace(PERMIT, ip_addresses=(ip_address(text),)), ISSUER)
            for text in ("127.0.0.1", "::1", "169.254.1.1", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "::ffff:10.0.0.5")  # noqa: S104
        ],
        ("name constraints", replace(PERMIT, dns_names=("typha-server",)), CONSTRAINED),
        ("name constraints", replace(PERMIT, ip_addresses=(ip_address("192.0.2.1"),)), CONSTRAINED),
        ("size", of_size(16 * 1024 + 1), ISSUER),
        ("cannot parse the TBSCertificate", replace(PERMIT, common_name="n" * 65), ISSUER),
    ],
)
def test_a_permit_that_no_policy_may_give_is_refused(names_the_field: str, permit: Permit, issuer: Issuer) -> None:
    """The bytes match the permit, but no profile or configuration may permit such a certificate."""
    with pytest.raises(LintError, match=names_the_field):
        lint(build(permit, issuer, ALGORITHM), permit, issuer, ALGORITHM)


@pytest.mark.parametrize(
    ("not_before", "not_after"),
    [
        (datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)),
        (datetime(2050, 1, 1, tzinfo=UTC), datetime(2051, 1, 1, tzinfo=UTC)),
    ],
)
def test_years_from_2050_on_must_be_generalized_time(not_before: datetime, not_after: datetime) -> None:
    """RFC 5280 §4.1.2.5: times through 2049 are UTCTime, later times are GeneralizedTime."""
    issuer = make_issuer(make_authority(not_after=datetime(2060, 1, 1, tzinfo=UTC)))
    permit = replace(PERMIT, not_before=not_before, not_after=not_after)
    encoded = build(permit, issuer, ALGORITHM)
    assert lint(encoded, permit, issuer, ALGORITHM).der
    decoded = der.decode(der.TBSCertificate, encoded)
    utc = replace(decoded.validity, not_after=asn1.UTCTime(datetime(1950, 1, 1, tzinfo=UTC)))
    with pytest.raises(LintError, match="time encoding"):
        lint(der.encode(replace(decoded, validity=utc)), permit, issuer, ALGORITHM)


@pytest.mark.parametrize(
    "permit",
    [
        pytest.param(
            replace(PERMIT, not_before=ISSUER.not_before, not_after=ISSUER.not_after), id="all of the CA's time"
        ),
        pytest.param(
            replace(PERMIT, dns_names=(".".join(["l" * 63, "l" * 63, "l" * 62, "l" * 62]),)), id="253 characters"
        ),
        pytest.param(of_size(16 * 1024), id="16 KiB"),
    ],
)
def test_a_permit_at_a_limit_is_cleared(permit: Permit) -> None:
    """The limits themselves are allowed."""
    assert lint(build(permit, ISSUER, ALGORITHM), permit, ISSUER, ALGORITHM).der


def test_a_lint_error_concerns_one_item() -> None:
    """The function answers 500 and logs an ERROR; a 503 would delay every other request."""
    assert issubclass(LintError, ItemError)
    assert (LintError.status, LintError.severity) == (500, "ERROR")


def test_names_within_the_cas_constraints_are_cleared() -> None:
    """Names that the CAs' name constraints permit are no violation."""
    assert lint(build(PERMIT, CONSTRAINED, ALGORITHM), PERMIT, CONSTRAINED, ALGORITHM).der


@pytest.mark.parametrize("size", [127, 128, 129, 255, 256])
def test_lengths_of_one_and_more_octets_are_known(size: int) -> None:
    """X.690 §8.1.3: an extension is cleared as it must be written, of whatever size."""
    name = ".".join(["l" * 62] * 4)[: size - (4 if size < 131 else 6)]
    permit = replace(PERMIT, dns_names=(name,), ip_addresses=())
    encoded = build(permit, ISSUER, ALGORITHM)
    assert len(der.decode(der.TBSCertificate, encoded).extensions[3].extn_value) == size
    assert lint(encoded, permit, ISSUER, ALGORITHM).der == encoded


BITS = {
    "P-256 under P-256": (ISSUER, EVERY_ALGORITHM[4], PERMIT),
    "RSA under P-384": (
        make_issuer(make_authority(key=ec_key("P-384"))),
        EVERY_ALGORITHM[5],
        make_permit(public_key=examine(public_key_info(rsa_key()))),
    ),
    "P-521 under RSA with SHA-384": (
        make_issuer(make_authority(key=rsa_key())),
        EVERY_ALGORITHM[7],
        make_permit(public_key=examine(public_key_info(ec_key("P-521")))),
    ),
}


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
@pytest.mark.parametrize(("issuer", "algorithm", "permit"), BITS.values(), ids=BITS)
def test_a_change_of_any_bit_is_refused(issuer: Issuer, algorithm: SignatureAlgorithm, permit: Permit) -> None:
    """The lint determines every bit of the certificate without using the builder."""
    honest = build(permit, issuer, algorithm)
    assert lint(honest, permit, issuer, algorithm).der == honest
    for place in range(len(honest)):
        for bit in range(8):
            changed = honest[:place] + bytes([honest[place] ^ 1 << bit]) + honest[place + 1 :]
            with pytest.raises(LintError):
                lint(changed, permit, issuer, algorithm)
