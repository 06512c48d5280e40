"""What a real API server, the KMS double and the function's log show, as the lists of a history."""

import base64
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sandbox.api import CSRS, Api
from sandbox.calico.observer import Observer
from sandbox.kms.audit import AuditRecord
from tests.simulation.history import Change, Recorded, Signing


class Watcher(Observer):
    """Keeps every change of a CSR that a list or a watch shows.

    A watch cannot continue after a restart of the API server: the new process's watch cache is empty (410 Gone). The
    list that follows shows the last of several changes that the old process had not sent yet.
    """

    def __init__(self, api: Api, epoch: float) -> None:
        super().__init__(api)
        self._epoch = epoch
        self._changes: dict[tuple[int, str], Change] = {}

    def changes(self) -> list[Change]:
        """Returns all changes in the order of their resourceVersions; call it after `stop`.

        A CSR that is gone now, although no watch showed its deletion, is deleted at the end.
        """
        listed = self._api.get(CSRS)
        for csr in listed["items"]:
            self._record(csr)
        version, left = int(listed["metadata"]["resourceVersion"]), {csr["metadata"]["uid"] for csr in listed["items"]}
        last = {change.uid: change for _, change in sorted(self._changes.items())}
        for uid, change in last.items():
            if uid not in left and not change.is_deleted:
                self._changes[version, uid] = replace(
                    change, at=time.time() - self._epoch, version=version, is_deleted=True
                )
        return [change for _, change in sorted(self._changes.items())]

    def _record(self, csr: Mapping[str, Any], *, deleted: bool = False) -> None:
        change = changed(csr, self._epoch, is_deleted=deleted)
        self._changes.setdefault((change.version, change.uid), change)
        super()._record(csr, deleted=deleted)


def changed(csr: Mapping[str, Any], epoch: float, *, is_deleted: bool = False) -> Change:
    """Returns a change that has just arrived; the API server does not tell who made it.

    A list may show several changes as one. The API server tells times in whole seconds. So the earliest time that is
    certain is that of the first condition.
    """
    metadata, status = csr["metadata"], csr.get("status", {})
    conditions = status.get("conditions", ())
    since = min((each["lastUpdateTime"] for each in conditions), default=metadata["creationTimestamp"])
    at = time.time() - epoch
    return Change(
        at=at,
        lag=max(0.0, at - _seconds(since, epoch)),
        version=int(metadata["resourceVersion"]),
        uid=metadata["uid"],
        name=metadata["name"],
        by="",
        request=base64.b64decode(csr["spec"]["request"]),
        conditions=tuple(each["type"] for each in conditions),
        certificate=base64.b64decode(status.get("certificate", "")),
        is_deleted=is_deleted,
    )


def signed(records: Iterable[AuditRecord], epoch: float) -> list[Signing]:
    """Returns every use of the key, also one whose answer reached no caller."""
    return [
        Signing(at=record.time - epoch, reason=record.reason, digest=bytes.fromhex(record.digest))
        for record in records
        if record.method == "AsymmetricSign" and record.key_used
    ]


def recorded(log: bytes, ends: Sequence[int], epoch: float) -> Iterator[Recorded]:
    """Returns the audit records in the log of a function that was killed several times.

    Args:
        log: standard output and standard error of all its processes.
        ends: the log's length after each kill. A kill can cut the last line before it.
        epoch: the history's begin, in seconds since 1970.
    """
    for number, (begin, end) in enumerate(zip((0, *ends), (*ends, len(log)), strict=True)):
        for line in log[begin:end].rpartition(b"\n")[0].splitlines():
            if line.startswith(b'{"severity"'):
                record = json.loads(line)
                yield Recorded(at=_seconds(record["time"], epoch), process=process(number), line=record)


def process(number: int) -> str:
    """Returns the name of the function's processes after this many kills."""
    return f"function-{number}"


def _seconds(time_: str, epoch: float) -> float:
    return datetime.fromisoformat(time_).timestamp() - epoch
