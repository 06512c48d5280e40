"""Faults between a client and its server, for connections or HTTP requests.

"Up" is from the client to the server (upstream), "down" is back.
"""

from dataclasses import dataclass
from typing import Literal

Direction = Literal["up", "down"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """The treatment of a connection after the fault is set; without arguments, there is no fault.

    Numbers of bytes count from that time too. A limit of 0 is reached at once.

    Attributes:
        delay_up: Seconds to delay each piece from the client.
        delay_down: Seconds to delay each piece from the server.
        hold_up: Whether to hold data and end of stream from the client until the fault is removed.
        hold_down: Whether to hold data and end of stream from the server.
        close: Whether to close a new connection at once; the server does not see it.
        reset_after_up: Bytes to the server before both sides are reset; None for never.
        reset_after_down: Bytes to the client before both sides are reset.
        truncate_after_down: Bytes to the client before its clean end (FIN); the server's side is closed.
    """

    delay_up: float = 0.0
    delay_down: float = 0.0
    hold_up: bool = False
    hold_down: bool = False
    close: bool = False
    reset_after_up: int | None = None
    reset_after_down: int | None = None
    truncate_after_down: int | None = None

    def delay(self, direction: Direction) -> float:
        """Returns the seconds to delay a piece."""
        return self.delay_up if direction == "up" else self.delay_down

    def holds(self, direction: Direction) -> bool:
        """Tells whether to hold pieces."""
        return self.hold_up if direction == "up" else self.hold_down

    def room(self, direction: Direction, spent: int) -> int | None:
        """Returns the bytes that may still pass before a cut; None for no limit."""
        limits = [self.reset_after_up] if direction == "up" else [self.reset_after_down, self.truncate_after_down]
        left = [max(0, limit - spent) for limit in limits if limit is not None]
        return min(left, default=None)

    def resets(self, *, up: int, down: int) -> bool:
        """Tells whether that many bytes cause a reset."""
        return _reached(self.reset_after_up, up) or _reached(self.reset_after_down, down)

    def truncates(self, *, down: int) -> bool:
        """Tells whether that many bytes cause a clean end."""
        return _reached(self.truncate_after_down, down)


HALF_OPEN = Fault(hold_up=True, hold_down=True)
"""No data passes in either direction, and neither side learns of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpFault:
    """A fault for a plain HTTP request; without arguments there is none, so that a later request is affected.

    Attributes:
        status: The status to answer with, without forwarding the request; None to forward it.
        headers: Headers of that answer, such as Retry-After; the proxy adds Content-Length.
        body: Body of that answer.
        duplicate: Whether to forward the request twice at the same time; the client gets the later answer.
        lose_answer: Whether to read the whole answer, and then reset the client's connection.
    """

    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    duplicate: bool = False
    lose_answer: bool = False

    def __post_init__(self) -> None:
        if self.status is not None and not 200 <= self.status <= 599:  # noqa: PLR2004  # HTTP's final answers
            raise ValueError(f"status must be 200 to 599, got {self.status!r}")


def _reached(limit: int | None, count: int) -> bool:
    return limit is not None and count >= limit
