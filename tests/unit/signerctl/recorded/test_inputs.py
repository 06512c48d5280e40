"""A record holds everything that a decision read: made again from JSON, it is the same."""

import asyncio
import json
import re
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csr_signer.objects.csr import CertificateSigningRequest, Requester
from csr_signer.objects.pod import Node, Pod, PodIdentity
from csr_signer.policy.attestation import EXTRAS, Attestation, attest_requester
from csr_signer.policy.decision import Decision, decide
from csr_signer.policy.inputs import LARGEST, decision_inputs
from csr_signer.policy.signer import Signer
from csr_signer.request.pkcs10 import parse
from signerctl.recorded.inputs import Inputs, NotRecordedError, Omitted
from signerctl.recorded.replay import again
from tests.unit.function.builders import (
    NOW,
    Case,
    calico,
    certifying_addresses,
    make_attestation,
    make_csr,
    make_extra,
    make_issuer,
    make_pod,
    make_signer,
    merged,
)
from tests.unit.function.requests.catalogue import CASES

JUDGED: Final = [row for row in CASES if row.outcome in ("permitted", "refused", "deferred")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """The pods and nodes of a row, under the names that the function asks for."""

    pod: dict[str, Any] | None
    node: dict[str, Any]

    async def get_pod(self, identity: PodIdentity) -> Pod | None:
        """Returns the pod."""
        if self.pod is None:
            return None
        names = {"name": identity.pod_name, "namespace": identity.namespace}
        return Pod.from_api(json.dumps(merged(self.pod, {"metadata": names})).encode(), **names)

    async def get_node(self, name: str) -> Node:
        """Returns the node."""
        return Node.from_api(json.dumps(merged(self.node, {"metadata": {"name": name}})).encode(), name=name)


def judged(row: Case) -> tuple[CertificateSigningRequest, Attestation, Signer, Decision]:
    """Returns what the function reads about a row, and its decision."""
    objects = row.objects()
    name = objects["csr"]["metadata"]["name"]
    csr = CertificateSigningRequest.from_api(json.dumps(objects["csr"]).encode(), name=name)
    signer = objects["signer"]
    pods = Objects(pod=objects["pod"], node=objects["node"])
    attestation = asyncio.run(attest_requester(csr.requester, signer, pods))
    decision = decide(csr=csr, request=parse(csr.request), attestation=attestation, signer=signer, now=row.now)
    return csr, attestation, signer, decision


def through_json(csr: CertificateSigningRequest, attestation: Attestation, signer: Signer) -> dict[str, Any]:
    """Returns the inputs as a reader of the record gets them."""
    read: dict[str, Any] = json.loads(json.dumps(decision_inputs(csr, attestation, signer.issuer)))
    return read


def restored(json: dict[str, Any]) -> Inputs:
    """Returns the inputs of a record that has them."""
    found = Inputs.of(json)
    assert isinstance(found, Inputs)
    return found


@pytest.mark.parametrize("row", JUDGED, ids=str)
def test_a_decision_made_again_from_its_record_is_the_same(row: Case) -> None:
    """For every request of the catalogue: the same permit, or the same violations to the letter.

    Inputs are left out only of requests that are longer than any honest one.
    """
    csr, attestation, signer, decision = judged(row)
    inputs = through_json(csr, attestation, signer)
    if "omitted" in inputs:
        assert row.outcome == "refused"
        assert len(csr.request) > LARGEST // 2
        return
    assert again(restored(inputs), signer, csr_uid=csr.uid, decided_at=row.now) == decision


@pytest.mark.parametrize(
    "change",
    [
        {"name": "x" * 250},
        {"request": b"\xff" * 100_000},
        {"usages": ("x" * 100,) * 1000},
        {"requester": Requester(username="x" * 10**6, uid="", groups=(), extra={})},
        {"requester": Requester(username="", uid="", groups=("g",) * 10**6, extra={})},
        {"requester": Requester(username="", uid="", groups=(), extra={EXTRAS[0]: ("x",) * 10**6})},
        {"requester": Requester(username="", uid="", groups=(), extra={"x" * 10**6: ("x" * 10**6,)})},
        {"requester": Requester(username="\ud800", uid="", groups=(), extra={})},
        {"requester": Requester(username='\x1b[31m"}\n{"severity":"ERROR"\u2028', uid="", groups=(), extra={})},
    ],
    ids=["name", "request", "usages", "username", "groups", "extra", "other extra", "surrogate", "escapes"],
)
def test_a_requester_cannot_make_a_record_larger_or_break_it(change: dict[str, Any]) -> None:
    """Inputs are bounded; more are left out with the reason, and any text stays in its line."""
    csr = replace(make_csr(), **change)
    inputs = decision_inputs(csr, make_attestation(csr, make_pod()), make_issuer())
    line = json.dumps(inputs)
    assert len(line) < 2 * LARGEST
    assert line.isprintable()
    line.encode("utf-8")
    if "omitted" in inputs:
        omitted = Inputs.of(inputs)
        assert isinstance(omitted, Omitted)
        assert re.fullmatch(r"too large: \d+ bytes: must have at most 8192|not valid Unicode", omitted.why)
    else:
        csr_again = restored(json.loads(line)).certificate_signing_request(uid=csr.uid, signer_name=csr.signer_name)
        assert (csr_again.name, csr_again.request, csr_again.requester.username) == (
            csr.name,
            csr.request,
            csr.requester.username,
        )


@settings(max_examples=50)
@given(username=st.text(max_size=300), values=st.lists(st.text(max_size=20), max_size=3), size=st.integers(0, 2**31))
def test_any_text_of_a_requester_comes_back(username: str, values: list[str], size: int) -> None:
    """Also texts that a record's other fields cut."""
    requester = Requester(username=username, uid="", groups=tuple(values), extra={EXTRAS[1]: tuple(values)})
    csr = replace(make_csr(), requester=requester, size=size)
    inputs = json.loads(json.dumps(decision_inputs(csr, make_attestation(csr, None), make_issuer())))
    csr_again = restored(inputs).certificate_signing_request(uid=csr.uid, signer_name=csr.signer_name)
    assert (csr_again.requester, csr_again.size) == (requester, size)


def test_numbers_come_back_from_cloud_logging() -> None:
    """It keeps numbers as doubles, and a reader may print them as such."""
    csr = make_csr(expiration_seconds=86_400)
    inputs = through_json(csr, make_attestation(csr, make_pod()), make_signer())
    doubles = {name: float(inputs["csr"][name]) for name in ("size", "expiration_seconds")}
    found = restored(inputs | {"csr": inputs["csr"] | doubles})
    assert (found.csr.size, found.csr.expiration_seconds) == (csr.size, 86_400)


def test_only_the_extras_that_attestation_reads_are_recorded() -> None:
    """A key of an impersonated user's extras can be any text; what identifies no pod stays out."""
    csr = make_csr(extra={**make_extra(), "example.com/secret": ["open sesame"]})
    inputs = decision_inputs(csr, make_attestation(csr, make_pod()), make_issuer())
    assert "sesame" not in json.dumps(inputs)


def test_a_pod_that_the_function_did_not_read_is_named() -> None:
    """A new profile may judge requesters that the old one refused without a look at their pod."""
    csr = make_csr(username="system:serviceaccount:calico-system:other")
    unread = asyncio.run(attest_requester(csr.requester, make_signer(), Objects(pod=None, node={})))
    inputs = restored(through_json(csr, unread, make_signer()))
    rows = calico()
    row = replace(rows.components[0], service_accounts=("calico-system/other",))
    signer = make_signer(profile=replace(rows, components=(row,)))
    with pytest.raises(NotRecordedError, match="did not read the pod: its profile had no component"):
        again(inputs, signer, csr_uid=csr.uid, decided_at=NOW)


def test_a_node_that_the_function_did_not_read_is_named() -> None:
    """A new profile may certify addresses of the host, which are those of the node."""
    csr = make_csr()
    inputs = restored(through_json(csr, make_attestation(csr, make_pod()), make_signer()))
    signer = make_signer(profile=certifying_addresses())
    with pytest.raises(NotRecordedError, match=r"did not read node .*certified no addresses"):
        again(inputs, signer, csr_uid=csr.uid, decided_at=NOW)
