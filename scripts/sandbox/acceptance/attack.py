"""A hostile CSR, which no signer may issue."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sandbox.acceptance import pods
from sandbox.acceptance.report import Outcome, failed, ok
from sandbox.api import ApiError, csr_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.acceptance.pods import Workload
    from sandbox.calico.world import World

_FORBIDDEN, _INVALID, _TOO_LARGE = 403, 422, 413
_POLL_SECONDS = 0.2
_EVENTS = "/api/v1/events"


def refused(world: World, workload: Workload, *, request_name: str, seconds: float) -> Outcome:
    """Files a CSR under the name of another pod's CSR, and checks the refusal and its Event.

    Args:
        world: The cluster.
        workload: The run's workload; its namespace must exist with its account.
        request_name: The name of the CSR.
        seconds: The longest wait.
    """
    pod = pods.create(world, workload)
    try:
        csr = pods.file(world, workload, pod, request_name=request_name)
    except ApiError as error:
        if error.status in {_FORBIDDEN, _INVALID, _TOO_LARGE}:
            return ok(f"the API server refused the CSR: {error.message}")
        raise
    end = time.monotonic() + seconds
    while not csr.get("status", {}).get("conditions") and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
        csr = world.api.get(csr_path(csr["metadata"]["name"]))
    return _judged(csr, _reasons(world, csr, pod.name))


def _judged(csr: Mapping[str, Any], events: list[str]) -> Outcome:
    status = csr.get("status", {})
    refusals = [each for each in status.get("conditions", ()) if each["type"] in {"Denied", "Failed"}]
    if status.get("certificate"):
        return failed(f"the hostile CSR {csr['metadata']['name']!r} got a certificate")
    if not refusals:
        return failed(f"the signer did not refuse the hostile CSR {csr['metadata']['name']!r}")
    text = f"{refusals[0]['type']} {refusals[0].get('reason')}: {refusals[0].get('message')}"
    if not events:
        return failed(f"{text}; there is no Event about it")
    return ok(f"{text}; Events on {', '.join(events)}")


def _reasons(world: World, csr: Mapping[str, Any], pod: str) -> list[str]:
    found = world.api.get(_EVENTS)["items"]
    names = {csr["metadata"]["name"], pod}
    reported = [each for each in found if each["involvedObject"].get("name") in names and each["type"] == "Warning"]
    return sorted({each["involvedObject"]["kind"] for each in reported})
