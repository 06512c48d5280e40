"""Lifetimes and the time of the decision; and the states of a CSR in which the function ignores it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.function.builders import CREATED, NOW, Case, case, make_authority, make_issuer
from tests.function.requests.table import permitted, refused, row, table

_HALF: Final = timedelta(days=365) / 2
_DAY: Final = 86_400
_LEAST: Final = 600
_MOST: Final = 825 * _DAY
_TOO_SHORT: Final = "spec.expirationSeconds"
_OPERATOR: Final = "operator csr_controller_test.go"


def _wish(sentence: str, seconds: int, granted: int, invalid: str = "") -> Case:
    """A CSR that asks for a lifetime in seconds."""
    not_after = CREATED + timedelta(seconds=granted)
    return case(
        f"a wish of {sentence}",
        outcome="permitted",
        csr={"expiration_seconds": seconds},
        certified={"not_after": not_after},
        invalid=invalid,
    )


def _from_to(begin: datetime, end: datetime) -> Mapping[str, datetime]:
    return {"not_before": begin, "not_after": end}


def _ignored(sentence: str, outcome: str, **csr: Any) -> Case:
    return case(sentence, outcome=outcome, csr=csr)


def _ends(after: timedelta) -> dict[str, object]:
    return {"issuer": make_issuer(make_authority(not_after=CREATED + after))}


def _condition(kind: str, status: str = "True") -> list[dict[str, str]]:
    return [{"type": kind, "status": status, "reason": "Test", "message": "of another controller"}]


CASES: Final = table(
    refused("boulder issuance/cert_test.go: off by a second", "now", "lifetime.too_late"),
    row("a request a second after half its lifetime", CREATED + _HALF + timedelta(seconds=1)),
    row("a request at the end of its lifetime", CREATED + timedelta(days=365)),
    row("a short request that waited too long", CREATED + timedelta(seconds=301), csr={"expiration_seconds": 600}),
    row("a request of years ago", CREATED + timedelta(days=3650)),
    refused("boulder ca/ca_test.go: a leaf that outlives its issuer", "signer", "lifetime.too_late", of=_ends),
    row("an issuer that ends a second too early", _HALF + timedelta(seconds=3)),
    row("an issuer that has ended", timedelta(days=-1)),
    permitted("kubernetes validation_test.go, duration_test.go: a wish, within bounds", "csr"),
    _wish("less than nothing", -1, _LEAST, _TOO_SHORT),
    _wish("no seconds", 0, _LEAST, _TOO_SHORT),
    _wish("one second", 1, _LEAST, _TOO_SHORT),
    _wish("60 seconds", 60, _LEAST, _TOO_SHORT),
    _wish("599 seconds", 599, _LEAST, _TOO_SHORT),
    _wish("ten minutes", 600, 600),
    _wish("601 seconds", 601, 601),
    _wish("half an hour", 1800, 1800),
    _wish("2 hours", 7_200, 7_200),
    _wish("10 hours", 36_000, 36_000),
    _wish("20 hours", 72_000, 72_000),
    _wish("the default", 365 * _DAY, 365 * _DAY),
    _wish("the maximum", _MOST, _MOST),
    _wish("a second beyond the maximum", _MOST + 1, _MOST),
    _wish("a century", 36_500 * _DAY % (1 << 31), _MOST),
    _wish("the largest number", (1 << 31) - 1, _MOST),
    _wish("the smallest number", -(1 << 31), _LEAST, _TOO_SHORT),
    row(
        "a lifetime that the configuration lowers",
        {"expiration_seconds": 300 * _DAY},
        signer={"lifetime": timedelta(days=30)},
        certified={"not_after": CREATED + timedelta(days=30)},
    ),
    permitted("cluster-machine-approver: too early, too late; ours: now decides whether, never what", "now"),
    row("a request at half its lifetime", CREATED + _HALF),
    row("a request that is decided before it was made", CREATED - timedelta(days=1)),
    row("a request a week later", CREATED + timedelta(days=7)),
    row(
        "an issuer that ends before the lifetime does",
        NOW,
        signer=_ends(timedelta(days=200)),
        certified={"not_after": CREATED + timedelta(days=200)},
    ),
    row(
        "an issuer that is as old as the request",
        NOW,
        signer={"issuer": make_issuer(make_authority(not_before=CREATED - timedelta(minutes=1)))},
        certified={"not_before": CREATED - timedelta(minutes=1)},
    ),
    row(
        "a certificate that ends after 2050",
        datetime(2050, 1, 1, tzinfo=UTC),
        csr={"created": "2049-12-31T23:59:59Z"},
        signer={"issuer": make_issuer(make_authority(not_after=datetime(2060, 1, 1, tzinfo=UTC)))},
        certified=_from_to(
            datetime(2049, 12, 31, 23, 54, 59, tzinfo=UTC), datetime(2050, 12, 31, 23, 59, 59, tzinfo=UTC)
        ),
    ),
    row(
        "a request of the 29th of February",
        datetime(2028, 2, 29, 12, 0, 3, tzinfo=UTC),
        csr={"created": "2028-02-29T12:00:00Z"},
        certified=_from_to(datetime(2028, 2, 29, 11, 55, tzinfo=UTC), datetime(2029, 2, 28, 12, tzinfo=UTC)),
    ),
    refused(f"{_OPERATOR}, kubelet-csr-approver: the CSRs of another signer are ignored", "csr"),
    _ignored("another signer", "other-signer", signer_name="tigera.io/operator-signer"),
    _ignored("the kubelets' signer", "other-signer", signer_name="kubernetes.io/kube-apiserver-client-kubelet"),
    case(
        "the own signer in capitals",
        outcome="other-signer",
        csr={"signer_name": "CSR-SIGNER.example.com/calico"},
        invalid="spec.signerName",
    ),
    _ignored("the own signer with a part after it", "other-signer", signer_name="csr-signer.example.com/calico.x"),
    case(
        "garbage for another signer",
        outcome="other-signer",
        csr={"signer_name": "example.com/other"},
        request=b"garbage",
        invalid="spec.request",
    ),
    refused(f"{_OPERATOR}: already denied, already failed", "csr"),
    _ignored("a request that was denied", "denied", conditions=_condition("Denied")),
    _ignored("a request that failed", "failed", conditions=_condition("Failed")),
    refused("kubernetes signer/signer.go: a certificate is there", "csr"),
    _ignored("a request that has a certificate", "issued", certificate=b"anything"),
    refused("ours: deleted after the event, and not approved yet", "csr"),
    _ignored("a request that is being deleted", "gone", deleting=True),
    case("a request that no approver approved", outcome="not-approved", signer={"approve": False}),
    permitted("kubernetes pkg/apis/certificates/validation: conditions of others decide nothing", "csr.conditions"),
    row("a request that is approved already", _condition("Approved")),
    row(
        "a request that another approver approved, where only others approve",
        _condition("Approved"),
        signer={"approve": False},
    ),
    row("an unknown condition", _condition("example.com/Denied")),
    row("a denial that is not true", _condition("Denied", "False")),
)
