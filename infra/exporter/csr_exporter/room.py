"""How many CSRs are held at a time: of one requester, and of all. Pure.

What has no room is not lost: the API server has it, and a later list finds it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from csr_exporter.budget import Limits


class Room:
    """Who holds how much of it; `held` and `left` are called in pairs."""

    def __init__(self, limits: Limits, most: int) -> None:
        self._limits = limits
        self._most = most
        self._sum = 0
        self._held: dict[str, int] = {}
        self._left_out = False

    def is_crowded(self, requester: str) -> bool:
        """Whether the requester has as much as it may; the second half is for those who have little."""
        most = self._limits.most_held if self._is_wide else self._limits.burst
        return self._held.get(requester, 0) >= most

    def holds_one(self, requester: str) -> bool:
        """Returns whether a single CSR of the requester is held."""
        return self._held.get(requester, 0) == 1

    def is_full(self) -> bool:
        """Whether there is no room for another CSR, which is remembered."""
        is_full = self._sum >= self._most
        self._left_out = self._left_out or is_full
        return is_full

    def came(self) -> bool:
        """Whether half of it is free again after it was full; that is said once."""
        came = self._left_out and self._is_wide
        self._left_out = self._left_out and not came
        return came

    def held(self, requester: str) -> None:
        """A CSR of the requester is held from now on."""
        self._sum += 1
        self._held[requester] = self._held.get(requester, 0) + 1

    def left(self, requester: str) -> None:
        """One of them is not any more."""
        self._sum -= 1
        self._held[requester] -= 1
        if not self._held[requester]:
            del self._held[requester]

    @property
    def _is_wide(self) -> bool:
        return self._sum < max(1, self._most // 2)
