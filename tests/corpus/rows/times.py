"""Lifetimes and the moment of the decision; and the states of a CSR in which there is nothing to decide."""

from datetime import UTC, datetime, timedelta
from typing import Final

from tests.corpus.entry import ignored, patched, permitted, refused
from tests.function.builders import CREATED, Case, case, make_authority, make_issuer

_HALF: Final = timedelta(days=365) / 2
_DAY: Final = 86_400


def _wish(sentence: str, seconds: int) -> Case:
    return case(sentence, csr={"expiration_seconds": seconds})


def _ends(after: timedelta) -> dict[str, object]:
    return {"issuer": make_issuer(make_authority(not_after=CREATED + after))}


def _condition(kind: str, status: str = "True") -> dict[str, object]:
    return {"conditions": [{"type": kind, "status": status, "reason": "Test", "message": "by somebody"}]}


ROWS: Final = (
    *refused(
        "letsencrypt/boulder issuance/cert_test.go, ca/ca_test.go: off by a second, a leaf that outlives its issuer",
        case(
            "a request a second after half its lifetime",
            "lifetime.too_late",
            now=CREATED + _HALF + timedelta(seconds=1),
        ),
        case("a request at the end of its lifetime", "lifetime.too_late", now=CREATED + timedelta(days=365)),
        case(
            "a short request that waited too long",
            "lifetime.too_late",
            csr={"expiration_seconds": 600},
            now=CREATED + timedelta(seconds=301),
        ),
        case("an issuer that ends a second too early", "lifetime.too_late", signer=_ends(_HALF + timedelta(seconds=3))),
        case("an issuer that has ended", "lifetime.too_late", signer=_ends(timedelta(days=-1))),
        case("a request of years ago", "lifetime.too_late", now=CREATED + timedelta(days=3650)),
    ),
    *permitted(
        "kubernetes validation_test.go, test/integration/certificates/duration_test.go: a wish, within bounds",
        _wish("a wish of less than nothing", -1),
        _wish("a wish of no seconds", 0),
        _wish("a wish of one second", 1),
        _wish("a wish of 60 seconds", 60),
        _wish("a wish of 599 seconds", 599),
        _wish("a wish of ten minutes", 600),
        _wish("a wish of 601 seconds", 601),
        _wish("a wish of half an hour", 1800),
        _wish("a wish of 2 hours", 7_200),
        _wish("a wish of 10 hours", 36_000),
        _wish("a wish of 20 hours", 72_000),
        _wish("a wish of the default", 365 * _DAY),
        _wish("a wish of a second beyond the maximum", 365 * _DAY + 1),
        _wish("a wish of the code's maximum", 825 * _DAY),
        _wish("a wish of a century", 36_500 * _DAY % (1 << 31)),
        _wish("the largest wish", (1 << 31) - 1),
        _wish("the smallest wish", -(1 << 31)),
        case(
            "a lifetime that the configuration lowers",
            csr={"expiration_seconds": 300 * _DAY},
            signer={"lifetime": timedelta(days=30)},
        ),
    ),
    *permitted(
        "openshift/cluster-machine-approver: too early, too late; ours: now decides whether, never what",
        case("a request at half its lifetime", now=CREATED + _HALF),
        case("a request that is decided before it was made", now=CREATED - timedelta(days=1)),
        case("a request a week later", now=CREATED + timedelta(days=7)),
        case("an issuer that ends before the lifetime does", signer=_ends(timedelta(days=200))),
        case(
            "an issuer that is as old as the request",
            signer={"issuer": make_issuer(make_authority(not_before=CREATED - timedelta(minutes=1)))},
        ),
        case(
            "a certificate that ends after 2050",
            csr={"created": "2049-12-31T23:59:59Z"},
            signer={"issuer": make_issuer(make_authority(not_after=datetime(2060, 1, 1, tzinfo=UTC)))},
            now=datetime(2050, 1, 1, tzinfo=UTC),
        ),
        case(
            "a request of the 29th of February",
            csr={"created": "2028-02-29T12:00:00Z"},
            now=datetime(2028, 2, 29, 12, 0, 3, tzinfo=UTC),
        ),
    ),
    *ignored(
        "other-signer",
        "tigera/operator csr_controller_test.go, kubelet-csr-approver: a foreign signerName is not ours to act on",
        case("another signer", csr={"signer_name": "tigera.io/operator-signer"}),
        case("the kubelets' signer", csr={"signer_name": "kubernetes.io/kube-apiserver-client-kubelet"}),
        case("the own signer in capitals", csr={"signer_name": "CSR-SIGNER.example.com/calico"}),
        case("the own signer with a part after it", csr={"signer_name": "csr-signer.example.com/calico.x"}),
        case("garbage for another signer", csr={"signer_name": "example.com/other"}, request=b"garbage"),
    ),
    *ignored(
        "denied",
        "tigera/operator pkg/controller/csr/csr_controller_test.go: already denied",
        patched(case("a request that was denied"), csr={"status": _condition("Denied")}),
    ),
    *ignored(
        "failed",
        "tigera/operator pkg/controller/csr/csr_controller_test.go: already failed",
        patched(case("a request that failed"), csr={"status": _condition("Failed")}),
    ),
    *ignored(
        "issued",
        "kubernetes pkg/controller/certificates/signer/signer.go: a certificate is there",
        case("a request that has a certificate", csr={"certificate": b"anything"}),
    ),
    *ignored(
        "gone",
        "ours: deleted while we look at it",
        case("a request that is being deleted", csr={"deleting": True}),
    ),
    *ignored(
        "not-approved",
        "ours: another approver decides",
        case("a request that nobody approved", signer={"approve": False}),
    ),
    *permitted(
        "kubernetes pkg/apis/certificates/validation: conditions of others decide nothing",
        patched(case("a request that somebody approved"), csr={"status": _condition("Approved")}),
        patched(
            case("a request that somebody approved for another approver's signer", signer={"approve": False}),
            csr={"status": _condition("Approved")},
        ),
        patched(case("a condition that nobody knows"), csr={"status": _condition("example.com/Denied")}),
        patched(case("a denial that is not true"), csr={"status": _condition("Denied", "False")}),
    ),
)
