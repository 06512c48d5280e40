"""DER as trees, to change one thing deep inside and write the whole again with every length right, or wrong on purpose.

Shares no code with the function. A tree is a tag with either content or parts; an OCTET STRING that holds DER has
parts too, so that a change inside of an extension keeps the extension.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Final, Self

_CONSTRUCTED: Final = 0x20
_OCTET_STRING: Final = 0x04
_LONG: Final = 0x80


@dataclass(slots=True)
class Tree:
    """One element.

    Attributes:
        tag: its identifier octets.
        content: where it has no parts.
        parts: elements that it holds.
        length: how its length is written; None: as DER wants it.
    """

    tag: bytes
    content: bytes = b""
    parts: list["Tree"] | None = None
    length: bytes | None = None
    tail: bytes = field(default=b"")

    @classmethod
    def read(cls, encoded: bytes) -> Self:
        """The tree of one element of well-formed DER with one-byte tags."""
        tree, rest = cls._first(encoded)
        assert not rest
        return tree

    @classmethod
    def _first(cls, encoded: bytes) -> tuple[Self, bytes]:
        tag, size, start = encoded[0], encoded[1], 2
        if size >= _LONG:
            start = 2 + size - _LONG
            size = int.from_bytes(encoded[2:start], "big")
        content, rest = encoded[start : start + size], encoded[start + size :]
        if len(content) != size:
            raise ValueError("short")
        if tag & _CONSTRUCTED:
            return cls(tag=bytes([tag]), parts=cls._all(content)), rest
        if tag == _OCTET_STRING:
            try:
                return cls(tag=bytes([tag]), parts=cls._all(content)), rest
            except (ValueError, IndexError):
                pass
        return cls(tag=bytes([tag]), content=content), rest

    @classmethod
    def _all(cls, content: bytes) -> list["Tree"]:
        parts: list[Tree] = []
        while content:
            part, content = cls._first(content)
            parts.append(part)
        return parts

    def write(self) -> bytes:
        """Its encoding."""
        content = self.content if self.parts is None else b"".join(part.write() for part in self.parts)
        return self.tag + (shortest(len(content)) if self.length is None else self.length) + content + self.tail

    def part(self, index: int) -> "Tree":
        """One of its parts."""
        assert self.parts is not None
        return self.parts[index]

    def all(self) -> list["Tree"]:
        """Itself and everything below."""
        found: list[Tree] = [self]
        for part in self.parts or ():
            found += part.all()
        return found

    def copy(self) -> "Tree":
        """The same, to be changed on its own."""
        parts = None if self.parts is None else [part.copy() for part in self.parts]
        return Tree(tag=self.tag, content=self.content, parts=parts, length=self.length, tail=self.tail)


def shortest(size: int) -> bytes:
    """A definite length as DER wants it."""
    if size < _LONG:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([_LONG | len(octets)]) + octets


TAGS: Final = (
    *(bytes([tag]) for tag in range(256)),
    b"\x1f\x1f",
    b"\x1f\x0c",
    b"\x3f\x81\x00",
    b"\x1f\x8f\xff\xff\xff\x7f",
)
"""Every tag of one byte, and some of more: a huge one, one that should have been short."""

CONTENTS: Final = (
    b"",
    b"\x00",
    b"\xff",
    b"\x00\x00",
    b"\x00\x01",
    b"\x01",
    b"\x00\x80",
    b"\x80",
    b"\xff\xff\xff\xff\xff",
    b"\x7f" + b"\xff" * 8,
    b"typha-client",
    b"typha-client\x00.example.com",
    b"system:masters",
    "t\N{CYRILLIC SMALL LETTER U}pha-client".encode(),
    b"\xed\xa0\x80",
    b"\x55\x1d\x11",
    b"\x55\x1d\x13",
    b"\x55\x04\x03",
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e",
    b"\x2a" + b"\xff" * 15 + b"\x7f",
    b"\x7f\x00\x00\x01",
    bytes(16),
    bytes(5),
    b"\x30\x00",
    b"\x30\x03\x01\x01\xff",
    b"x" * 200,
)
"""Contents that mean something somewhere."""

STRING_TAGS: Final = (
    b"\x0c",
    b"\x12",
    b"\x13",
    b"\x14",
    b"\x16",
    b"\x1a",
    b"\x1b",
    b"\x1c",
    b"\x1e",
    b"\x02",
    b"\x04",
    b"\x05",
)
"""UTF8, Numeric, Printable, Teletex, IA5, Visible, General, Universal, BMP; INTEGER, OCTET STRING and NULL."""


def change(tree: Tree, random: Random) -> None:
    """Changes one thing somewhere in a tree."""
    place = random.choice(tree.all())
    kinds = [_other_tag, _other_content, _other_byte, _other_length, _tail]
    if place.parts:
        kinds = [_drop, _repeat, _reorder, _add, _borrow, _other_tag, _other_length, _wrap, _flatten, _tail]
    random.choice(kinds)(place, random, tree)


def _other_tag(place: Tree, random: Random, _: Tree) -> None:
    place.tag = random.choice([*STRING_TAGS, random.choice(TAGS), random.choice(TAGS)])


def _other_content(place: Tree, random: Random, _: Tree) -> None:
    place.parts, place.content = None, random.choice(CONTENTS)


def _other_byte(place: Tree, random: Random, tree: Tree) -> None:
    if not place.content:
        _other_content(place, random, tree)
        return
    changed = bytearray(place.content)
    changed[random.choice([0, len(changed) - 1, random.randrange(len(changed))])] ^= 1 << random.randrange(8)
    place.content = random.choice([bytes(changed), place.content[1:], place.content[:-1], b"\x00" + place.content])


def _other_length(place: Tree, random: Random, _: Tree) -> None:
    size = len(place.content if place.parts is None else b"".join(part.write() for part in place.parts))
    octets = size.to_bytes(4, "big")
    shorter, longer = shortest(max(size - 1, 0)), shortest(size + 1)
    place.length = random.choice(
        [b"\x84" + octets, b"\x81" + octets[-1:], b"\x80", b"\x88" + b"\xff" * 8, shorter, longer]
    )
    if place.length == b"\x80" and random.random() < 0.8:
        place.tail = b"\x00\x00"


def _tail(place: Tree, random: Random, _: Tree) -> None:
    place.tail = random.choice([b"\x00", b"\x00\x00", b"\x05\x00", b"\x30\x00", b"\x0c\x01x"])


def _drop(place: Tree, random: Random, _: Tree) -> None:
    assert place.parts
    del place.parts[random.randrange(len(place.parts))]


def _repeat(place: Tree, random: Random, _: Tree) -> None:
    assert place.parts
    index = random.randrange(len(place.parts))
    place.parts[index:index] = [place.parts[index].copy() for _ in range(random.choice([1, 1, 1, 2, 50]))]


def _reorder(place: Tree, random: Random, _: Tree) -> None:
    assert place.parts
    random.shuffle(place.parts)


def _add(place: Tree, random: Random, _: Tree) -> None:
    assert place.parts
    new = Tree(tag=random.choice([*STRING_TAGS, random.choice(TAGS)]), content=random.choice(CONTENTS))
    place.parts.insert(random.randrange(len(place.parts) + 1), new)


def _borrow(place: Tree, random: Random, tree: Tree) -> None:
    assert place.parts
    place.parts.insert(random.randrange(len(place.parts) + 1), random.choice(tree.all()[1:]).copy())


def _wrap(place: Tree, random: Random, tree: Tree) -> None:
    del tree
    assert place.parts
    index = random.randrange(len(place.parts))
    inner = place.parts[index]
    if random.random() < 0.2:
        encoded = inner.write()
        for _ in range(400):
            encoded = b"\x30" + shortest(len(encoded)) + encoded
        place.parts[index] = Tree(tag=b"\x30", content=encoded)
    else:
        place.parts[index] = Tree(tag=random.choice([b"\x30", b"\x31", b"\x04", b"\xa0"]), parts=[inner])


def _flatten(place: Tree, random: Random, _: Tree) -> None:
    assert place.parts
    index = random.randrange(len(place.parts))
    place.parts[index : index + 1] = place.parts[index].parts or []
