"""What can go wrong on the way between a client and its server: values, set on connections or on HTTP requests.

"Up" is from the client to the server (upstream), "down" is back.
"""

from dataclasses import dataclass
from typing import Literal

Direction = Literal["up", "down"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How a connection is treated from the moment on at which the fault is set; without arguments, well.

    Numbers of bytes count from that moment too. A limit of 0 is reached at once.

    Attributes:
        delay_up: Seconds for which each piece that was read from the client is kept before it goes on.
        delay_down: The same for each piece that was read from the server.
        hold_up: Keep what the client sends, its end included, until the fault is taken away; both sides stay connected.
        hold_down: The same for what the server sends.
        close: Close a new connection as soon as it is accepted; the server sees nothing of it.
        reset_after_up: Bytes to the server after which both sides are reset; None for never.
        reset_after_down: Bytes to the client after which both sides are reset.
        truncate_after_down: Bytes to the client after which it sees a clean end (FIN); the server's side is closed.
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
        """Seconds for which a piece is kept."""
        return self.delay_up if direction == "up" else self.delay_down

    def holds(self, direction: Direction) -> bool:
        """Whether pieces are kept for good."""
        return self.hold_up if direction == "up" else self.hold_down

    def room(self, direction: Direction, spent: int) -> int | None:
        """Bytes that may still pass before something is cut; None for any number."""
        limits = [self.reset_after_up] if direction == "up" else [self.reset_after_down, self.truncate_after_down]
        left = [max(0, limit - spent) for limit in limits if limit is not None]
        return min(left, default=None)

    def resets(self, *, up: int, down: int) -> bool:
        """Whether so many bytes are enough for a reset."""
        return _reached(self.reset_after_up, up) or _reached(self.reset_after_down, down)

    def truncates(self, *, down: int) -> bool:
        """Whether so many bytes are enough for a clean end."""
        return _reached(self.truncate_after_down, down)


HALF_OPEN = Fault(hold_up=True, hold_down=True)
"""Nothing gets through any more, and nobody is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpFault:
    """What happens to a request over plain HTTP; without arguments nothing, so that a later one is hit.

    Attributes:
        status: Answer with this status; the server sees nothing of the request. None: forward it.
        headers: Of that answer, such as Retry-After; Content-Length is added.
        body: Of that answer.
        duplicate: Forward the request twice at the same time; the answer is the one that comes last.
        lose_answer: Read the whole answer, then reset the client's connection instead of passing it on.
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
