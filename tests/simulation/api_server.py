"""A model of kube-apiserver: versions, optimistic concurrency, watches that lag, compaction.

The rules are those of kube-apiserver's registry for CSRs: a condition Approved, Denied or Failed stays, Approved and
Denied exclude each other, and a certificate is written once. Reads are consistent; only watches are behind.
"""

import asyncio
import base64
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from csr_exporter import csr
from csr_exporter.connection import UnreachableError
from csr_exporter.csr import MalformedError, Seen
from csr_exporter.watch.response import ExpiredError, RefusedError
from csr_signer.errors import ConflictError, ItemError
from csr_signer.objects.csr import APPROVED, DENIED, FAILED
from tests.simulation.history import Change, Filed, History
from tests.simulation.plan import Files
from tests.simulation.requesters import Csr
from tests.unit.function.builders import CREATED

PERMANENT: Final = frozenset({APPROVED, DENIED, FAILED})


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of a CSR, or its deletion."""

    version: int
    is_deleted: bool
    name: str
    signer_name: str
    document: bytes

    def seen(self) -> Seen:
        """Returns what an exporter reads."""
        seen = csr.from_api(json.loads(self.document))
        return replace(seen, stage=None) if self.is_deleted else seen


@dataclass(eq=False)
class ApiServer:
    """The CSRs of one cluster, and all their changes.

    Attributes:
        loop: the time.
        history: gets every change.
        changes: all versions, oldest first.
        compacted: the oldest version from which a watch or a list can continue.
        watches: open watches; each gets every change.
        filed: which requester filed the CSR of a name.
    """

    loop: asyncio.AbstractEventLoop
    history: History
    changes: list[Stored] = field(default_factory=list)
    compacted: int = 0
    watches: "list[Watch]" = field(default_factory=list)
    filed: dict[str, Files] = field(default_factory=dict)
    _objects: dict[str, Stored] = field(default_factory=dict)
    _version: int = 1000

    def create(self, new: Csr, filed: Filed) -> bool:
        """Stores a CSR; returns False if there is one of that name."""
        if new.name in self._objects:
            return False
        document = json.loads(json.dumps(new.document))
        created = CREATED + timedelta(seconds=int(self.loop.time()))
        document["metadata"]["creationTimestamp"] = f"{created:%Y-%m-%dT%H:%M:%SZ}"
        self.history.filed.append(filed)
        self.filed[new.name] = new.filed
        self._store(document, by="requester")
        return True

    def delete(self, name: str, uid: str) -> bool:
        """Deletes a CSR, unless another one has its name; returns whether it did."""
        stored = self._objects.get(name)
        if stored is None or json.loads(stored.document)["metadata"]["uid"] != uid:
            return False
        self._store(json.loads(stored.document), by="requester", is_deleted=True)
        return True

    def get(self, name: str) -> bytes | None:
        """Returns a CSR as it is now."""
        stored = self._objects.get(name)
        return None if stored is None else stored.document

    def patch(self, name: str, uid: str, version: str, status: dict[str, Any], *, by: str) -> bytes | None:
        """Changes the status of a CSR if it still has that uid and version.

        Raises:
            ConflictError: the CSR has changed.
            ItemError: the change is invalid (422).
        """
        stored = self._objects.get(name)
        if stored is None:
            return None
        document = json.loads(stored.document)
        metadata, old = document["metadata"], document["status"]
        if (metadata["uid"], metadata["resourceVersion"]) != (uid, version):
            raise ConflictError("API server: 409: the object has been modified")
        before = {each["type"] for each in old.get("conditions", ())}
        after = {each["type"] for each in status.get("conditions", old.get("conditions", ()))}
        if before & PERMANENT - after or {APPROVED, DENIED} <= after:
            raise ItemError("API server: 422: status.conditions: Invalid value")
        if old.get("certificate", status.get("certificate")) != status.get("certificate", old.get("certificate")):
            raise ItemError("API server: 422: status.certificate: Invalid value: field is immutable")
        document["status"] = old | status
        return self._store(document, by=by)

    def page(self, signer_name: str, at: int, number: int, size: int) -> tuple[list[Stored], bool]:
        """Returns a page of the list at a version, and whether another one follows.

        Raises:
            ExpiredError: the version is compacted.
        """
        if at < self.compacted:
            raise ExpiredError("list: 410")
        found: dict[str, Stored] = {}
        for change in self.changes:
            if change.version <= at and change.signer_name == signer_name:
                found.pop(change.name, None)
                if not change.is_deleted:
                    found[change.name] = change
        listed = [found[name] for name in sorted(found)]
        return listed[number * size : (number + 1) * size], len(listed) > (number + 1) * size

    def existing(self) -> list[Stored]:
        """Returns the CSRs as they are now."""
        return list(self._objects.values())

    @property
    def version(self) -> int:
        """The newest version."""
        return self._version

    def _store(self, document: dict[str, Any], *, by: str, is_deleted: bool = False) -> bytes:
        self._version += 2
        metadata, status = document["metadata"], document["status"]
        metadata["resourceVersion"] = str(self._version)
        encoded = json.dumps(document).encode()
        change = Stored(self._version, is_deleted, metadata["name"], document["spec"]["signerName"], encoded)
        if is_deleted:
            del self._objects[metadata["name"]]
        else:
            self._objects[metadata["name"]] = change
        self.changes.append(change)
        self.history.changes.append(
            Change(
                at=self.loop.time(),
                version=self._version,
                uid=metadata["uid"],
                name=metadata["name"],
                by=by,
                request=base64.b64decode(document["spec"]["request"]),
                conditions=tuple(each["type"] for each in status.get("conditions", ())),
                certificate=base64.b64decode(status.get("certificate", "")),
                is_deleted=is_deleted,
            )
        )
        for watch in self.watches:
            watch.show(change)
        return change.document


END: Final = "end"
BREAKS: Final[dict[str, Callable[[], Exception]]] = {
    "broken": lambda: UnreachableError("watch: the connection broke"),
    "malformed": lambda: MalformedError("watch: a line"),
    "expired": lambda: ExpiredError("watch: 410"),
    "refused": lambda: RefusedError("watch: 500", status=500),
}
"""How a watch can end early."""


class Watch:
    """An open watch: the changes of one signerName in order, each later than it happened.

    Attributes:
        queue: what the exporter has not read yet: changes, a bookmark's version, how the watch ended.
    """

    def __init__(
        self, server: ApiServer, signer_name: str, version: int, *, lag: Callable[[], float], wrong: Callable[[], str]
    ) -> None:
        """Begins after a version; 0: with all CSRs that exist.

        Args:
            server: the API server.
            signer_name: of the CSRs.
            version: where the watch begins.
            lag: says how late the next change is.
            wrong: says what goes wrong with the next change; empty: nothing.
        """
        if 0 < version < server.compacted:
            raise ExpiredError("watch: 410")
        self.queue: asyncio.Queue[Stored | int | str | Exception] = asyncio.Queue()
        self._server, self._signer_name, self._lag, self._wrong = server, signer_name, lag, wrong
        self._sent: deque[Stored | int | str | Exception] = deque()
        self._last, self._has_ended = 0.0, False
        for change in server.changes if version else server.existing():
            if change.version > version:
                self.show(change)
        server.watches.append(self)

    def show(self, change: Stored) -> None:
        """Sends a change, if it is about the watch's signerName."""
        if change.signer_name != self._signer_name:
            return
        wrong = self._wrong()
        if wrong in BREAKS:
            self._send(BREAKS[wrong]())
        elif wrong != "missed":
            self._send(change)
        if wrong in ("repeated", "old"):
            versions = [each for each in self._server.changes if each.name == change.name]
            self._send(versions[0 if wrong == "old" else -1])

    def bookmark(self) -> None:
        """Sends the newest version."""
        self._send(self._server.version)

    def end(self) -> None:
        """Ends the watch as after its `timeoutSeconds`."""
        self._send(END)

    def close(self) -> None:
        """Sends nothing more."""
        self._server.watches.remove(self)

    def _send(self, what: Stored | int | str | Exception) -> None:
        if self._has_ended:
            return
        self._has_ended = what == END or isinstance(what, Exception)
        loop = self._server.loop
        self._last = max(self._last, loop.time() + self._lag())
        self._sent.append(what)  # a loop's timers of one time have no order
        loop.call_at(self._last, lambda: self.queue.put_nowait(self._sent.popleft()))
