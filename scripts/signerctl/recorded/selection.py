"""Which records a command line chooses: those of one cluster, of one signer, or all."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from csr_signer import field_error
from signerctl.recorded.entries import Json, text_or_empty

_MAX_NAMES: Final = 20
"""The error names at most this many; a forger of records must not fill the memory or the terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A chosen name that no record has.

    Attributes:
        field: The field of the records.
        name: The chosen name.
        message: The error, which lists the names that the records have.
    """

    field: str
    name: str
    message: str


class Selection:
    """Chooses records, and remembers the names that they have.

    Args:
        cluster: Only records of this cluster; None for all.
        signer_name: Only records of this signerName; None for all.
    """

    def __init__(self, *, cluster: str | None = None, signer_name: str | None = None) -> None:
        self._chosen = {"cluster": cluster, "signer_name": signer_name}
        self._known: dict[str, set[str]] = {field: set() for field in self._chosen}

    def takes(self, record: Json) -> bool:
        """Tells whether a record is of the chosen cluster and signer."""
        taken = True
        for field, chosen in self._chosen.items():
            name, known = text_or_empty(record, field), self._known[field]
            if name and (name == chosen or len(known) < _MAX_NAMES):
                known.add(name)
            taken = taken and chosen in (None, name)
        return taken

    def unknown(self) -> Iterator[Unknown]:
        """Yields the chosen names that no record has; none if there are no records."""
        for field, option in (("cluster", "--cluster"), ("signer_name", "--signer")):
            chosen, known = self._chosen[field], self._known[field]
            if chosen is not None and known and chosen not in known:
                message = field_error.unsupported(option, [chosen], sorted(known))
                yield Unknown(field=field, name=chosen, message=message)
