"""Objects of the API server as JSON: only the fields that a mask names are kept, and only of the object asked for.

A requester may fill an object with what etcd stores, 1.5 MB. As Python values `metadata.managedFields` of this size
take 45 MB, and nested as deeply as kube-apiserver takes them (9,995 levels, tried on 1.37) `json` cannot read them at
all. So what the mask does not name is checked to be JSON and dropped.
"""

import codecs
from collections.abc import Generator
from typing import Any, Final, TypeAlias

# Not ijson's default: without its extension that is a parser in Python, eight times as slow.
from ijson.backends import yajl2_c
from ijson.common import JSONError

from csr_signer.errors import UnavailableError
from csr_signer.violation import quote

Mask: TypeAlias = "dict[str, Mask] | list[Mask] | None"
"""What is kept: the named members of an object, the only entry's fields of each element of a list; None: a scalar.

A value of another type than its mask is kept as a scalar, or as an object or a list without content.
"""
OTHERS: Final = "*"
"""The name of all members that are not named."""
METADATA: Final[dict[str, Mask]] = dict.fromkeys(("name", "namespace", "uid", "deletionTimestamp"))
"""What is read of any object's metadata."""
_LEVELS: Final = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}
# Decoded, a single character outside the BMP makes every other as large as itself.
_PIECE: Final = 1 << 16


def read(
    document: bytes, kind: str, mask: dict[str, Mask], *, name: str, namespace: str | None = None
) -> dict[str, Any]:
    """Parses the object that was asked for, as far as the mask names it.

    Args:
        document: the answer.
        kind: that was asked for.
        mask: at least METADATA in `metadata`.
        name: that was asked for.
        namespace: that was asked for.

    Raises:
        UnavailableError: the answer is something else, which a server in between may have made up.
    """
    try:
        api = select(document, {"kind": None, **mask})
        metadata = api["metadata"]
        got = (api["kind"], metadata["name"], metadata.get("namespace"), type(metadata["uid"]), bool(metadata["uid"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnavailableError(f"the API server answered with no {kind}: {quote(str(error))}") from error
    if got != (kind, name, namespace, str, True):
        raise UnavailableError(f"the API server answered with no {kind} {quote(name)}: {quote(got[:3])}")
    selected: dict[str, Any] = api
    return selected


def select(document: bytes, mask: Mask) -> Any:  # noqa: ANN401 - any JSON
    """Parses what the mask names of a JSON document; of two equal keys, the last.

    Raises:
        ValueError: it is no JSON, or has a number of more than 64 bits.
    """
    kept: list[Any] = []
    target = _keep(mask, kept)
    next(target)
    # Without use_float, ijson 3.6 hands out an invalid object for an integer of 4,301 digits.
    parser = yajl2_c.basic_parse_coro(target, use_float=True)
    try:
        parser.send(_as_utf_8(document))
        parser.close()
    except JSONError as error:
        raise ValueError(f"{len(document)} bytes that are not JSON") from error
    return kept[0]


def _as_utf_8(document: bytes) -> bytes:
    """Returns the document, with a question mark in place of each byte that is no UTF-8.

    A client may write such bytes into managedFields, and kube-apiserver shows them as they are.
    """
    if document.isascii():
        return document
    decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
    pieces = [document[start : start + _PIECE] for start in range(0, len(document), _PIECE)]
    texts = (decoder.decode(piece, final=piece is pieces[-1]) for piece in pieces)
    return b"".join(text.encode(errors="replace") for text in texts)


def _keep(mask: Mask, kept: list[Any]) -> Generator[None, tuple[str, Any], None]:
    """Appends to `kept` what the mask names of a document whose parser events are sent."""
    container, inside = kept, [mask]  # type: Any, Any
    outer: list[tuple[Any, Any]] = []
    key = None
    dropped = 0  # levels that are open in what is dropped
    while True:
        event, value = yield
        level = _LEVELS.get(event, 0)
        if dropped:
            dropped += level
        elif event == "map_key":
            key = value
        elif level < 0:
            container, inside = outer.pop()
        elif isinstance(inside, dict) and key not in inside and OTHERS not in inside:
            dropped = level
        else:
            if level:
                value = {} if event == "start_map" else []
            if isinstance(inside, list):
                (wanted,) = inside
                container.append(value)
            else:
                wanted = inside.get(key, inside.get(OTHERS))
                container[key] = value
            if level and type(value) is type(wanted):
                outer.append((container, inside))
                container, inside = value, wanted
            else:
                dropped = level
