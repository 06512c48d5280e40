"""Replaces pods one at a time: evicts one, and waits until its replacement is Ready and has its certificate."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Final

from signerctl import objects
from signerctl.api_server import ApiServer, ApiServerError, Json
from signerctl.interface.program import CommandError
from signerctl.interface.progress import Say
from signerctl.objects import CSRS
from signerctl.renewal import disruption
from signerctl.renewal.disruption import Obstacle
from signerctl.renewal.pods import POD, Owner, Pod, has_certificate

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_TOO_MANY: Final = 429
_REPLACED: Final = (404, 409)
"""The pod is gone, or its name belongs to another pod."""
_SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class _Eviction:
    """A pod that is being evicted.

    Attributes:
        pod: The old pod.
        known: The uids of its owner's pods before the eviction.
    """

    pod: Pod
    known: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """Replaces pods.

    Attributes:
        api: The API server.
        signer_names: The signers whose certificates the pods hold.
        timeout: How long to wait until one of the pods may be evicted, and then for its replacement.
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

    def run(self, due: Sequence[Pod]) -> Iterator[tuple[Pod, Pod | None]]:
        """Replaces the pods one at a time, each time the first one that can be evicted now.

        If the API server refuses an eviction, the run continues with other owners' pods. If an owner has too few Ready
        pods, the run skips the Ready pods after it in that namespace, because new pods might not be getting
        certificates. It continues in other namespaces, so that one tenant cannot block another.

        Yields:
            A pod, and its replacement; None if something else has deleted the pod.

        Raises:
            CommandError: None of the pods that are left could be evicted, or a replacement was not complete in time.
            ApiServerError: The API server does not let this user read the pods or CSRs.
        """
        left = list(due)
        while left:
            found = self._evict_one(left)
            if isinstance(found, Pod):
                left.remove(found)
                self.say(
                    "pod_replaced",
                    f"{found.path}: already deleted by something else; nothing to do",
                    {"pod": found.path},
                )
                yield found, None
            else:
                left.remove(found.pod)
                new = self._replacement(found)
                message = f"{new.path}: Ready, and has its certificate"
                self.say("pod_renewed", message, {"pod": new.path, "replaces": found.pod.path})
                yield found.pod, new

    def _evict_one(self, left: Sequence[Pod]) -> Pod | _Eviction:
        """Evicts the first pod that may be evicted, or returns one that something else has deleted."""
        obstacles: dict[str, Obstacle] = {}
        attempts: dict[str, _Eviction] = {}  # the answer to an eviction that succeeds may be lost
        for _ in self._pauses():
            obstacles.clear()
            present, workload = cache(self._pods), cache(self._workload)  # read once for all the pods that are left
            protected: set[Owner | None] = set()
            unhealthy: set[str] = set()
            for pod in left:
                if pod.owner in protected or (pod.ready and pod.namespace in unhealthy):
                    continue
                try:
                    pods = present(pod.namespace)
                    old = next((each for each in pods if each.uid == pod.uid and not each.ending), None)
                    if old is None:
                        return attempts.get(pod.uid, pod)
                    found = disruption.obstacle(old, pods, workload(pod.namespace, pod.owner))
                    if found is None:
                        known = frozenset(each.uid for each in pods if each.owner == pod.owner)
                        attempts[pod.uid] = _Eviction(pod=pod, known=known)
                        self._evict(pod)
                        return attempts[pod.uid]
                except ApiServerError as error:
                    found = Obstacle(why=str(error), lacks_pods=False)
                obstacles[pod.path] = found
                if found.lacks_pods:
                    unhealthy.add(pod.namespace)
                else:
                    protected.add(pod.owner)
        first = next(iter(obstacles.values())).why
        others = f"; pods that wait behind it: {len(left) - 1}" if len(left) > 1 else ""
        raise CommandError(f"{left[0].path}: not evicted within {self._seconds}: {first}{others}")

    def _evict(self, pod: Pod) -> None:
        """Sends the eviction.

        Raises:
            ApiServerError: The API server refuses it, for example because of a PodDisruptionBudget.
        """
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
        if answer.ok:
            self.say("pod_evicted", f"{pod.path}: evicted", {"pod": pod.path, "pod_uid": pod.uid})
        elif answer.status not in _REPLACED:
            raise ApiServerError(f"{pod.path}: eviction: {answer.status}: {answer.message}", answer)

    def _replacement(self, eviction: _Eviction) -> Pod:
        """Waits for the replacement."""
        pod, missing = eviction.pod, ""
        for _ in self._pauses():
            try:
                found = self._complete(eviction)
            except ApiServerError as error:
                if not _may_pass(error):
                    raise
                found = str(error)
            if isinstance(found, Pod):
                return found
            missing = found
        why = f"no complete replacement within {self._seconds}: {missing}"
        raise CommandError(f"{pod.path}: {why}; stopping without further evictions")

    def _complete(self, eviction: _Eviction) -> Pod | str:
        """Returns the replacement, or what it lacks."""
        old, pods = eviction.pod, self._pods(eviction.pod.namespace)
        new = [each for each in pods if each.uid not in eviction.known and _replaces(each, old)]
        ready = [each for each in new if each.ready]
        if ready:
            complete = next((each for each in ready if has_certificate(each, self._csrs())), None)
            return complete or f"{ready[0].path} is Ready, but none of its CSRs has a certificate"
        if new:
            return f"{new[0].path} is not Ready"
        if any(each.uid == old.uid for each in pods):
            return f"{old.path} has not terminated yet"
        return f"{old.owner.kind} {old.owner.name} has created no replacement" if old.owner else "no replacement"

    def _pods(self, namespace: str) -> tuple[Pod, ...]:
        return tuple(map(Pod.from_api, self.api.list(f"/api/v1/namespaces/{namespace}/pods", POD)))

    def _csrs(self) -> Iterator[Json]:
        for name in self.signer_names:
            yield from self.api.list(CSRS, objects.CSR, fieldSelector=f"spec.signerName={name}")

    def _workload(self, namespace: str, owner: Owner | None) -> Json | None:
        """Returns a pod's controller; None if it is of another kind.

        Raises:
            ApiServerError: The controller does not exist, so no pod would replace the pod; or there was no answer.
        """
        if owner is None or (resource := disruption.RESOURCES.get(owner.kind)) is None:
            return None
        found = self.api.get(f"/apis/apps/v1/namespaces/{namespace}/{resource}/{owner.name}", disruption.WORKLOAD)
        if found is None:
            raise ApiServerError(
                f"{owner.kind} {namespace}/{owner.name} does not exist, so nothing would replace the pod"
            )
        return found

    def _pauses(self) -> Iterator[None]:
        """Yields until the timeout, with growing pauses."""
        end, pause = self.clock() + self.timeout.total_seconds(), _FIRST_PAUSE
        while True:
            yield
            if (left := end - self.clock()) <= 0:
                return
            self.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)

    @property
    def _seconds(self) -> str:
        return f"{self.timeout.total_seconds():.0f} s"


def _replaces(new: Pod, old: Pod) -> bool:
    """Tells whether the same owner made the pod, for a DaemonSet on the same node."""
    if new.ending or new.owner is None or new.owner != old.owner:
        return False
    # A new pod has no node until the scheduler has bound it.
    return not new.owner.is_daemon_set or new.node in {"", old.node}


def _may_pass(error: ApiServerError) -> bool:
    """Tells whether a fault may be over a moment later."""
    answer = error.answer
    return answer is None or answer.status == _TOO_MANY or answer.status >= _SERVER_ERROR
