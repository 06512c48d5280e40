"""``status.certificate``: what it may hold, and that it is written once."""

import base64

import pytest

from sandbox.api import Json, csr_path
from tests.contract.kubernetes.support import (
    APPROVED,
    Target,
    causes,
    certificate_pem,
    encoded,
    real_only,
    refusal,
    unique,
)

LEAF, OTHER = certificate_pem("leaf"), certificate_pem("other")
INVALID = {("status.certificate", "FieldValueInvalid")}
REFUSED = {
    "no PEM": b"certificate",
    "another label": LEAF.replace(b" CERTIFICATE", b" TRUSTED CERTIFICATE"),
    "a second block of another label": LEAF + OTHER.replace(b" CERTIFICATE", b" PUBLIC KEY"),
    "PEM headers": LEAF.replace(b"CERTIFICATE-----\n", b"CERTIFICATE-----\nA: b\n\n", 1),
    "no certificate inside": b"-----BEGIN CERTIFICATE-----\nZm9v\n-----END CERTIFICATE-----\n",
    "an empty block": b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
}
ACCEPTED = {
    "one": LEAF,
    "a chain": LEAF + OTHER,
    "text around and between": b"leaf\n" + LEAF + b"issuer\n" + OTHER + b"end",
}


def _write(target: Target, stored: Json, certificate: bytes) -> Json:
    return target.update(
        stored, "status", conditions=stored["status"].get("conditions", []), certificate=encoded(certificate)
    )


@real_only
@pytest.mark.parametrize("certificate", REFUSED.values(), ids=REFUSED)
def test_a_certificate_is_refused(target: Target, certificate: bytes) -> None:
    """Only CERTIFICATE blocks without headers, each with a certificate, and at least one."""
    made = target.create_csr()
    assert causes(refusal(lambda: _write(target, made, certificate))) == INVALID


@pytest.mark.parametrize("certificate", ACCEPTED.values(), ids=ACCEPTED)
def test_a_certificate_is_accepted_as_it_is(target: Target, certificate: bytes) -> None:
    """The bytes are stored as they came; whose certificate it is, nobody asks."""
    stored = _write(target, target.create_csr(), certificate)
    assert base64.b64decode(stored["status"]["certificate"]) == certificate


def test_the_api_server_does_not_wait_for_an_approval(target: Target) -> None:
    """A certificate lands on a CSR that is denied and failed: the signer is the only gate."""
    denied = target.update(target.create_csr(), "approval", conditions=[{**APPROVED, "type": "Denied"}])
    stored = _write(target, denied, LEAF)
    assert stored["status"]["certificate"] == encoded(LEAF)


def test_a_certificate_is_written_once(target: Target) -> None:
    """Another certificate, or none, is refused; the same bytes pass."""
    stored = _write(target, target.create_csr(), LEAF)
    assert _write(target, stored, LEAF)["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]
    assert causes(refusal(lambda: _write(target, stored, OTHER))) == {("status.certificate", "FieldValueForbidden")}
    without = refusal(lambda: target.update(stored, "status"))
    assert causes(without) == {("status.certificate", "FieldValueForbidden")}


def test_approval_neither_writes_nor_loses_a_certificate(target: Target) -> None:
    """The approval endpoint keeps what is stored, whatever the body says."""
    made = target.create_csr()
    approved = target.update(made, "approval", conditions=[APPROVED], certificate=encoded(LEAF))
    assert "certificate" not in approved["status"]
    issued = _write(target, approved, LEAF)
    again = target.update(issued, "approval", conditions=[{**APPROVED, "message": "x"}])
    assert again["status"]["certificate"] == encoded(LEAF)


def test_a_certificate_does_not_land_on_another_object_of_the_name(target: Target) -> None:
    """With its uid, a late write after delete and re-create is a conflict that names both uids."""
    name = unique()
    first = target.create_csr(name)
    target.api.delete(csr_path(name))
    second = target.create_csr(name)
    late = {**first, "status": {"certificate": encoded(LEAF)}}
    del late["metadata"]["resourceVersion"]
    refused = refusal(lambda: target.api.put(csr_path(name, "status"), late))
    assert (refused.status, refused.reason) == (409, "Conflict")
    uids = [each["metadata"]["uid"] for each in (first, second)]
    assert f"Precondition failed: UID in precondition: {uids[0]}, UID in object meta: {uids[1]}" in refused.message
    assert target.api.get(csr_path(name))["status"] == {}
