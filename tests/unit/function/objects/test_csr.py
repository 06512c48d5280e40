"""The CertificateSigningRequest as a value."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csr_signer.errors import ItemError, UnavailableError
from csr_signer.objects.csr import CertificateSigningRequest, Requester
from tests.unit.function.builders import (
    CREATED,
    CSR_UID,
    POD,
    SIGNER_NAME,
    USAGES,
    make_csr,
    make_csr_object,
    make_extra,
    make_request,
)

NAME = f"node-certs:{POD}"
APPROVED = {"type": "Approved", "status": "True", "reason": "AutoApproved"}
DENIED = {"type": "Denied", "status": "True"}
FAILED = {"type": "Failed", "status": "True"}


def test_the_api_servers_json_is_a_value() -> None:
    """Every field comes out as the API server recorded it, and every condition stays whole for writing back."""
    api = make_csr_object(expiration_seconds=3600, conditions=[APPROVED | {"message": "evidence"}], certificate=b"PEM")
    document = json.dumps(api).encode()
    assert CertificateSigningRequest.from_api(document, name=NAME) == CertificateSigningRequest(
        size=len(document),
        name=f"node-certs:{POD}",
        uid=CSR_UID,
        resource_version="4711",
        created=CREATED,
        deleting=False,
        signer_name=SIGNER_NAME,
        request=make_request(),
        usages=USAGES,
        expiration_seconds=3600,
        requester=Requester(
            username="system:serviceaccount:calico-system:calico-node",
            uid="9d2f8c1a-7b36-4d5e-8a90-3f4c5d6e7f80",
            groups=("system:serviceaccounts", "system:serviceaccounts:calico-system", "system:authenticated"),
            extra={key: tuple(values) for key, values in make_extra().items()},
        ),
        conditions=frozenset({"Approved"}),
        approval="evidence",
        certificate=b"PEM",
        stored_conditions=(APPROVED | {"message": "evidence"},),
    )


def test_optional_fields_may_be_absent_or_null() -> None:
    """A requester without groups or extra, a spec without usages, an object without status."""
    api = make_csr_object()
    for key in ("usages", "uid", "groups", "extra"):
        del api["spec"][key]
    absent: tuple[dict[str, Any] | None, ...] = ({}, None)
    for status in absent:
        api["status"] = status
        csr = CertificateSigningRequest.from_api(json.dumps(api).encode(), name=NAME)
        assert csr.requester == Requester(username=csr.requester.username, uid="", groups=(), extra={})
        assert (csr.usages, csr.conditions, csr.certificate, csr.expiration_seconds) == ((), frozenset(), b"", None)
    api["spec"] |= {"usages": None, "groups": None, "extra": {"a": None}}
    assert CertificateSigningRequest.from_api(json.dumps(api).encode(), name=NAME).requester.extra == {"a": ()}


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ({"type": "Ready", "status": "True", "lastUpdateTime": "0001-01-01T00:00:00Z"}, {"Ready"}),
        ({"type": "Ready", "status": "True", "lastUpdateTime": "9999-99-99"}, {"Ready"}),
        ({"type": "Ready", "status": "False"}, set()),
        ({"type": "Ready", "status": "Unknown"}, set()),
        ({"type": "Ready"}, set()),
        ({"type": "Ready\nnow", "status": "True"}, {"Ready\nnow"}),
    ],
)
def test_only_the_status_of_a_condition_counts(condition: dict[str, str], held: set[str]) -> None:
    """The function never reads the times of conditions, because an approver may set them to any year."""
    assert make_csr(conditions=[condition]).conditions == held


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-14T09:26:53Z", CREATED),
        ("2026-03-14T10:26:53+01:00", CREATED),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("9899-12-31T23:59:59Z", datetime(9899, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_creation_is_a_moment(text: str, moment: datetime) -> None:
    """RFC 3339 with its zone, as the API server writes it."""
    assert make_csr(created=text).created == moment


def _without(*path: str) -> bytes:
    api = make_csr_object()
    parent: dict[str, Any] = api
    for key in path[:-1]:
        parent = parent[key]
    del parent[path[-1]]
    return json.dumps(api).encode()


def _with(**changes: Any) -> bytes:
    return json.dumps(make_csr_object() | changes).encode()


@pytest.mark.parametrize(
    "document",
    [
        *(
            pytest.param(text, id=repr(text[:9]))
            for text in (b"", b"null", b"[]", b"{}", b'"a"', b"\xff", b"[" * 100_000)
        ),
        *(
            pytest.param(_without(*path), id=f"without {'.'.join(path)}")
            for path in (("metadata",), ("metadata", "name"), ("metadata", "uid"), ("kind",))
        ),
        pytest.param(_with(kind="Status"), id="another kind"),
        pytest.param(json.dumps(make_csr_object(name="another")).encode(), id="another name"),
        pytest.param(json.dumps(make_csr_object(uid="")).encode(), id="an empty uid"),
    ],
)
def test_an_answer_that_is_no_csr_is_unavailability(document: bytes) -> None:
    """It is not the requester's fault, so it denies nobody."""
    with pytest.raises(UnavailableError, match="no CertificateSigningRequest"):
        CertificateSigningRequest.from_api(document, name=NAME)


