"""Handles `metadata.managedFields` that are nested deeper than Python's JSON parser allows.

kube-apiserver 1.37 accepts up to 9,995 levels of keys from any client that may create an object.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

DEEPEST: Final = 9_995
"""The API server's limit for levels of keys: it reads 10,000 levels of JSON, and five of them enclose the fields."""

_FIELDS: Final = re.compile(r'"fieldsV1"\s*:\s*(?=\{)')
_BRACKET: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|([{}])')


def without_fields(document: str) -> str:
    """Returns a JSON document with an empty object in place of all fields."""
    parts, start = [], 0
    for found in _FIELDS.finditer(document):
        if found.start() >= start:
            parts += [document[start : found.end()], "{}"]
            start = _end(document, found.end())
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


def _end(document: str, start: int) -> int:
    """Returns the end of the object that starts at `start`."""
    depth = 0
    for found in _BRACKET.finditer(document, start):
        depth += {"{": 1, "}": -1}.get(found[1], 0)
        if depth == 0 and found[1]:
            return found.end()
    return len(document)
