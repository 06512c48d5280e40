"""Replaces one pod: evicts it, and waits until its replacement is Ready and has its certificate."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from signerctl.api_server import ApiServer, ApiServerError
from signerctl.objects import CSRS
from signerctl.program import CommandError
from signerctl.renewal.disruption import obstacle
from signerctl.renewal.pods import Owner, Pod, has_certificate
from signerctl.renewal.progress import Say

Json = Mapping[str, Any]

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_BUDGET: Final = 429
"""The answer to an eviction that a PodDisruptionBudget forbids now, and to a client that asks too often."""
_REPLACED: Final = (404, 409)
"""The pod is gone, or its name belongs to another pod."""
_SERVER_ERROR: Final = 500


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """The state of one replacement.

    Attributes:
        pod: The old pod.
        known: The uids of its owner's pods before the eviction.
        evicted: Whether the API server accepted an eviction.
        waits_for: What is missing.
    """

    pod: Pod
    known: frozenset[str]
    evicted: bool = False
    waits_for: str = "the API server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """Replaces pods, one at a time.

    Attributes:
        api: The API server.
        signer_names: The signers whose certificates the pods hold.
        timeout: How long one pod may take, including the wait for a PodDisruptionBudget.
        say: Tells what happens.
        clock: Monotonic seconds.
        sleep: Waits for seconds.
    """

    api: ApiServer
    signer_names: Sequence[str]
    timeout: timedelta
    say: Say
    clock: Callable[[], float] = field(default=time.monotonic)
    sleep: Callable[[float], None] = field(default=time.sleep)

    def replace(self, pod: Pod) -> Pod | None:
        """Replaces a pod, and returns its replacement; None if another program has replaced the pod before.

        Raises:
            CommandError: The pod could not be evicted, or its replacement was not ready in time.
            ApiServerError: The API server refused a request for a reason that waiting does not change.
        """
        present = self.pods(pod.namespace)
        if not any(each.uid == pod.uid and not each.ending for each in present):
            self.say("pod_replaced", f"{pod.path}: another program has replaced the pod", {"pod": pod.path})
            return None
        attempt = _Attempt(pod=pod, known=frozenset(each.uid for each in present if each.owner == pod.owner))
        for _ in self._pauses():
            try:
                replacement = self._step(attempt)
            except ApiServerError as error:
                if not _may_pass(error):
                    raise
                attempt.waits_for = str(error)
            else:
                if replacement is not None:
                    return replacement
        raise CommandError(_what_is_missing(attempt, self.timeout))

    def pods(self, namespace: str) -> tuple[Pod, ...]:
        """Returns all pods of a namespace."""
        return tuple(map(Pod.from_api, self.api.list(f"/api/v1/namespaces/{namespace}/pods")))

    def _pauses(self) -> Iterator[None]:
        """Yields until the timeout, with growing pauses."""
        end, pause = self.clock() + self.timeout.total_seconds(), _FIRST_PAUSE
        while True:
            yield
            if (left := end - self.clock()) <= 0:
                return
            self.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _step(self, attempt: _Attempt) -> Pod | None:
        """Evicts the pod if it is still there; otherwise returns its replacement if that is complete."""
        pods = self.pods(attempt.pod.namespace)
        old = next((each for each in pods if each.uid == attempt.pod.uid), None)
        if old is not None and not old.ending:
            attempt.waits_for = obstacle(old, pods, self._daemon_set(old)) or self._evict(attempt)
            return None
        return self._replacement(attempt, pods)

    def _daemon_set(self, pod: Pod) -> Json | None:
        if pod.owner is None or not pod.owner.is_daemon_set:
            return None
        path = f"/apis/apps/v1/namespaces/{pod.namespace}/daemonsets/{pod.owner.name}"
        found = self.api.get(path)
        if found is None:
            raise CommandError(f"{pod.path}: its DaemonSet {pod.owner.name} does not exist, so no pod would replace it")
        return found

    def _evict(self, attempt: _Attempt) -> str:
        """Sends the eviction, and returns what to wait for."""
        pod = attempt.pod
        answer = self.api.request(
            "POST",
            f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/eviction",
            {
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": pod.name, "namespace": pod.namespace},
                # A pod that has replaced this one under the same name stays.
                "deleteOptions": {"preconditions": {"uid": pod.uid}},
            },
        )
        attempt.evicted = answer.ok
        if answer.ok:
            self.say("pod_evicted", f"{pod.path}: evicted", {"pod": pod.path, "pod_uid": pod.uid})
        elif answer.status not in _REPLACED:
            raise ApiServerError(f"{pod.path}: eviction: {answer.status}: {answer.message}", answer)
        return f"the end of {pod.path}"

    def _replacement(self, attempt: _Attempt, pods: Sequence[Pod]) -> Pod | None:
        pod = attempt.pod
        new = [each for each in pods if each.uid not in attempt.known and _replaces(each, pod)]
        ready = [each for each in new if each.ready]
        if not ready:
            still_there = any(each.uid == pod.uid for each in pods)
            missing = f"the end of {pod.path}" if still_there else f"a replacement by {_name(pod.owner)}"
            attempt.waits_for = f"{new[0].path} to become Ready" if new else missing
            return None
        csrs = [
            csr for name in self.signer_names for csr in self.api.list(CSRS, fieldSelector=f"spec.signerName={name}")
        ]
        complete = next((each for each in ready if has_certificate(each, csrs)), None)
        if complete is None:
            attempt.waits_for = f"the certificate of {ready[0].path}, which is Ready: no CSR of it has a certificate"
        return complete


def _replaces(new: Pod, old: Pod) -> bool:
    """Tells whether the same owner made the pod, for a DaemonSet on the same node."""
    if new.ending or new.owner is None or new.owner != old.owner:
        return False
    # A new pod has no node until the scheduler has bound it.
    return not new.owner.is_daemon_set or new.node in {"", old.node}


def _name(owner: Owner | None) -> str:
    return f"{owner.kind} {owner.name}" if owner else "no owner"


def _may_pass(error: ApiServerError) -> bool:
    """Tells whether a fault may be over a moment later."""
    answer = error.answer
    return answer is None or answer.status == _BUDGET or answer.status > _SERVER_ERROR


def _what_is_missing(attempt: _Attempt, timeout: timedelta) -> str:
    seconds = f"{timeout.total_seconds():.0f} s"
    begun = "its replacement is not complete" if attempt.evicted else "not evicted"
    return f"{attempt.pod.path}: {begun} after {seconds}: waited for {attempt.waits_for}; nothing else is evicted"
