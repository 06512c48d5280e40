"""Lifetimes and the time of the decision; and the states of a CSR in which the function ignores it."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.unit.function.builders import CREATED, SIGNER_NAME, Case, case, invalid_case, make_authority, make_issuer
from tests.unit.function.requests.table import cases, permitted, refused, row, table

_HALF: Final = timedelta(days=365) / 2
_DAY: Final = 86_400
_LEAST: Final = 600
_MOST: Final = 365 * _DAY
_LATER: Final = timedelta(days=200)
_MONTH: Final = timedelta(days=30)
_BEFORE: Final = CREATED - timedelta(minutes=1)
_CAPITALS: Final = "CSR-SIGNER.example.com/calico"
_OTHER_SIGNER: Final = {"signer_name": "example.com/other"}
_TOO_SHORT: Final = "spec.expirationSeconds"
_OPERATOR: Final = "operator csr_controller_test.go"


def _wish(sentence: str, seconds: int, granted: int, invalid: str = "") -> Case:
    """A CSR that asks for a lifetime in seconds."""
    csr, certified = {"expiration_seconds": seconds}, {"not_after": CREATED + timedelta(seconds=granted)}
    return case(f"a wish of {sentence}", outcome="permitted", csr=csr, certified=certified, invalid=invalid)


def _ignored(sentence: str, outcome: str, *, invalid: str = "", **csr: Any) -> Case:
    return case(sentence, outcome=outcome, csr=csr, invalid=invalid)


def _issuer(**validity: Any) -> dict[str, Any]:
    return {"issuer": make_issuer(make_authority(**validity))}


def _ends(after: timedelta) -> dict[str, Any]:
    return _issuer(not_after=CREATED + after)


def _utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]  # at most six, in their order


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
    cases("kubernetes validation_test.go, duration_test.go: a wish, within bounds"),
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
    _wish("the default", _MOST, _MOST),
    _wish("a second beyond the maximum", _MOST + 1, _MOST),
    _wish("the code's maximum", 825 * _DAY, _MOST),
    _wish("a century", 36_500 * _DAY % (1 << 31), _MOST),
    _wish("the largest number", (1 << 31) - 1, _MOST),
    _wish("the smallest number", -(1 << 31), _LEAST, _TOO_SHORT),
    permitted("cluster-machine-approver: too early, too late; ours: now decides whether, never what", "now"),
    row("a request at half its lifetime", CREATED + _HALF),
    row("a request that is decided before it was made", CREATED - timedelta(days=1)),
    row("a request a week later", CREATED + timedelta(days=7)),
    row(
        "a certificate that ends after 2050",
        _utc(2050, 1, 1),
        csr={"created": "2049-12-31T23:59:59Z"},
        signer=_issuer(not_after=_utc(2060, 1, 1)),
        certified={"not_before": _utc(2049, 12, 31, 23, 54, 59), "not_after": _utc(2050, 12, 31, 23, 59, 59)},
    ),
    row(
        "a request of the 29th of February",
        _utc(2028, 2, 29, 12, 0, 3),
        csr={"created": "2028-02-29T12:00:00Z"},
        certified={"not_before": _utc(2028, 2, 29, 11, 55), "not_after": _utc(2029, 2, 28, 12)},
    ),
    permitted("boulder issuance/cert_test.go: a certificate that does not fit into its issuer's validity", "signer"),
    row(
        "a lifetime that the configuration lowers",
        {"lifetime": _MONTH},
        csr={"expiration_seconds": 300 * _DAY},
        certified={"not_after": CREATED + _MONTH},
    ),
    row("an issuer that ends before the lifetime does", _ends(_LATER), certified={"not_after": CREATED + _LATER}),
    row("an issuer that is as old as the request", _issuer(not_before=_BEFORE), certified={"not_before": _BEFORE}),
    cases(f"{_OPERATOR}, kubelet-csr-approver: the CSRs of another signer are ignored"),
    _ignored("another signer", "other-signer", signer_name="tigera.io/operator-signer"),
    _ignored("the kubelets' signer", "other-signer", signer_name="kubernetes.io/kube-apiserver-client-kubelet"),
    _ignored("the own signer in capitals", "other-signer", signer_name=_CAPITALS, invalid="spec.signerName"),
    _ignored("the own signer with a part after it", "other-signer", signer_name=f"{SIGNER_NAME}.x"),
    invalid_case("garbage for another signer", outcome="other-signer", csr=_OTHER_SIGNER, request=b"garbage"),
    cases(f"{_OPERATOR}: already denied, already failed"),
    _ignored("a request that was denied", "denied", conditions=_condition("Denied")),
    _ignored("a request that failed", "failed", conditions=_condition("Failed")),
    cases("kubernetes signer/signer.go: a certificate is there"),
    _ignored("a request that has a certificate", "issued", certificate=b"anything"),
    cases("ours: deleted after the event, and not approved yet"),
    _ignored("a request that is being deleted", "gone", deleting=True),
    case("a request that no approver approved", outcome="not-approved", signer={"approve": False}),
    permitted("kubernetes pkg/apis/certificates/validation: conditions of others decide nothing", "csr.conditions"),
    row("a request that is approved already", _condition("Approved")),
    row("a request that is approved, where only others approve", _condition("Approved"), signer={"approve": False}),
    row("an unknown condition", _condition("example.com/Denied")),
    row("a denial that is not true", _condition("Denied", "False")),
)
