"""Watches: every change of a collection from a version on, as lines of JSON.

A watch has its own bounded queue: who does not read fast enough is cut off, and nobody else waits.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.kubernetes import status
from sandbox.kubernetes.store import encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sandbox.kubernetes.representation import Representation
    from sandbox.kubernetes.selection import Selection
    from sandbox.kubernetes.store import Change, Collection, Entry, Store

_MINIMUM_SECONDS = 1800  # without timeoutSeconds: this to twice this, as --min-request-timeout says
_LAST_BOOKMARK_SECONDS = 2.0  # before the end


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """How watches behave.

    Attributes:
        bookmark_seconds: between bookmarks, for who asks for them.
        queue: events that may wait for a slow reader before it is cut off; the real server's buffers have 10 to 1000.
    """

    bookmark_seconds: float = 60.0
    queue: int = 1000


class Watch:
    """One running watch; iterate `chunks` once."""

    def __init__(
        self,
        *,
        store: Store,
        collection: Collection,
        selection: Selection,
        representation: Representation,
        settings: WatchSettings,
        forget: Callable[[Watch], None],
    ) -> None:
        self._store = store
        self._collection = collection
        self._selection = selection
        self._representation = representation
        self._settings = settings
        self._forget = forget
        self._lines: deque[bytes] = deque()
        self._heard = 0  # of them, what came since somebody last took them
        self._began = store.version
        self._wake = asyncio.Event()
        self._closed = False
        self._queue_initial_events()

    def close(self) -> None:
        """End it after what is queued; may be called twice."""
        self._closed = True
        self._collection.listeners.discard(self._hear)
        self._forget(self)
        self._wake.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The lines, several at a time where several wait, until the watch ends."""
        clock = asyncio.get_running_loop().time
        seconds = self._selection.timeout_seconds or random.uniform(_MINIMUM_SECONDS, 2 * _MINIMUM_SECONDS)  # noqa: S311 - spreads load
        end = clock() + seconds
        bookmark = min(clock() + self._settings.bookmark_seconds, max(end - _LAST_BOOKMARK_SECONDS, clock()))
        try:
            while True:
                while self._lines:
                    waiting = b"".join(self._lines)
                    self._lines.clear()
                    self._heard = 0
                    yield waiting
                if self._closed or clock() >= end:
                    return
                if self._selection.bookmarks and clock() >= bookmark:
                    # As seen on the real one: only where something happened since the watch began.
                    if self._store.version > self._began:
                        self._queue(b"BOOKMARK", self._representation.bookmark(self._store.version))
                    bookmark = clock() + self._settings.bookmark_seconds
                    continue
                self._wake.clear()
                due = min(bookmark, end) if self._selection.bookmarks else end
                await _wait(self._wake, due - clock())
        finally:
            self.close()

    def _queue_initial_events(self) -> None:
        """Start from the present state, from a version, or with an error where that is forgotten."""
        version = self._selection.version
        if version is None:
            entries = sorted(self._collection.entries.values(), key=_order)
            for entry in filter(self._selection.selects, entries):
                self._queue(b"ADDED", self._representation.one(entry))
        else:
            missed = self._collection.since(version)
            if missed is None:
                message = f"too old resource version: {version} ({self._collection.compacted})"
                self._queue(b"ERROR", encode(status.expired(message).body))
                self._closed = True
                return
            for change in missed:
                self._tell(change)
        self._collection.listeners.add(self._hear)

    def _hear(self, change: Change) -> None:
        if change.version <= (self._selection.version or 0):
            return  # a watch may start at a version that is yet to come
        if self._heard >= self._settings.queue:
            self.close()
            return
        self._heard += 1
        self._tell(change)
        self._wake.set()

    def _tell(self, change: Change) -> None:
        """Show a change as this watch sees it: what enters its selection is added, what leaves it deleted."""
        selects = self._selection.selects
        was = change.before is not None and selects(change.before)
        if change.after is not None and selects(change.after):
            self._queue(b"MODIFIED" if was else b"ADDED", self._representation.one(change.after))
        elif was and (last := change.last or change.after) is not None:
            self._queue(b"DELETED", self._representation.one(last))

    def _queue(self, kind: bytes, shown: bytes) -> None:
        self._lines.append(b'{"type":"' + kind + b'","object":' + shown + b"}\n")


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


def _order(entry: Entry) -> bytes:
    return entry.key.encode()
