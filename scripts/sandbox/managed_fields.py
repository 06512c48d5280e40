"""Handles `metadata.managedFields` that are nested deeper than Python's JSON parser allows.

kube-apiserver 1.37 accepts up to 9,995 levels of keys from any client that may create an object. This module replaces
the fields by their text before it parses a document, so that no data is lost.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

TAKEN_OUT: Final = "verbatim"
"""The only key of the object that replaces the fields; its value is their text."""
DEEPEST: Final = 9_995
"""The API server's limit for levels of keys: it reads 10,000 levels of JSON, and five of them enclose the fields."""

_TEXT: Final = r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*+"'
_FIELDS: Final = re.compile(r'"fieldsV1"\s*:\s*(?=\{)')
# Fields are nested objects: an optional comma, the next key and an opening brace, or a closing brace.
_STEP: Final = re.compile(rf"\s*(?:(,?)\s*({_TEXT})\s*:\s*\{{|\}})")
_KEY: Final = re.compile(r'"(?:\.|[fkvi]:.*)"', re.DOTALL)


def take_out(document: str) -> str:
    """Replaces all fields in a document by an object with their text.

    Raises:
        ValueError: the fields are nested too deeply.
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
    """Returns a hostile object whose managedFields have that many levels, with one key per level."""
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
    """Returns the end of the fields; None if there are no fields."""
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
