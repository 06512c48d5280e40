"""Validity and serial number over the whole way from the CSR's JSON to the signed bytes, at the edges of time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from csr_signer import der
from csr_signer.ca.issuer import Issuer
from csr_signer.errors import ItemError
from csr_signer.issuance.certificate import build
from csr_signer.issuance.lint import lint
from csr_signer.policy.decision import Permit, Refusal
from sandbox.calico import der as writer
from tests.unit.function.builders import Authority, authority, ec_key, judge, make_authority, make_csr, make_issuer

FOREVER = make_authority(
    key=ec_key(number=77), not_before=datetime(1970, 1, 1, tzinfo=UTC), not_after=datetime(9999, 12, 31, tzinfo=UTC)
)
YEAR = timedelta(days=365)


def at(text: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(text)


def decided(created: str, *, of: Authority | Issuer = FOREVER, now: str | None = None, **csr: Any) -> Permit | Refusal:
    """The decision on the honest request, created then, looked at at once unless said otherwise."""
    issuer = make_issuer(of) if isinstance(of, Authority) else of
    decision = judge(csr={"created": created, **csr}, signer={"issuer": issuer}, now=at(now or created))
    assert isinstance(decision, Permit | Refusal), decision
    return decision


def certified(created: str, *, of: Authority = FOREVER, **story: Any) -> x509.Certificate:
    """The certificate of the honest request, as pyca reads it, after lint."""
    permit = decided(created, of=of, **story)
    assert isinstance(permit, Permit), permit
    issuer = make_issuer(of)
    cleared = lint(build(permit, issuer, of.algorithm), permit, issuer, of.algorithm)
    algorithm = writer.sequence(writer.object_identifier(of.algorithm.identifier.dotted_string))
    return x509.load_der_x509_certificate(
        writer.sequence(cleared.der, algorithm, writer.bit_string(of.sign(cleared.der)))
    )


def span(certificate: x509.Certificate) -> tuple[datetime, datetime]:
    """Both ends, inclusive."""
    return certificate.not_valid_before_utc, certificate.not_valid_after_utc


def kinds(certificate: x509.Certificate) -> str:
    """U for UTCTime, G for GeneralizedTime, of both ends."""
    validity = der.decode(der.TBSCertificate, certificate.tbs_certificate_bytes).validity
    return "".join(type(end).__name__[0] for end in (validity.not_before, validity.not_after))


BOUNDARY = {
    "a year before, the year after begins": (
        "2049-01-01T00:00:00Z",
        "2048-12-31T23:55:00Z",
        "2050-01-01T00:00:00Z",
        "UG",
    ),
    "a year and a second before": ("2048-12-31T23:59:59Z", "2048-12-31T23:54:59Z", "2049-12-31T23:59:59Z", "UU"),
    "the last second of 2049": ("2049-12-31T23:59:59Z", "2049-12-31T23:54:59Z", "2050-12-31T23:59:59Z", "UG"),
    "the first seconds of 2050": ("2050-01-01T00:04:59Z", "2049-12-31T23:59:59Z", "2051-01-01T00:04:59Z", "UG"),
    "five minutes into 2050": ("2050-01-01T00:05:00Z", "2050-01-01T00:00:00Z", "2051-01-01T00:05:00Z", "GG"),
    "another century": ("2100-02-28T12:00:00Z", "2100-02-28T11:55:00Z", "2101-02-28T12:00:00Z", "GG"),
    "the last second of the epoch's first day": (
        "1970-01-01T23:59:59Z",
        "1970-01-01T23:54:59Z",
        "1971-01-01T23:59:59Z",
        "UU",
    ),
    "another zone": ("2050-01-01T01:04:59+01:00", "2049-12-31T23:59:59Z", "2051-01-01T00:04:59Z", "UG"),
    "a leap day": ("2028-02-29T12:00:00Z", "2028-02-29T11:55:00Z", "2029-02-28T12:00:00Z", "UU"),
    "the second before a leap second": ("2016-12-31T23:59:59Z", "2016-12-31T23:54:59Z", "2017-12-31T23:59:59Z", "UU"),
    "the second after a leap second": ("2017-01-01T00:00:00Z", "2016-12-31T23:55:00Z", "2018-01-01T00:00:00Z", "UU"),
}


@pytest.mark.parametrize(("created", "not_before", "not_after", "kind"), BOUNDARY.values(), ids=BOUNDARY)
def test_times_follow_only_from_the_creation(created: str, not_before: str, not_after: str, kind: str) -> None:
    """They are five minutes before and 365 days after it, UTCTime through 2049 (RFC 5280 §4.1.2.5), to the second."""
    certificate = certified(created)
    assert span(certificate) == (at(not_before), at(not_after))
    assert kinds(certificate) == kind


@pytest.mark.parametrize("created", ["2016-12-31T23:59:60Z", "2026-06-30T23:59:60Z", "2026-03-14T24:00:01Z"])
def test_a_leap_second_is_no_time_that_an_api_server_writes(created: str) -> None:
    """Go's clock has no second 60, so that nothing legitimate is lost: it is this one item's fault, for a human."""
    with pytest.raises(ItemError, match="cannot be read"):
        make_csr(created=created)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (600, timedelta(minutes=10)),
        (599, timedelta(minutes=10)),
        (1, timedelta(minutes=10)),
        (601, timedelta(seconds=601)),
        (3600, timedelta(hours=1)),
        (365 * 86400, YEAR),
        (365 * 86400 + 1, YEAR),
        (825 * 86400, YEAR),
        (2**31 - 1, YEAR),
        (2**63 - 1, YEAR),
        (None, YEAR),
    ],
)
def test_the_lifetime_is_the_wish_within_the_bounds(asked: int | None, given: timedelta) -> None:
    """Ten minutes to the default of 365 days: nothing can be revoked. The five minutes before creation come on top."""
    not_before, not_after = span(certified("2026-03-14T09:26:53Z", expiration_seconds=asked))
    assert not_before == at("2026-03-14T09:21:53Z")
    assert not_after == at("2026-03-14T09:26:53Z") + given


@pytest.mark.parametrize(
    ("after", "issued"), [(0, True), (299, True), (300, True), (301, False), (600, False), (10**6, False)]
)
def test_ten_minutes_are_too_late_after_five(after: int, *, issued: bool) -> None:
    """Half of it must be left; that is the last word, and nothing shorter is ever issued."""
    now = (at("2026-03-14T09:26:53Z") + timedelta(seconds=after)).isoformat()
    decision = decided("2026-03-14T09:26:53Z", now=now, expiration_seconds=600)
    assert isinstance(decision, Permit) == issued
    if isinstance(decision, Refusal):
        assert (decision.reason, decision.too_late) == ("TooLate", True)


def ca(begin: str, end: str) -> Authority:
    """A CA of this validity."""
    return make_authority(key=ec_key(number=78), not_before=at(begin), not_after=at(end))


CLAMPED = {
    "a CA that covers it exactly": (
        "2026-03-14T09:21:53Z",
        "2027-03-14T09:26:53Z",
        "2026-03-14T09:21:53Z",
        "2027-03-14T09:26:53Z",
    ),
    "a CA that begins a second later": (
        "2026-03-14T09:21:54Z",
        "2030-01-01T00:00:00Z",
        "2026-03-14T09:21:54Z",
        "2027-03-14T09:26:53Z",
    ),
    "a CA that begins at the creation": (
        "2026-03-14T09:26:53Z",
        "2030-01-01T00:00:00Z",
        "2026-03-14T09:26:53Z",
        "2027-03-14T09:26:53Z",
    ),
    "a CA that ends a second earlier": (
        "2026-01-01T00:00:00Z",
        "2027-03-14T09:26:52Z",
        "2026-03-14T09:21:53Z",
        "2027-03-14T09:26:52Z",
    ),
    "both": ("2026-03-14T09:26:00Z", "2027-01-01T00:00:00Z", "2026-03-14T09:26:00Z", "2027-01-01T00:00:00Z"),
    "a CA that begins later than the creation": (
        "2026-03-14T10:00:00Z",
        "2030-01-01T00:00:00Z",
        "2026-03-14T10:00:00Z",
        "2027-03-14T09:26:53Z",
    ),
}


@pytest.mark.parametrize(("begin", "end", "not_before", "not_after"), CLAMPED.values(), ids=CLAMPED)
def test_a_certificate_never_leaves_its_cas_validity(begin: str, end: str, not_before: str, not_after: str) -> None:
    """Both ends are clamped, to the second, and both ends belong to the validity."""
    certificate = certified("2026-03-14T09:26:53Z", of=ca(begin, end))
    assert span(certificate) == (at(not_before), at(not_after))


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("2020-01-01T00:00:00Z", "2026-03-14T09:26:53Z"),
        ("2020-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00Z", "2026-09-12T21:26:52Z"),
        ("2028-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
        ("2027-03-14T09:26:53Z", "2030-01-01T00:00:00Z"),
    ],
    ids=["ends now", "has ended", "ends before half the lifetime", "begins after the lifetime", "begins at its end"],
)
def test_too_late_is_a_ca_that(begin: str, end: str) -> None:
    """Less than half of the lifetime would be left, or nothing at all."""
    decision = decided("2026-03-14T09:26:53Z", of=ca(begin, end))
    assert isinstance(decision, Refusal)
    assert (decision.reason, decision.too_late) == ("TooLate", True)


def test_half_the_lifetime_is_enough() -> None:
    """A CA that ends just then is the last that can be used."""
    certificate = certified("2026-03-14T09:26:53Z", of=ca("2026-01-01T00:00:00Z", "2026-09-12T21:26:53Z"))
    assert span(certificate)[1] == at("2026-09-12T21:26:53Z")


def test_the_root_in_the_trust_bundle_clamps_too() -> None:
    """Also where the chain's file does not hold it: relying parties look at its validity as well."""
    root = make_authority(
        common_name="Root", key=ec_key(number=79), path_length=None, not_after=at("2026-10-01T00:00:00Z")
    )
    issuer = make_issuer(make_authority(key=ec_key(number=80), above=root), trust=root.pem)
    permit = decided("2026-03-14T09:26:53Z", of=issuer)
    assert isinstance(permit, Permit)
    assert permit.not_after == at("2026-10-01T00:00:00Z")


def test_when_it_is_looked_at_changes_nothing() -> None:
    """Retried after hours, the same bytes are signed: no clock is in them."""
    first, later = (
        build(permit, make_issuer(), authority().algorithm)
        for permit in (
            decided("2026-03-14T09:26:53Z", of=authority()),
            decided("2026-03-14T09:26:53Z", of=authority(), now="2026-06-14T09:26:53Z"),
        )
        if isinstance(permit, Permit)
    )
    assert first == later


@pytest.mark.parametrize("seconds", [0, 1, 60])
def test_every_second_is_another_serial_number(seconds: int) -> None:
    """Two CSRs of one name, deleted and made again, never share one; nor do the uids alone decide."""
    created = (at("2026-03-14T09:26:53Z") + timedelta(seconds=seconds)).isoformat()
    number = certified(created).serial_number
    assert 0 < number < 2**159
    assert (number == certified("2026-03-14T09:26:53Z").serial_number) == (seconds == 0)
