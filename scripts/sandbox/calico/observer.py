"""What became of the requests: one watch for a whole fleet, where every real client has one of its own."""

from __future__ import annotations

import base64
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from urllib3.exceptions import HTTPError

from sandbox.api import CSRS, Api, ApiError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_FINAL = ("Denied", "Failed")
_WATCH_SECONDS = 1  # how long `stop` may have to wait; the next watch goes on where this one ended
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The last state of one CSR, by its uid.

    Attributes:
        name: The CSR's name.
        uid: Its uid.
        conditions: Types of its conditions, in their order: Approved, Denied, Failed or others.
        reason: Reason of the condition that refused it; else of the last one.
        message: Message of that condition.
        certificate: `status.certificate`, empty as long as there is none.
        ended: When it was first seen issued or refused, in seconds of time.monotonic; None before.
        deleted: Whether the object is gone.
    """

    name: str
    uid: str
    conditions: tuple[str, ...] = ()
    reason: str = ""
    message: str = ""
    certificate: bytes = b""
    ended: float | None = None
    deleted: bool = False

    @property
    def issued(self) -> bool:
        """Whether a Calico client would take it for a success."""
        return bool(self.certificate) and "Approved" in self.conditions

    @property
    def refused(self) -> bool:
        """Whether it was Denied or Failed."""
        return any(condition in _FINAL for condition in self.conditions)

    @property
    def state(self) -> str:
        """As `kubectl get csr` prints it: Pending, or conditions and `Issued`."""
        words = [*self.conditions, *(["Issued"] if self.certificate else [])]
        return ",".join(words) or "Pending"


class Observer:
    """Watches the CSRs of one signerName, or all, in a thread; lists them again whenever the watch fails."""

    def __init__(self, api: Api, signer_name: str | None = None) -> None:
        """Nothing is read yet.

        Args:
            api: The API server as somebody sees it who may list and watch CSRs.
            signer_name: Whose CSRs; None for everybody's.
        """
        self._api = api
        self._selector: dict[str, Any] = (
            {} if signer_name is None else {"fieldSelector": f"spec.signerName={signer_name}"}
        )
        self._changed = threading.Condition()
        self._seen: dict[str, Observation] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)

    def start(self) -> Self:
        """Start watching."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop watching, and wait for the thread."""
        self._stopped.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def observation(self, uid: str) -> Observation | None:
        """The last state of a CSR; None if it was never seen."""
        with self._changed:
            return self._seen.get(uid)

    def observations(self) -> dict[str, Observation]:
        """All that was seen, by uid."""
        with self._changed:
            return dict(self._seen)

    def wait(self, uids: Collection[str], timeout: float) -> bool:
        """Wait until every one of these CSRs is issued or refused.

        Returns:
            Whether that came about within `timeout` seconds.
        """
        with self._changed:
            return self._changed.wait_for(lambda: all(map(self._has_ended, uids)), timeout)

    def _has_ended(self, uid: str) -> bool:
        seen = self._seen.get(uid)
        return seen is not None and seen.ended is not None

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._follow()
            except (ApiError, HTTPError):
                self._stopped.wait(_PAUSE_SECONDS)  # a control plane that restarts; the list catches up

    def _follow(self) -> None:
        """List, then watch from there, again and again, until a watch cannot go on."""
        listed = self._api.get(CSRS, **self._selector)
        for csr in listed["items"]:
            self._record(csr)
        version: str | None = listed["metadata"]["resourceVersion"]
        while version is not None and not self._stopped.is_set():
            version = self._watch(version)

    def _watch(self, version: str) -> str | None:
        """Watch for a while; return the version to go on from, None if only a new list helps (410)."""
        with self._api.watch(CSRS, resourceVersion=version, timeoutSeconds=_WATCH_SECONDS, **self._selector) as events:
            for event in events:
                if event["type"] == "ERROR":
                    return None
                self._record(event["object"], deleted=event["type"] == "DELETED")
                version = event["object"]["metadata"]["resourceVersion"]
        return version

    def _record(self, csr: Mapping[str, Any], *, deleted: bool = False) -> None:
        now = time.monotonic()
        uid = csr["metadata"]["uid"]
        with self._changed:
            before = self._seen.get(uid)
            seen = _observed(csr, deleted=deleted)
            ended = before.ended if before is not None else None
            if ended is None and (seen.issued or seen.refused):
                ended = now
            self._seen[uid] = replace(seen, ended=ended)
            self._changed.notify_all()


def _observed(csr: Mapping[str, Any], *, deleted: bool) -> Observation:
    status = csr.get("status", {})
    conditions = status.get("conditions", [])
    telling = [condition for condition in conditions if condition["type"] in _FINAL] or conditions[-1:] or [{}]
    return Observation(
        name=csr["metadata"]["name"],
        uid=csr["metadata"]["uid"],
        conditions=tuple(condition["type"] for condition in conditions),
        reason=telling[0].get("reason", ""),
        message=telling[0].get("message", ""),
        certificate=base64.b64decode(status.get("certificate", "")),
        deleted=deleted,
    )
