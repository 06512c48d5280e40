"""Watches a whole fleet's CSRs with one watch; each real client would have its own."""

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
_WATCH_SECONDS = 1  # the longest wait of `stop`; the next watch continues from the end of this one
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The last state of one CSR.

    Attributes:
        name: The CSR's name.
        uid: Its uid.
        conditions: Types of its conditions in order: Approved, Denied, Failed or others.
        reason: Reason of the condition that refused it; otherwise of the last one.
        message: Message of that condition.
        certificate: `status.certificate`; empty if there is none.
        ended: The time when the watch first showed it issued or refused, in seconds of time.monotonic; None before.
        deleted: Whether the CSR is deleted.
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
        """Tells whether a Calico client would report success."""
        return bool(self.certificate) and "Approved" in self.conditions

    @property
    def refused(self) -> bool:
        """Tells whether it is Denied or Failed."""
        return any(condition in _FINAL for condition in self.conditions)

    @property
    def state(self) -> str:
        """Returns the state as `kubectl get csr` prints it: Pending, or conditions and `Issued`."""
        words = [*self.conditions, *(["Issued"] if self.certificate else [])]
        return ",".join(words) or "Pending"


class Observer:
    """Watches all CSRs, or those of one signerName, in a thread; lists them again if the watch fails."""

    def __init__(self, api: Api, signer_name: str | None = None) -> None:
        """Prepares an observer, without API calls.

        Args:
            api: A client that may list and watch CSRs.
            signer_name: The signerName to watch; None for all.
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
        """Starts the watch."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stops the watch, and waits for the thread."""
        self._stopped.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def observation(self, uid: str) -> Observation | None:
        """Returns the last state of a CSR; None if the watch never showed it."""
        with self._changed:
            return self._seen.get(uid)

    def observations(self) -> dict[str, Observation]:
        """Returns the last states of all CSRs by uid."""
        with self._changed:
            return dict(self._seen)

    def wait(self, uids: Collection[str], timeout: float) -> bool:
        """Waits until every one of these CSRs is issued or refused.

        Returns:
            Whether they were within `timeout` seconds.
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
                self._stopped.wait(_PAUSE_SECONDS)  # the control plane restarts; the next list catches up

    def _follow(self) -> None:
        """Lists, then watches from there repeatedly, until a watch cannot continue."""
        listed = self._api.get(CSRS, **self._selector)
        for csr in listed["items"]:
            self._record(csr)
        version: str | None = listed["metadata"]["resourceVersion"]
        while version is not None and not self._stopped.is_set():
            version = self._watch(version)

    def _watch(self, version: str) -> str | None:
        """Watches for a while; returns the version to continue from, or None if a new list is necessary (410)."""
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
