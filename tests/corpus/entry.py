"""An entry of the corpus: a row as the function's tables have it, with its source and the place of its files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from csr_signer.violation import CODES
from tests.function.builders import Case

Outcome = Literal["refused", "permitted", "deferred", "ignored"]

_FOLDERS: Final = {"permitted": "honest", "deferred": "deferred", "ignored": "ignored"}
# Given beside the rule that the request is about, so that no folder is theirs where there is another.
_ACCOMPANYING: Final = frozenset({"request.disagreement"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patched:
    """A row with what the builders have no argument for.

    Attributes:
        case: the row.
        csr, pod: JSON merge patches (RFC 7396) on what the API says.
        profile: how a case file names the signer's profile, where the row's arguments do not say it.
    """

    case: Case
    csr: Mapping[str, Any] = field(default_factory=dict)
    pod: Mapping[str, Any] = field(default_factory=dict)
    profile: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What two files of the corpus say.

    Attributes:
        case: the story, and every code that it must give.
        source: where the idea comes from.
        outcome: how it must end.
        ignored: why triage leaves it alone, where that is how it must end.
        csr, pod, profile: as for `Patched`.
    """

    case: Case
    source: str
    outcome: Outcome
    ignored: str = ""
    csr: Mapping[str, Any] = field(default_factory=dict)
    pod: Mapping[str, Any] = field(default_factory=dict)
    profile: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The code that the entry is about: the first in order that does not merely accompany another."""
        if self.outcome != "refused":
            return _FOLDERS[self.outcome]
        breaks = [code for code in CODES if code in self.case.breaks]
        return next((code for code in breaks if code not in _ACCOMPANYING), breaks[0])

    @property
    def name(self) -> str:
        """The sentence as a file name."""
        return re.sub(r"[^a-z0-9]+", "-", self.case.sentence.lower()).strip("-")


def patched(case: Case, **changes: Mapping[str, Any]) -> Patched:
    """A row with changes, as `Patched` has them."""
    return Patched(case=case, **changes)


def refused(source: str, *cases: Case | Patched) -> tuple[Entry, ...]:
    """Rows of one source that must be refused with exactly their codes."""
    return _entries(cases, source=source, outcome="refused")


def permitted(source: str, *cases: Case | Patched) -> tuple[Entry, ...]:
    """Rows of one source that must become a certificate."""
    return _entries(cases, source=source, outcome="permitted")


def deferred(source: str, *cases: Case | Patched) -> tuple[Entry, ...]:
    """Rows of one source that must wait."""
    return _entries(cases, source=source, outcome="deferred")


def ignored(reason: str, source: str, *cases: Case | Patched) -> tuple[Entry, ...]:
    """Rows of one source that triage must leave alone, for that reason."""
    return _entries(cases, source=source, outcome="ignored", ignored=reason)


def _entries(cases: tuple[Case | Patched, ...], **common: Any) -> tuple[Entry, ...]:
    rows = [each if isinstance(each, Patched) else Patched(case=each) for each in cases]
    return tuple(Entry(case=row.case, csr=row.csr, pod=row.pod, profile=row.profile, **common) for row in rows)
