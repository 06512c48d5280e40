"""`metadata.managedFields`: who wrote what, as clients say it; the double adds nothing of its own.

Source: kubernetes apimachinery pkg/util/managedfields; what v1.37.2 answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandbox.managed_fields import TAKEN_OUT

if TYPE_CHECKING:
    from sandbox.api import Json

_KEPT: Final = ("manager", "operation", "apiVersion", "time", "fieldsType", "subresource")
_RESET: Final[list[Json]] = [{}]  # asks for all to be forgotten, as an empty list does


@dataclass(frozen=True, slots=True)
class Verbatim:
    """JSON that is shown as it was written: it may be nested deeper than Python writes any."""

    text: str


def decode(value: object, path: str) -> list[Json] | None:  # noqa: ARG001 - one signature for all decoders
    """The entries; none where one of them is wrong."""
    if not isinstance(value, list):
        return None
    if value in ([], _RESET):
        return _RESET
    entries = [_entry(each) for each in value]
    return None if None in entries else [entry for entry in entries if entry]


def settle(metadata: Json, stored: Json, *, fixed: bool = False) -> None:
    """Keep what is stored where nothing is given, or where this endpoint takes none."""
    given = metadata.pop("managedFields", None)
    if fixed or given is None:
        given = stored.get("managedFields")
    if given is not None and given != _RESET:
        metadata["managedFields"] = given


def _entry(value: object) -> Json | None:
    """None where it is wrong, nothing where its fields are none."""
    if not isinstance(value, dict) or value.get("fieldsType") != "FieldsV1":
        return None
    fields = value.get("fieldsV1")
    if isinstance(fields, dict) and isinstance(fields.get(TAKEN_OUT), str):
        fields = Verbatim(fields[TAKEN_OUT])
    if fields is None or fields == {}:
        return {}
    if not isinstance(fields, Verbatim):
        return None
    return {key: value[key] for key in _KEPT if key in value} | {"fieldsV1": fields}
