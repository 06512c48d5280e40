"""scripts/acceptance says that a hostile CSR was refused only if the guards or the function did it."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from csr_signer.objects import event
from sandbox.acceptance import attack
from sandbox.acceptance.report import Outcome
from sandbox.api import Api, ApiError, csr_path
from tests.unit.signerctl.answers import answering

Json = dict[str, Any]

NAME, UID, REASON = "node-certs:calico-node-abcde", "the-csr", "PolicyViolation"
GUARD = "ValidatingAdmissionPolicy 'kms-csr-signer-create' with binding 'kms-csr-signer-create' denied request: names"
DENIED = {"type": "Denied", "status": "True", "reason": REASON, "message": "of another pod"}


def refusal(status: int, message: str) -> Outcome:
    """Returns what a run says of the API server's refusal of a CSR."""
    return attack.of_api_server(ApiError(status, {"message": message}))


@pytest.mark.parametrize("status", [403, 413])
def test_the_guards_refusal_is_a_proof(status: int) -> None:
    """They answer 403, or 413 for something too large; the message names the policy."""
    assert refusal(status, f'certificatesigningrequests "{NAME}" is forbidden: {GUARD}').level == "ok"


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, 'User "csr-acceptance" cannot create resource "certificatesigningrequests" at the cluster scope'),
        (403, "ValidatingAdmissionPolicy 'no-csrs' with binding 'no-csrs' denied request: kms-csr-signer-create"),
        (403, 'admission webhook "gatekeeper" denied the request'),
        (413, "request is too large"),
        (422, "spec.request: Invalid value"),
    ],
)
def test_another_refusal_is_no_proof(status: int, message: str) -> None:
    """Neither guards nor function saw the CSR; the line has the API server's answer."""
    outcome = refusal(status, message)
    assert outcome.level == "failed"
    assert message in outcome.text


@pytest.fixture
def function_event() -> Json:
    """An Event of the function about the CSR."""
    return {
        "involvedObject": {"uid": UID},
        "reason": REASON,
        "type": "Warning",
        "source": {"component": "kms-csr-signer"},
    }


@pytest.fixture
def judge() -> Iterator[Any]:
    """Returns what a run says of a filed CSR, by its status and the Events in the cluster."""

    def outcome(status: Json, *events: Json) -> Outcome:
        answers.prepared[f"GET {csr_path(NAME)}"] = (200, {"status": status})
        answers.prepared["GET /api/v1/namespaces/default/events"] = (200, {"items": list(events)})
        address = urlsplit(answers.url)
        with urllib3.HTTPConnectionPool(str(address.hostname), address.port) as pool:
            api = Api(server=answers.url, pool=pool, anonymous_pool=pool)
            return attack.of_function(api, {"metadata": {"name": NAME, "uid": UID}}, seconds=0)

    with answering() as answers:
        yield outcome


@pytest.mark.parametrize("kind", ["Denied", "Failed"])
def test_the_functions_refusal_is_a_proof(judge: Any, function_event: Json, kind: str) -> None:
    """It writes the condition, and an Event with the condition's reason."""
    assert judge({"conditions": [{**DENIED, "type": kind}]}, function_event).level == "ok"


@pytest.mark.parametrize(
    "changes",
    [
        {"source": {"component": "kubelet"}},
        {"source": {}},
        {"involvedObject": {"uid": "of-an-earlier-run", "name": NAME}},
        {"reason": "WaitingForOperator"},
    ],
    ids=["another component", "no component", "another object of the name", "another reason"],
)
def test_an_event_of_something_else_is_no_proof(judge: Any, function_event: Json, changes: Json) -> None:
    """Whoever may deny CSRs could have denied this one."""
    outcome = judge({"conditions": [DENIED]}, function_event | changes)
    assert outcome.level == "failed"
    assert "another program" in outcome.text


def test_a_certificate_or_no_answer_fails(judge: Any, function_event: Json) -> None:
    """Also if an Event says that the function refused."""
    assert judge({"certificate": "LS0t"}, function_event).level == "failed"
    assert judge({}, function_event).level == "failed"


def test_the_functions_name_is_the_functions() -> None:
    """The sandbox imports nothing of the function."""
    assert attack.COMPONENT == event.COMPONENT
