"""Hostile CSRs, which no signer may issue, and the proof that the guards or the function refused them."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sandbox import guards
from sandbox.acceptance import journey, pods
from sandbox.acceptance.report import Outcome, failed, ok
from sandbox.api import Api, ApiError, csr_path
from sandbox.calico.components import components

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.acceptance.pods import Workload
    from sandbox.acceptance.report import Run
    from sandbox.calico.client import Environment
    from sandbox.calico.world import World

COMPONENT = "kms-csr-signer"
"""The function's name in its Events."""
VICTIM = next(each for each in components("3.31") if each.workload == "calico-typha")
"""The component whose names a hostile CSR requests."""
_POLL_SECONDS = 0.2


def run(run: Run, world: World, workload: Workload, *, request_name: str, seconds: float) -> None:
    """Files hostile CSRs, each from a pod of its own, and checks that each is refused.

    Args:
        run: Gets a check for each.
        world: The cluster.
        workload: The run's workload; its namespace must exist with its account.
        request_name: The name of another pod's CSR.
        seconds: The longest wait for each.
    """
    attacks: dict[str, Callable[[Environment], Environment]] = {
        "another pod's CSR name is refused": lambda own: replace(own, request_name=request_name),
        "another component's names are refused": lambda own: replace(
            own, common_name=VICTIM.common_name, dns_names=VICTIM.dns_names
        ),
    }
    for name, change in attacks.items():
        run.check(name, partial(_attempt, world, workload, change, seconds))


def _attempt(world: World, workload: Workload, change: Callable[[Environment], Environment], seconds: float) -> Outcome:
    pod = pods.create(world, workload)
    try:
        csr = pods.file(world, pod, change(pods.environment(workload, pod)))
    except ApiError as error:
        return of_api_server(error)
    return of_function(world.api, csr, seconds=seconds)


def of_api_server(error: ApiError) -> Outcome:
    """Returns whether the guards refused a hostile CSR; RBAC or a quota says nothing about the signer."""
    if f"ValidatingAdmissionPolicy '{guards.CREATE}'" in error.message:
        return ok(f"the guards refused the CSR: {error.message}")
    return failed(f"the API server rejected the CSR, but not because of the guards: {error}")


def of_function(api: Api, csr: Mapping[str, Any], *, seconds: float) -> Outcome:
    """Waits until the function refuses a hostile CSR: with a condition, and an Event with the condition's reason."""
    name, uid = csr["metadata"]["name"], csr["metadata"]["uid"]
    end = time.monotonic() + seconds
    while True:
        status = api.get(csr_path(name)).get("status", {})
        if status.get("certificate"):
            return failed(f"the hostile CSR {name!r} got a certificate")
        refusals = [each for each in status.get("conditions", ()) if each["type"] in {"Denied", "Failed"}]
        text = "; ".join(f"{each['type']} {each.get('reason')}: {each.get('message')}" for each in refusals)
        if refusals and refusals[0].get("reason") in _reasons(api, uid):
            return ok(f"{text}; an Event says so")
        if time.monotonic() > end:
            break
        time.sleep(_POLL_SECONDS)
    if refusals:
        return failed(f"{text}; no Event of the function has this reason, so another program may have refused the CSR")
    return failed(f"no refusal of the hostile CSR {name!r} within {seconds:.0f} s; it has no certificate either")


def _reasons(api: Api, uid: str) -> set[str]:
    """Returns the reasons of the function's Events about a CSR."""
    found = api.get(journey.EVENTS, fieldSelector=f"involvedObject.uid={uid}")["items"]
    return {
        each.get("reason")
        for each in found
        if each["involvedObject"].get("uid") == uid and each.get("source", {}).get("component") == COMPONENT
    }
