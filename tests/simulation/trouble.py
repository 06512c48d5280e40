"""Which calls go wrong, as the plan says, and how."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from csr_signer.errors import (
    ApiServerUnavailableError,
    AuditError,
    ConfigurationError,
    IntegrityError,
    ItemError,
    ItemUnavailableError,
    QuotaError,
    SignerError,
    UnavailableError,
)
from tests.simulation.plan import Fault, Outage, Plan


@dataclass(frozen=True, slots=True)
class Trouble:
    """How a call goes wrong.

    Attributes:
        error: what the caller gets; None: its answer, only later.
        acts_after: seconds until the server acts; None: it never does.
        answers_after: seconds until the caller knows.
        spoils: whether the caller gets other bytes than the server sent.
    """

    error: Callable[[], SignerError] | None = None
    acts_after: float | None = None
    answers_after: float = 0.0
    spoils: bool = False


NONE: Final = Trouble(acts_after=0.0)
OUTLASTS: Final = Trouble(None, 0.0, 11.5)
"""A call that outlasts the grace of a shutdown."""
HANG: Final = Trouble(lambda: ItemUnavailableError("API server: no answer"), None, 12.0)
_SLOW: Final = Trouble(None, 3.0, 6.5)
_VERY_SLOW: Final = Trouble(None, 11.0, 11.5)
_API: Final = {
    "unavailable": Trouble(lambda: ApiServerUnavailableError("API server: no answer")),
    "item": Trouble(lambda: ItemUnavailableError("API server: 500")),
    "forbidden": Trouble(lambda: ConfigurationError("API server: Forbidden")),
    "refused": Trouble(lambda: ItemError("API server: 400")),
    "hang": HANG,
    "slow": _SLOW,
    "very slow": _VERY_SLOW,
    "lost": Trouble(lambda: ItemUnavailableError("API server: no answer"), 0.0, 12.0),
    "late": Trouble(lambda: ItemUnavailableError("API server: no answer"), 15.0, 12.0),
}
_KMS: Final = {
    "quota": Trouble(lambda: QuotaError("KMS: the quota is exhausted")),
    "unavailable": Trouble(lambda: UnavailableError("KMS does not answer"), None, 3.0),
    "disabled": Trouble(lambda: ConfigurationError("KMS: the key version is disabled")),
    "slow": Trouble(None, 1.0, 2.5),
    "lost": Trouble(lambda: UnavailableError("KMS does not answer"), 0.0, 3.0),
    "late": Trouble(lambda: UnavailableError("KMS does not answer"), 5.0, 3.0),
    "wrong": Trouble(lambda: IntegrityError("wrong answer from KMS"), 0.0),
    "another key's": Trouble(None, 0.0, spoils=True),
}
_AUDIT: Final = {
    "broken": Trouble(lambda: AuditError("no reader"), None, 5.0),
    "slow": _SLOW,
    "very slow": Trouble(None, 8.5, 9.0),
}
TROUBLES: Final = {
    "api.read": _API,
    "api.write": _API,
    "api.event": _API,
    "kms.public_key": _KMS,
    "kms.sign": _KMS,
    "audit": _AUDIT,
}
"""By site, what the plan calls it."""


class Troubles:
    """Counts the calls of each site, and says which go wrong.

    Attributes:
        met: how often each kind of fault happened.
    """

    def __init__(self, plan: Plan, loop: asyncio.AbstractEventLoop) -> None:
        self.met: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._ends_at = plan.trouble
        self._faults = {(each.site, each.number): each.what for each in plan.elements if isinstance(each, Fault)}
        self._outages = [each for each in plan.elements if isinstance(each, Outage)]
        self._loop = loop

    def at(self, site: str) -> str:
        """Counts a call; returns what goes wrong with it, or an empty text."""
        now, number = self._loop.time(), self.calls[site]
        self.calls[site] += 1
        if now >= self._ends_at:
            return ""
        what = self._faults.get((site, number), "") or next(
            (each.what for each in self._outages if each.site == site and 0 <= now - each.at < each.seconds), ""
        )
        if what:
            self.met[f"{site}: {what}"] += 1
        return what
