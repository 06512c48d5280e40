"""Parses the API server's JSON objects, and keeps only the fields of a mask.

A requester may fill an object up to etcd's limit of 1.5 MB. As Python values, `metadata.managedFields` of this size
take 45 MB. At kube-apiserver's deepest nesting (9,995 levels, tested on 1.37), `json` cannot parse them. So this module
checks that other fields are JSON, and drops them.
"""

import codecs
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

# Not ijson's default backend, which without its extension is a Python parser and eight times as slow.
from ijson.backends import yajl2_c
from ijson.common import JSONError

from csr_signer.errors import UnavailableError
from csr_signer.violation import quote

Mask: TypeAlias = "dict[str, Mask] | list[Mask] | None"
"""The fields to keep: a mapping has an object's members, a list has one mask for all its elements, None is a scalar.

A value of another type stays as a scalar, or as an empty object or list.
"""
OTHERS: Final = "*"
"""Stands for all members without an own entry."""
METADATA: Final[dict[str, Mask]] = dict.fromkeys(("name", "namespace", "uid", "deletionTimestamp"))
"""The mask of every object's metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much of a document is kept, whatever the mask selects.

    Attributes:
        items: elements of a list; the rest is dropped.
        text: characters of a text; the rest is dropped.
        whole: characters of all kept names and texts, with VALUE_COST for each value; more is an error.
    """

    items: int
    text: int
    whole: int


UNBOUNDED: Final = Bounds(items=sys.maxsize, text=sys.maxsize, whole=sys.maxsize)
OF_OBJECT: Final = Bounds(items=64, text=64 * 1024, whole=128 * 1024)
"""For one object that a requester or a hostile API server fills. An honest one keeps a few kilobytes."""
VALUE_COST: Final = 64
_LEVELS: Final = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}
# In a decoded string, one character outside the BMP makes all characters four bytes long.
_PIECE: Final = 1 << 16


def read(
    document: bytes,
    kind: str,
    mask: dict[str, Mask],
    *,
    name: str,
    namespace: str | None = None,
    bounds: Bounds = OF_OBJECT,
) -> dict[str, Any]:
    """Parses the mask's fields of the requested object.

    Args:
        document: the API server's answer.
        kind: the requested kind.
        mask: the mask, with at least METADATA in `metadata`.
        name: the requested name.
        namespace: the requested namespace.
        bounds: how much of the object is kept.

    Raises:
        UnavailableError: the answer is something else, perhaps from a server in between; or the mask's fields exceed
            the bounds.
    """
    try:
        api = select(document, {"kind": None, **mask}, bounds=bounds)
        metadata = api["metadata"]
        got = (api["kind"], metadata["name"], metadata.get("namespace"), type(metadata["uid"]), bool(metadata["uid"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnavailableError(f"the API server answered with no {kind}: {quote(str(error))}") from error
    if got != (kind, name, namespace, str, True):
        raise UnavailableError(f"the API server answered with no {kind} {quote(name)}: {quote(got[:3])}")
    selected: dict[str, Any] = api
    return selected


def select(document: bytes, mask: Mask, *, bounds: Bounds = UNBOUNDED) -> Any:  # noqa: ANN401 - any JSON
    """Parses the mask's fields of a JSON document; of duplicate keys, the last one counts.

    Raises:
        ValueError: the document is no JSON, has a number of more than 64 bits, or exceeds the bounds.
    """
    parser = Parser(mask, bounds)
    parser.feed(document)
    return parser.close()


class Parser:
    """Parses the mask's fields of a JSON document that arrives in pieces.

    Attributes:
        kept: the document as far as it is known, as its only element. A caller that takes elements out of a list in it
            must leave the last one, which may be incomplete.
    """

    def __init__(self, mask: Mask, bounds: Bounds = UNBOUNDED) -> None:
        self.kept: list[Any] = []
        self._size = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
        target = _keep(mask, self.kept, bounds)
        next(target)
        # Without use_float, ijson 3.6 returns an invalid object for an integer of 4,301 digits.
        self._parser = yajl2_c.basic_parse_coro(target, use_float=True)

    def feed(self, piece: bytes) -> None:
        """Parses the next piece. A string that spans n pieces is scanned n times, so pieces should be large.

        Raises:
            ValueError: as `select`.
        """
        self._size += len(piece)
        self._send(self._as_utf_8(piece))

    def close(self) -> Any:  # noqa: ANN401 - any JSON
        """Returns the document's fields.

        Raises:
            ValueError: as `select`; or the document is incomplete.
        """
        self._send(self._decoder.decode(b"", final=True).encode(errors="replace"))
        with self._errors():
            self._parser.close()
        return self.kept[0]

    def _send(self, piece: bytes | bytearray) -> None:
        if piece:  # an empty one would end the document
            with self._errors():
                self._parser.send(piece)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except JSONError as error:
            raise ValueError(f"{self._size} bytes that are not JSON") from error

    def _as_utf_8(self, piece: bytes) -> bytes | bytearray:
        """Replaces each byte that is not UTF-8 by a question mark.

        A client can write such bytes into managedFields, and kube-apiserver returns them unchanged.
        """
        if piece.isascii() and not self._decoder.getstate()[0]:
            return piece
        encoded = bytearray()
        for start in range(0, len(piece), _PIECE):
            encoded += self._decoder.decode(piece[start : start + _PIECE]).encode(errors="replace")
        return encoded


def _keep(mask: Mask, kept: list[Any], bounds: Bounds) -> Generator[None, tuple[str, Any], None]:
    """Receives parser events, and appends the mask's fields of the document to `kept`."""
    left = bounds.whole
    container, inside = kept, [mask]  # type: Any, Any
    outer: list[tuple[Any, Any]] = []
    key = ""
    dropped = 0  # number of open levels in the dropped value
    while True:
        event, value = yield
        level = _LEVELS.get(event, 0)
        if dropped:
            dropped += level
        elif event == "map_key":
            key = value
        elif level < 0:
            container, inside = outer.pop()
        elif not _is_kept(key, container, inside, bounds.items):
            dropped = level
        else:
            value = _bounded(event, value, bounds.text)
            name = ""
            if isinstance(inside, list):
                (wanted,) = inside
                container.append(value)
            else:
                # One object for the same key of 100,000 list elements; not for keys that a requester chooses.
                name = sys.intern(key) if key in inside else key
                wanted = inside.get(name, inside.get(OTHERS))
                container[name] = value
            left -= VALUE_COST + len(name) + (len(value) if event == "string" else 0)
            if left < 0:
                raise ValueError(f"its fields have more than {bounds.whole} characters")
            if level and type(value) is type(wanted):
                outer.append((container, inside))
                container, inside = value, wanted
            else:
                dropped = level


def _is_kept(key: str, container: Any, inside: Any, items: int) -> bool:  # noqa: ANN401 - any JSON
    """Tells whether the mask has the key, or the list has not reached its bound."""
    if isinstance(inside, dict):
        return key in inside or OTHERS in inside
    return len(container) < items


def _bounded(event: str, value: Any, most: int) -> Any:  # noqa: ANN401 - any JSON
    """Returns a value with at most this many characters; a new container at its start."""
    if event == "start_map":
        return {}
    if event == "start_array":
        return []
    return value[:most] if event == "string" else value
