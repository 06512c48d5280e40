"""Watches: every change of a collection after a version, as lines of JSON."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from sandbox.kubernetes.status import StatusError
from sandbox.kubernetes.store import encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sandbox.kubernetes.selection import Selection
    from sandbox.kubernetes.store import Change, Collection, Store

_MINIMUM_SECONDS = 1800  # without timeoutSeconds: this to twice this, as by --min-request-timeout


class Watch:
    """One running watch; iterate `chunks` once.

    Args:
        store: whose version a bookmark shows.
        collection: what is watched.
        selection: which objects, from where, for how long.
        bookmark_seconds: between bookmarks, if the client asks for them.
    """

    def __init__(self, *, store: Store, collection: Collection, selection: Selection, bookmark_seconds: float) -> None:
        self._store = store
        self._collection = collection
        self._selection = selection
        self._bookmark_seconds = bookmark_seconds
        self._lines: list[bytes] = []
        self._wake = asyncio.Event()
        self._closed = False
        self._begin()

    def close(self) -> None:
        """Ends it after the lines that wait; harmless when called again."""
        self._closed = True
        self._collection.listeners.discard(self._hear)
        self._wake.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yields the lines, several at once if several wait, until the watch ends."""
        clock = asyncio.get_running_loop().time
        seconds = self._selection.timeout_seconds or random.uniform(_MINIMUM_SECONDS, 2 * _MINIMUM_SECONDS)  # noqa: S311 - spreads load
        end = clock() + seconds
        bookmark = clock() + self._bookmark_seconds if self._selection.bookmarks else end
        try:
            while True:
                while self._lines:
                    waiting, self._lines = b"".join(self._lines), []
                    yield waiting
                if self._closed or clock() >= end:
                    return
                if clock() >= bookmark:
                    self._queue(b"BOOKMARK", self._collection.show_bookmark(self._store.version))
                    bookmark = clock() + self._bookmark_seconds
                    continue
                self._wake.clear()
                await _wait(self._wake, min(bookmark, end) - clock())
        finally:
            self.close()

    def _begin(self) -> None:
        """Starts from the present state, or from a version; if that is forgotten, with an error event and the end."""
        if not self._selection.version:
            for entry in filter(self._selection.selects, self._collection.entries.values()):
                self._queue(b"ADDED", self._collection.show(entry))
        else:
            try:
                missed = self._collection.since(self._selection.version)
            except StatusError as error:
                self._queue(b"ERROR", encode(error.body))
                self._closed = True
                return
            for change in missed:
                self._tell(change)
        self._collection.listeners.add(self._hear)

    def _hear(self, change: Change) -> None:
        self._tell(change)
        self._wake.set()

    def _tell(self, change: Change) -> None:
        """Shows a change as this watch sees it: what leaves the selection is deleted, what enters it added."""
        selects, show = self._selection.selects, self._collection.show
        was = change.before is not None and selects(change.before)
        if not change.deleted and selects(change.after):
            self._queue(b"MODIFIED" if was else b"ADDED", show(change.after))
        elif was:
            self._queue(b"DELETED", show(change.after))

    def _queue(self, kind: bytes, shown: bytes) -> None:
        self._lines.append(b'{"type":"' + kind + b'","object":' + shown + b"}\n")


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
