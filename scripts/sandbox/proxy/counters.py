"""Counts of a proxy's traffic and faults, so that a test can verify that its fault occurred."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """All counts since the start. The kernel refuses connections itself, so the proxy cannot count refusals.

    Attributes:
        connections: Accepted connections, including closed ones.
        closed: Connections that a fault closed at once.
        bytes_up: Bytes forwarded to the server.
        bytes_down: Bytes forwarded to the client.
        held: Pieces that a fault held or holds.
        resets: Connections that a fault reset, including lost answers.
        truncated: Connections that a fault ended cleanly.
        requests: HTTP requests that the proxy read.
        answered: Requests that the proxy answered itself.
        duplicated: Requests that it forwarded twice, with both answers received.
        lost: Requests whose answer it read and dropped.
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
        """Returns the difference from earlier counts."""
        names = [field.name for field in fields(self)]
        return Counts(**{name: getattr(self, name) - getattr(before, name) for name in names})


class Counters:
    """Increments counts, and wakes waiting threads; thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._counts = Counts()

    @property
    def counts(self) -> Counts:
        """Returns the current counts."""
        with self._changed:
            return self._counts

    def add(self, **increments: int) -> None:
        """Adds to counts by name."""
        with self._changed:
            sums = {name: getattr(self._counts, name) + more for name, more in increments.items()}
            self._counts = replace(self._counts, **sums)
            self._changed.notify_all()

    def wait(self, condition: Callable[[Counts], bool], timeout: float) -> bool:
        """Waits until the counts fulfil a condition; return whether they did within `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self._counts), timeout)
