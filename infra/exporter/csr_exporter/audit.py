"""What a list beside the watch must not bring back: it may be older than what the watch has shown meanwhile."""

from __future__ import annotations


class Audit:
    """What the watch has ended since the list beside it was started."""

    def __init__(self) -> None:
        self._listing = False
        self._ended: set[str] = set()

    def list_begins(self) -> None:
        """A list beside the watch is started."""
        self._listing = True

    def list_ends(self) -> None:
        """It is over, whether it was complete or not."""
        self._listing = False
        self._ended.clear()

    def watched(self, uid: str, *, ended: bool) -> None:
        """The watch, or the list that it started from, showed a CSR; `ended`: nothing is left to do for it."""
        if self._listing and ended:
            self._ended.add(uid)

    def is_outdated(self, uid: str) -> bool:
        """Whether the watch has ended this CSR since the list was started."""
        return uid in self._ended
