"""Proves that nothing was missed: what a list shows must have been shown by the watch, or be shown soon.

The list beside the watch may be older or newer than what the watch has shown so far. So what the watch ended while the
list ran is not added again, and what only the list shows is sent at once but called missed only after `PATIENCE`.
Pure: time is an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Longer than the watch may go without any byte before it is opened again.
PATIENCE = 75.0


class Audit:
    """Compares one source with the other; both tell it what they show."""

    def __init__(self) -> None:
        self._listing = False
        self._ended: set[str] = set()
        self._suspects: dict[str, float] = {}

    def list_begins(self) -> None:
        """A list beside the watch is started."""
        self._listing = True

    def list_ends(self) -> None:
        """It is over, whether it was complete or not."""
        self._listing = False
        self._ended.clear()

    def watched(self, uid: str, *, ended: bool) -> None:
        """The watch, or the list that it started from, showed a CSR; `ended`: nothing is left to do for it."""
        self._suspects.pop(uid, None)
        if self._listing and ended:
            self._ended.add(uid)

    def is_outdated(self, uid: str) -> bool:
        """Whether the watch has ended this CSR since the list was started."""
        return uid in self._ended

    def listed_only(self, uid: str, *, now: float) -> None:
        """The list shows a CSR that the watch has not shown, or not yet."""
        self._suspects.setdefault(uid, now + PATIENCE)

    def missed(self, now: float) -> Iterable[str]:
        """The uids that the watch should have shown by now. Each is given once."""
        missed = [uid for uid, deadline in self._suspects.items() if deadline <= now]
        for uid in missed:
            del self._suspects[uid]
        return missed
