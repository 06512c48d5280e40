"""A pod's way to its certificate: when it files its CSR, gets the certificate, and is Ready."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.acceptance.report import Outcome, failed, ok, skipped
from sandbox.api import CSRS, NAMESPACES, NODES, Api, ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Json = dict[str, Any]

_POLL_SECONDS = 0.2
_POD_UID = "authentication.kubernetes.io/pod-uid"
_TOO_MANY = 429
EVENTS = "/api/v1/namespaces/default/events"  # of CSRs, which have no namespace


@dataclass(kw_only=True)
class Journey:
    """The way so far.

    Attributes:
        pod: The pod, as last read.
        csr: Its CSR, as last read; empty before the pod has filed it.
        addresses: The addresses in the pod's status when the CSR appeared.
        seconds: From the first sight of the pod to each step.
        waited: How long the run followed the pod, in seconds.
        event: The last warning about the CSR; empty without one.
    """

    pod: Json = field(default_factory=dict)
    csr: Json = field(default_factory=dict)
    addresses: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    waited: float = 0.0
    event: str = ""

    @property
    def issued(self) -> bool:
        """Tells whether the CSR has its certificate."""
        return bool(self.csr.get("status", {}).get("certificate"))

    @property
    def refusal(self) -> str:
        """Returns why the CSR was refused; empty if it was not."""
        conditions = self.csr.get("status", {}).get("conditions", ())
        refused = (each for each in conditions if each["type"] in {"Denied", "Failed"})
        return next((f"{each['type']} {each.get('reason')}: {each.get('message')}" for each in refused), "")

    @property
    def text(self) -> str:
        """Returns the steps with their seconds, and why there is no certificate."""
        steps = [f"{step} after {seconds:.1f} s" for step, seconds in self.seconds.items()]
        if not self.issued:
            steps += [self.refusal or f"no certificate after {self.waited:.0f} s", *filter(None, (self.event,))]
        return f"{self.pod.get('metadata', {}).get('name', 'no pod')}: {', '.join(steps) or 'nothing happened'}"

    def address_visibility(self) -> Outcome:
        """Tells whether the pod's address was visible when the CSR appeared; both are normal."""
        if not self.csr:
            return skipped("no CSR")
        shown = ", ".join(self.addresses)
        return ok(f"visible when the CSR appeared: {shown}" if shown else "not visible yet when the CSR appeared")


def follow(
    api: Api, find: Callable[[], Json | None], *, signer_name: str, seconds: float, until_ready: bool
) -> Journey:
    """Follows a pod until it is Ready, or until the time limit.

    Args:
        api: The cluster.
        find: Returns the pod; None before there is one.
        signer_name: The signerName of its CSR.
        seconds: The longest wait.
        until_ready: False: only until it has its certificate, because no kubelet starts the pod.
    """
    journey, started = Journey(), time.monotonic()
    while time.monotonic() < started + seconds:
        journey.pod = find() or journey.pod
        if journey.pod:
            _look(api, journey, signer_name, time.monotonic() - started)
        if journey.refusal or (journey.issued and (not until_ready or "Ready" in journey.seconds)):
            break
        time.sleep(_POLL_SECONDS)
    journey.waited = time.monotonic() - started
    if journey.csr and not journey.issued:
        journey.event = _last_warning(api, journey.csr["metadata"]["uid"])
    return journey


def _last_warning(api: Api, uid: str) -> str:
    found = api.get(EVENTS, fieldSelector=f"involvedObject.uid={uid}")["items"]
    return next((f"{each.get('reason')}: {each.get('message')}" for each in reversed(found)), "no Event about the CSR")


def _look(api: Api, journey: Journey, signer_name: str, elapsed: float) -> None:
    status = journey.pod.get("status", {})
    if not journey.csr:
        journey.seconds.setdefault("pod", elapsed)
        journey.addresses = tuple(each["ip"] for each in status.get("podIPs", ()))
    if not journey.issued:
        uid = journey.pod["metadata"]["uid"]
        csrs = api.get(CSRS, fieldSelector=f"spec.signerName={signer_name}")["items"]
        found = [csr for csr in csrs if (csr["spec"].get("extra") or {}).get(_POD_UID) == [uid]]
        journey.csr = found[-1] if found else journey.csr
    if journey.csr:
        journey.seconds.setdefault("CSR", elapsed)
    if journey.issued:
        journey.seconds.setdefault("certificate", elapsed)
    if has(status, "Ready"):
        journey.seconds.setdefault("Ready", elapsed)


def evict(api: Api, namespace: str, name: str) -> Callable[[], Json | None]:
    """Evicts a pod, and returns what finds its replacement.

    Raises:
        ApiError: The API server refused the eviction, for example for a PodDisruptionBudget, or because another pod
            has the name by now.
        ValueError: No controller would replace the pod.
    """
    pods = f"{NAMESPACES}/{namespace}/pods"
    old = api.get(f"{pods}/{name}")
    owner = _controller(old)
    if owner is None:
        raise ValueError(f"{namespace}/{name} has no controller, so that nothing would replace it")
    before = {pod["metadata"]["uid"] for pod in api.get(pods)["items"]}
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
        # A pod that has replaced this one under the same name stays.
        "deleteOptions": {"preconditions": {"uid": old["metadata"]["uid"]}},
    }
    api.post(f"{pods}/{name}/eviction", body)

    def find() -> Json | None:
        found = [
            pod for pod in api.get(pods)["items"] if pod["metadata"]["uid"] not in before and _controller(pod) == owner
        ]
        return found[0] if found else None

    return find


def host_addresses(api: Api, pod: Mapping[str, Any]) -> Outcome:
    """Compares the addresses of a pod on the host network with its node's."""
    if not pod["spec"].get("hostNetwork"):
        return skipped("the pod is not on the host network")
    node = api.get(f"{NODES}/{pod['spec']['nodeName']}")
    internal = {each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"}
    got = {each["ip"] for each in pod["status"].get("podIPs", ())}
    if got and got <= internal:
        return ok(f"{', '.join(sorted(got))}, as the node's InternalIP")
    return failed(f"the pod has {sorted(got)}, the node's InternalIP is {sorted(internal)}")


def has(status: Mapping[str, Any], condition: str) -> bool:
    """Tells whether a status has a condition."""
    return any(each["type"] == condition and each["status"] == "True" for each in status.get("conditions", ()))


def nodes(api: Api) -> tuple[int, int]:
    """Returns the number of nodes, and of Ready nodes, which have a kubelet."""
    every = api.get(NODES)["items"]
    return len(every), sum(has(node.get("status", {}), "Ready") for node in every)


def require_kubelet(api: Api, option: str) -> None:
    """Checks that a kubelet can start the pod of an option's check.

    Raises:
        ValueError: No node is Ready.
    """
    number, ready = nodes(api)
    if not ready:
        raise ValueError(f"{option}: Forbidden: a kubelet must start a pod, and 0 of {number} nodes are Ready")


def refusal(error: ApiError) -> str:
    """Returns why the API server refused an eviction."""
    if error.status == _TOO_MANY:
        return f"a PodDisruptionBudget forbids it now: {error.message}"
    return error.message


def _controller(pod: Mapping[str, Any]) -> str | None:
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)
