"""DER as Go's encoding/asn1 reads it: strict about lengths and numbers, silent about what follows in a SEQUENCE.

The API server reads requests with it, so a double that reads with another library's strictness would stop requests
that a signer must expect, and let in others that never reach one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

INTEGER, BIT_STRING, OCTET_STRING, NULL, OBJECT_IDENTIFIER, UTF8_STRING = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0C
NUMERIC_STRING, PRINTABLE_STRING, IA5_STRING, BMP_STRING = 0x12, 0x13, 0x16, 0x1E
BOOLEAN, SEQUENCE, SET = 0x01, 0x30, 0x31

_LARGEST_LENGTH: Final = 1 << 23
_LARGEST_ARC: Final = (1 << 31) - 1
_LONG_FORM, _LONG_TAG, _MORE = 0x80, 0x1F, 0x80
_WORD: Final = 8
_PRINTABLE: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?*&"  # the last two are Go's
)


class Asn1Error(ValueError):
    """Bytes that Go would not read; says what it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element.

    Attributes:
        tag: the first identifier octet.
        content: without header.
        encoded: with header.
    """

    tag: int
    content: bytes
    encoded: bytes


def elements(data: bytes) -> Iterator[Element]:
    """Every element, one after the other.

    Raises:
        Asn1Error: lengths are not DER's, or beyond the end.
    """
    while data:
        found = _element(data)
        yield found
        data = data[len(found.encoded) :]


def only(data: bytes) -> Element:
    """The one element that the bytes are.

    Raises:
        Asn1Error: none, or something after it.
    """
    found = _element(data)
    if found.encoded != data:
        raise Asn1Error("trailing data")
    return found


class Fields:
    """The elements of a SEQUENCE that stand for a structure; what comes after the last one asked for is not looked at.

    Raises:
        Asn1Error: not a SEQUENCE; from `take`, another element or none.
    """

    def __init__(self, structure: Element) -> None:
        if structure.tag != SEQUENCE:
            raise Asn1Error("tags don't match")
        self._rest = structure.content

    def take(self, *tags: int) -> Element:
        """The next element, which must have one of these tags; any without tags."""
        found = _element(self._rest)
        if tags and found.tag not in tags:
            raise Asn1Error("tags don't match")
        self._rest = self._rest[len(found.encoded) :]
        return found

    def take_optional(self, *tags: int) -> Element | None:
        """The next element where it has one of these tags, any without tags; else None and it stays."""
        if not self._rest or (tags and _element(self._rest).tag not in tags):
            return None
        return self.take()


def integer(found: Element) -> int:
    """An INTEGER of shortest form, of any size.

    Raises:
        Asn1Error: it is none.
    """
    content = found.content
    if not content or (len(content) > 1 and content[0] in (0x00, 0xFF) and (content[0] ^ content[1]) < _MORE):
        raise Asn1Error("integer not minimally-encoded")
    return int.from_bytes(content, "big", signed=True)


def word(found: Element) -> int:
    """An INTEGER that fits 64 bits.

    Raises:
        Asn1Error: it does not.
    """
    value = integer(found)
    if len(found.content) > _WORD:
        raise Asn1Error("integer too large")
    return value


def boolean(found: Element) -> bool:
    """A BOOLEAN as DER writes it.

    Raises:
        Asn1Error: it is none.
    """
    if found.content not in (b"\x00", b"\xff"):
        raise Asn1Error("invalid boolean")
    return found.content == b"\xff"


def object_identifier(found: Element) -> str:
    """An OBJECT IDENTIFIER, dotted.

    Raises:
        Asn1Error: an arc is padded, cut off or beyond 31 bits.
    """
    if not found.content or found.content[-1] >= _MORE:
        raise Asn1Error("truncated base 128 integer")
    arcs, value, fresh = [], 0, True
    for octet in found.content:
        if fresh and octet == _MORE:
            raise Asn1Error("base 128 integer is not minimally encoded")
        value = value << 7 | octet & 0x7F
        fresh = octet < _MORE
        if value > _LARGEST_ARC:
            raise Asn1Error("base 128 integer too large")
        if fresh:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def bit_string(found: Element) -> bytes:
    """The bits of a BIT STRING, shifted to the right where the last octet has some that do not count (RightAlign).

    Raises:
        Asn1Error: these are not zero, or more than there are.
    """
    if not found.content:
        raise Asn1Error("zero length BIT STRING")
    padding, octets = found.content[0], found.content[1:]
    if padding > 7 or (padding and not octets) or (octets and octets[-1] & ((1 << padding) - 1)):  # noqa: PLR2004 - bits
        raise Asn1Error("invalid padding bits in BIT STRING")
    return (int.from_bytes(octets, "big") >> padding).to_bytes(len(octets), "big")


def check_any(found: Element) -> None:
    """Of the types that Go knows, a value must be one; any other passes.

    Raises:
        Asn1Error: it is not.
    """
    content = found.content
    if found.tag in _CHARACTERS and not _CHARACTERS[found.tag](content):
        raise Asn1Error("string contains invalid character")
    if found.tag in _READERS:
        _READERS[found.tag](found)


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


_CHARACTERS: Final[Mapping[int, Callable[[bytes], bool]]] = {
    UTF8_STRING: _is_utf8,
    PRINTABLE_STRING: _PRINTABLE.issuperset,
    NUMERIC_STRING: frozenset(b"0123456789 ").issuperset,
    IA5_STRING: bytes.isascii,
    BMP_STRING: lambda content: len(content) % 2 == 0,
}
_READERS: Final[Mapping[int, Callable[[Element], object]]] = {
    INTEGER: word,
    BIT_STRING: bit_string,
    OBJECT_IDENTIFIER: object_identifier,
}


def _element(data: bytes) -> Element:
    start = _after_tag(data)
    if start >= len(data):
        raise Asn1Error("truncated tag or length")
    length, start = data[start], start + 1
    if length >= _LONG_FORM:
        length, start = _long_length(data, start, length & 0x7F)
    if len(data) - start < length:
        raise Asn1Error("data truncated")
    return Element(tag=data[0], content=data[start : start + length], encoded=data[: start + length])


def _after_tag(data: bytes) -> int:
    if not data:
        raise Asn1Error("sequence truncated")
    if data[0] & _LONG_TAG != _LONG_TAG:
        return 1
    end = next((index for index, octet in enumerate(data[1:], 1) if octet < _MORE), None)
    if end is None or data[1] == _MORE or (end == 1 and data[1] < _LONG_TAG):
        raise Asn1Error("non-minimal tag")
    return end + 1


def _long_length(data: bytes, start: int, count: int) -> tuple[int, int]:
    if count == 0:
        raise Asn1Error("indefinite length found (not DER)")
    length = 0
    for octet in data[start : start + count]:
        if length >= _LARGEST_LENGTH:
            raise Asn1Error("length too large")
        length = length << 8 | octet
        if length == 0:
            raise Asn1Error("superfluous leading zeros in length")
    if length < _LONG_FORM:
        raise Asn1Error("non-minimal length")
    return length, start + count
