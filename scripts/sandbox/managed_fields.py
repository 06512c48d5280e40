"""`metadata.managedFields` of objects whose owners nested them deeper than Python reads or writes JSON.

kube-apiserver 1.37 takes up to 9,995 levels of keys from whoever may create an object. The fields are taken out of a
document as text before it is read, so that nothing of them is lost.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

TAKEN_OUT: Final = "verbatim"
"""The only key of what stands in place of fields that were taken out; their text is its value."""
DEEPEST: Final = 9_995
"""Levels of keys that the API server takes: it reads 10,000 of JSON, and five are around them."""

_TEXT: Final = r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*+"'
_FIELDS: Final = re.compile(r'"fieldsV1"\s*:\s*(?=\{)')
# Fields are objects in objects: with or without a comma the next key and what opens its object, or what closes one.
_STEP: Final = re.compile(rf"\s*(?:(,?)\s*({_TEXT})\s*:\s*\{{|\}})")
_KEY: Final = re.compile(r'"(?:\.|[fkvi]:.*)"', re.DOTALL)


def take_out(document: str) -> str:
    """A document with an object of their text in place of all fields.

    Raises:
        ValueError: they are nested too deeply.
    """
    if '"managedFields"' not in document:
        return document
    parts, start = [], 0
    for found in _FIELDS.finditer(document):
        end = _end(document, found.end()) if found.start() >= start else None
        if end is not None:
            parts += [document[start : found.end()], json.dumps({TAKEN_OUT: document[found.end() : end]})]
            start = end
    return "".join([*parts, document[start:]])


def nested(document: Mapping[str, Any], levels: int, key: str = "f:a") -> bytes:
    """An object as somebody sends it who nests its managedFields so deeply, with one key on every level."""
    entry = {
        "manager": "nesting",
        "operation": "Update",
        "apiVersion": document["apiVersion"],
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": "HOLE",
    }
    text = json.dumps({**document, "metadata": {**document["metadata"], "managedFields": [entry]}})
    return text.replace('"HOLE"', f"{{{json.dumps(key)}:" * levels + "{}" + "}" * levels).encode()


def _end(document: str, start: int) -> int | None:
    """Where fields end; None where they are none, or name none."""
    position, depth, closed = start + 1, 0, False
    while depth >= 0:
        step = _STEP.match(document, position)
        if step is None:
            return None
        position, key = step.end(), step[2]
        if key is None:
            depth, closed = depth - 1, True
        elif bool(step[1]) != closed or not _KEY.fullmatch(key):
            return None
        else:
            depth, closed = depth + 1, False
        if depth > DEEPEST:
            raise ValueError("exceeded max depth")
    return position if ":" in document[start:position] else None
