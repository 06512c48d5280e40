"""JSON documents read as the API server reads them: typed, unknown fields dropped, empty values left out."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from typing import TYPE_CHECKING, Any

from sandbox.kubernetes import managed_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.api import Json

    Decoder = Callable[[object, str], Any]

_TIME = re.compile(r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:[.,]\d+)?(?:Z|([+-])(\d{2}):(\d{2}))", re.ASCII)
_ZERO_TIME = "0001-01-01T00:00:00Z"
_WORDS = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)


class DecodeError(ValueError):
    """A document that does not have the types of its kind."""


def text(value: object, path: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise _mismatch(value, path, "string")
    return value


def int32(value: object, path: str) -> int:
    """An integer of 32 bits."""
    return _integer(value, path, _INT32, "int32")


def int64(value: object, path: str) -> int:
    """An integer of 64 bits."""
    return _integer(value, path, _INT64, "int64")


def octets(value: object, path: str) -> str:
    """Base64 of any bytes; line ends in it are dropped."""
    encoded = re.sub("[\r\n]", "", text(value, path))
    try:
        return base64.b64encode(base64.b64decode(encoded, validate=True)).decode()
    except (binascii.Error, ValueError) as error:
        stray = re.search("[^A-Za-z0-9+/]", encoded)
        position = stray.start() if stray else len(encoded)
        raise DecodeError(f"illegal base64 data at input byte {position}") from error


def time(value: object, path: str) -> str | None:
    """An RFC 3339 time, in UTC and whole seconds; the zero time counts as none.

    Years outside 0000 to 9999 come out where an offset leads there, as from the real API server.
    """
    written = text(value, path)
    match = _TIME.fullmatch(written)
    if match is None:
        raise DecodeError(f'parsing time "{written}" as "2006-01-02T15:04:05Z07:00": cannot parse it')
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    sign, hours, minutes = match.groups()[6:]
    # The calendar repeats every 400 years: the arithmetic is done where datetime can do it.
    stand_in = 2000 + year % 400
    offset = dt.timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    try:
        moment = dt.datetime(stand_in, month, day, hour, minute, second, tzinfo=dt.UTC) - offset
    except ValueError as error:
        raise DecodeError(f'parsing time "{written}": {error}') from error
    year += moment.year - stand_in
    shown = f"-{-year:04}" if year < 0 else f"{year:04}"
    result = f"{shown}{moment:-%m-%dT%H:%M:%SZ}"
    return None if result == _ZERO_TIME else result


def anything(value: object, path: str) -> object:  # noqa: ARG001 - one signature for all decoders
    """Any value, as it is."""
    return value


def list_of(decoder: Decoder) -> Decoder:
    """A list of values of one type."""

    def decode(value: object, path: str) -> list[object]:
        if not isinstance(value, list):
            raise _mismatch(value, path, "list")
        return [decoder(element, path) for element in value]

    return decode


def map_of(decoder: Decoder) -> Decoder:
    """An object with any keys and values of one type."""

    def decode(value: object, path: str) -> Json:
        if not isinstance(value, dict):
            raise _mismatch(value, path, "map")
        return {key: decoder(element, f"{path}.{key}") for key, element in value.items()}

    return decode


def struct(
    fields: Mapping[str, Decoder], *, defaults: Mapping[str, object] | None = None, extensible: bool = False
) -> Decoder:
    """An object with known fields, in their order.

    Null and empty values are left out.

    Args:
        fields: the decoder of each known field.
        defaults: fields that are always there, with what stands for nothing.
        extensible: unknown fields are kept as they are; else they are dropped.
    """

    def decode(value: object, path: str) -> Json:
        if not isinstance(value, dict):
            raise _mismatch(value, path, "struct")
        result: Json = {}
        for name, decoder in fields.items():
            given = value.get(name)
            decoded = None if given is None else decoder(given, f"{path}.{name}".lstrip("."))
            if decoded is not None and decoded not in ("", [], {}):
                result[name] = decoded
            elif defaults and name in defaults:
                result[name] = defaults[name]
        if extensible:
            result |= {name: given for name, given in value.items() if name not in fields}
        return result

    return decode


OBJECT_META = struct(
    {
        "name": text,
        "generateName": text,
        "namespace": text,
        "uid": text,
        "resourceVersion": text,
        "generation": int64,
        "creationTimestamp": time,
        "deletionTimestamp": time,
        "deletionGracePeriodSeconds": int64,
        "labels": map_of(text),
        "annotations": map_of(text),
        "ownerReferences": list_of(anything),
        "finalizers": list_of(text),
        "managedFields": managed_fields.decode,
    }
)


def _integer(value: object, path: str, allowed: range, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        raise _mismatch(value, path, name)
    return value


def _mismatch(value: object, path: str, wanted: str) -> DecodeError:
    word = _WORDS.get(type(value), "null")
    if word == "number":
        word = f"number {value}"
    return DecodeError(f"json: cannot unmarshal {word} into field {path} of type {wanted}")