@pytest.mark.parametrize(
    "document",
    [
        *(
            pytest.param(_without(*path), id=f"without {'.'.join(path)}")
            for path in (
                ("metadata", "resourceVersion"),
                ("metadata", "creationTimestamp"),
                ("spec",),
                ("spec", "request"),
                ("spec", "signerName"),
                ("spec", "username"),
            )
        ),
        pytest.param(_with(spec=make_csr_object()["spec"] | {"username": 7}), id="a username that is a number"),
        pytest.param(
            _with(spec=make_csr_object()["spec"] | {"expirationSeconds": "600"}), id="expirationSeconds that are a text"
        ),
        pytest.param(
            _with(metadata=make_csr_object()["metadata"] | {"resourceVersion": "4" * 129}),
            id="a long resourceVersion",
        ),
        pytest.param(_with(spec=make_csr_object()["spec"] | {"request": "!QUJD"}), id="a request that is no base64"),
        pytest.param(_with(status={"certificate": "!"}), id="a certificate that is no base64"),
        pytest.param(_with(status={"conditions": [1]}), id="a condition that is a number"),
        pytest.param(_with(status={"conditions": [{"status": "True"}]}), id="a condition without a type"),
        pytest.param(_with(status={"conditions": [{"type": "Ready"}] * 64 + [DENIED]}), id="Denied behind many others"),
        pytest.param(
            _with(status={"conditions": [APPROVED | {"message": "m" * (1 << 16)}]}), id="a condition of a long text"
        ),
        pytest.param(json.dumps(make_csr_object(created="soon")).encode(), id="a creation that is no time"),
        pytest.param(json.dumps(make_csr_object(created="2026-03-14T09:26:53")).encode(), id="a creation without zone"),
        *(
            pytest.param(
                json.dumps(make_csr_object(created=f"{year}-12-31T23:59:59Z")).encode(), id=f"a creation in {year}"
            )
            for year in ("0001", "1969", "9900")
        ),
    ],
)
def test_an_object_that_cannot_be_read_is_its_own_fault_alone(document: bytes) -> None:
    """Whatever is odd about one object, it holds up no other."""
    with pytest.raises(ItemError, match="cannot be read"):
        CertificateSigningRequest.from_api(document, name=NAME)


@settings(max_examples=50)
@given(seconds=st.integers(min_value=0, max_value=10**10))
def test_any_creation_of_the_api_server_is_read(seconds: int) -> None:
    """Whole seconds, UTC."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert make_csr(created=moment.strftime("%Y-%m-%dT%H:%M:%SZ")).created == moment
