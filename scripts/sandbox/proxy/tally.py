"""What a proxy has seen and done, so that a test can tell that its fault really happened."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Everything since the start. Connections that were refused are the kernel's: nobody can count them.

    Attributes:
        connections: Accepted ones, closed ones included.
        closed: Those of them that were closed at once.
        bytes_up: Forwarded to the server.
        bytes_down: Forwarded to the client.
        held: Pieces that a fault kept, or keeps.
        resets: Connections that a fault reset, lost answers included.
        truncated: Connections that a fault ended cleanly.
        requests: HTTP requests that were read.
        answered: Those of them that the proxy answered itself.
        duplicated: Those of them that it forwarded twice, and got both answers.
        lost: Those of them whose answer it read and did not pass on.
    """

    connections: int = 0
    closed: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    held: int = 0
    resets: int = 0
    truncated: int = 0
    requests: int = 0
    answered: int = 0
    duplicated: int = 0
    lost: int = 0

    def __sub__(self, before: "Counts") -> "Counts":
        """What came since an earlier count."""
        names = [field.name for field in fields(self)]
        return Counts(**{name: getattr(self, name) - getattr(before, name) for name in names})


class Tally:
    """Counts up, and wakes those who wait for a count; safe to use from several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._counts = Counts()

    @property
    def counts(self) -> Counts:
        """The counts now."""
        with self._changed:
            return self._counts

    def add(self, **increments: int) -> None:
        """Add to counts by their names."""
        with self._changed:
            sums = {name: getattr(self._counts, name) + more for name, more in increments.items()}
            self._counts = replace(self._counts, **sums)
            self._changed.notify_all()

    def wait(self, condition: Callable[[Counts], bool], timeout: float) -> bool:
        """Wait until the counts fulfil a condition; return whether they did within `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self._counts), timeout)
