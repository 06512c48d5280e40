"""YAML documents: one reader, which says where something is wrong, what was got and what is allowed."""

import contextlib
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csr_signer.document import EACH_ONCE, NOT_EMPTY, STRICT, Duration, Network, matching, read
from csr_signer.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """A part."""

    __pydantic_config__: ClassVar = STRICT
    kind: Literal["a", "b"] = "a"
    length: Duration = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    """A document."""

    __pydantic_config__: ClassVar = STRICT
    name: str
    flag: bool = False
    number: int = 0
    parts: tuple[Inner, ...] = ()
    table: dict[str, Inner] = field(default_factory=dict)
    networks: tuple[Network, ...] = ()
    words: Annotated[tuple[Annotated[str, matching("[a-z]+", "must be a word")], ...], NOT_EMPTY, EACH_ONCE] = ()
    meanings: dict[Annotated[str, matching("[a-z]+", "must be a word")], str] = field(default_factory=dict)


def written(folder: Path, text: str | bytes) -> Path:
    """A file of that text."""
    path = folder / "document.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_document_is_a_value(tmp_path: Path) -> None:
    """Lists become tuples, mappings become values, and what is absent has its default."""
    path = written(tmp_path, "name: x\nflag: true\nparts: [{kind: b}, {length: 12h}]\ntable: {k: {length: 365d}}\n")
    assert read(Outer, path) == Outer(
        name="x",
        flag=True,
        parts=(Inner(kind="b"), Inner(length=timedelta(hours=12))),
        table={"k": Inner(length=timedelta(days=365))},
    )


@pytest.mark.parametrize(
    ("text", "length"), [("1m", timedelta(minutes=1)), ("999999h", timedelta(hours=999_999)), ("30d", timedelta(30))]
)
def test_durations(tmp_path: Path, text: str, length: timedelta) -> None:
    """A whole number with its unit."""
    assert read(Inner, written(tmp_path, f"length: {text}")).length == length


@pytest.mark.parametrize("text", ["5", "0m", "-1d", "1.5h", "1s", "1 d", "1d ", "d", "P1D", "1000000d", "null", "[1d]"])
def test_no_duration_is(tmp_path: Path, text: str) -> None:
    """Anything else is refused with the key and an example of what is allowed."""
    with pytest.raises(
        ConfigurationError, match=r"length: Invalid value: .*: must be a whole number with a unit .*365d"
    ):
        read(Inner, written(tmp_path, f"length: '{text}'" if text.endswith(" ") else f"length: {text}"))


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.0/8", ip_network("10.0.0.0/8")),
        ("0.0.0.0/0", ip_network("0.0.0.0/0")),
        ("192.0.2.1/32", ip_network("192.0.2.1/32")),
        ("fd00:1::/32", ip_network("fd00:1::/32")),
        ("::ffff:10.0.0.0/104", ip_network("::ffff:10.0.0.0/104")),
    ],
)
def test_networks(tmp_path: Path, text: str, network: IPv4Network | IPv6Network) -> None:
    """An address with the length of its prefix, of either family."""
    assert read(Outer, written(tmp_path, f"name: x\nnetworks: ['{text}']")).networks == (network,)


@pytest.mark.parametrize(
    "text",
    [
        *("10.0.0.0", "10.0.0.0/", "10.0.0.0/8\\n", "10.0.0.0/255.0.0.0", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/33"),
        *("fe80::%eth0/64", "FD00::/8", "fd00::/129", "10.0.0.1/8", "300.0.0.0/8", "1.2.3/24", "::1::/64", "x/8"),
    ],
)
def test_no_network_is(tmp_path: Path, text: str) -> None:
    """Anything else is refused with its place: host bits and other spellings could hide what is meant."""
    with pytest.raises(ConfigurationError, match=r"networks\[0\]: "):
        read(Outer, written(tmp_path, f'name: x\nnetworks: ["{text}"]'))


@pytest.mark.parametrize(
    ("violation", "text"),
    [
        (r"words: Invalid value: \[\]: must have at least one item", "words: []"),
        (r'words: Invalid value: \["a", "a"\]: must have each item once', "words: [a, a]"),
        (r'words\[1\]: Invalid value: "B": must be a word', "words: [a, B]"),
        (r'words\[0\]: Invalid value: "a\\n": must be a word', 'words: ["a\\n"]'),
        (r"words\[0\]: Invalid value: 5: must be a valid string", "words: [5]"),
        (r'meanings\.B: Invalid value: "B": must be a word', "meanings: {B: x}"),
        (r"meanings\.a: Invalid value: 5: must be a valid string", "meanings: {a: 5}"),
    ],
)
def test_a_rule_of_a_type_is_named_with_its_path(tmp_path: Path, violation: str, text: str) -> None:
    """So that a document's own types read as the library's do."""
    with pytest.raises(ConfigurationError, match=rf"^document\.yaml: {violation}$"):
        read(Outer, written(tmp_path, f"name: x\n{text}"))


@pytest.mark.parametrize(
    ("violation", "text"),
    [
        (r"the document: Invalid value: must be an object, not empty", ""),
        (r"the document: Invalid value: must be an object, not empty", "# only a comment\n"),
        (r"the document: Invalid value: must be an object, not a list", "- name"),
        # Such as a private key, given for a document by mistake: no message has a part of it.
        (r"the document: Invalid value: must be an object, not a text or a number", "-----BEGIN PRIVATE KEY-----"),
        (r"name: Required value", "flag: true"),
        (r"colour: Forbidden: unknown key", "name: x\ncolour: red"),
        (r"parts\[1\]\.colour: Forbidden: unknown key", "name: x\nparts: [{}, {colour: red}]"),
        (r'table\.k\.kind: Unsupported value: "c": supported values: "a", "b"', "name: x\ntable: {k: {kind: c}}"),
        (r"name: Invalid value: 5: must be a valid string", "name: 5"),
        (r'flag: Invalid value: "yes!": must be a valid boolean', "name: x\nflag: yes!"),
        (r"flag: Invalid value: 1: must be a valid boolean", "name: x\nflag: 1"),
        (r'number: Invalid value: "5": must be a valid integer', "name: x\nnumber: '5'"),
        (r"number: Invalid value: True: must be a valid integer", "name: x\nnumber: true"),
        (r'parts: Invalid value: "a": .*', "name: x\nparts: a"),
        (r'name: Invalid value: None: .*; flag: Invalid value: "x": .*', "name: null\nflag: x"),
        (r'duplicate key "name"', "name: x\nname: x"),
        (r'duplicate key "k"', "name: x\ntable: {k: {}, k: {}}"),
        (r"key 5 is not a string; put it in quotes", "name: x\ntable: {5: {}}"),
        (r"key True is not a string; put it in quotes", "name: x\non: {}"),
        (r'key \["a"\] is not a string', "name: x\n? [a]\n: b"),
        (r"key None is not a string", "name: x\n~: b"),
        (r"an alias is not allowed", "name: &a x\ntable: {k: *a}"),
        (r"must be valid YAML: .*line 2", "name: x\n\tflag: true"),
        # The line is not quoted: another file may hold a secret.
        (r"must be valid YAML: mapping values are not allowed here in line 1$", "token: secret: x"),
        (r"must be valid YAML", "name: [x"),
        (r"must be valid YAML", "name: x\n---\nname: y\n"),
        (r"must be valid YAML", "name: 2026-03-14"),
        (r"must be valid YAML", "name: !!python/object/apply:os.getcwd []"),
        (r"must be valid YAML", "name: !!binary aGVsbG8="),
        (r"must be valid YAML", "name: !!set {a}"),
        (r"must be valid YAML", "name: !custom x"),
        (r"must be valid YAML", "<<: {name: x}"),
        (r"must be valid YAML", b"name: \xff\xfe"),
        (r"must be valid YAML", b"name: \x00"),
        (r"must be valid YAML", "[" * 5_000),
        (r"must be valid YAML", "{a: " * 5_000),
        (r"must be valid YAML", "number: " + "1" * 10_000),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_refused_is(tmp_path: Path, violation: str, text: str | bytes) -> None:
    """The message names the file, the key, what was got and what is allowed, in one line."""
    with pytest.raises(ConfigurationError, match=violation) as raised:
        read(Outer, written(tmp_path, text))
    assert str(raised.value).startswith("document.yaml: ")
    assert "\n" not in str(raised.value)


def test_a_document_cannot_grow_when_it_is_read(tmp_path: Path) -> None:
    """Nine levels of nine aliases would be 387 million texts; the first alias ends the reading."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    with pytest.raises(ConfigurationError, match="an alias is not allowed"):
        read(Outer, written(tmp_path, "\n".join(levels)))


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    """An absent file, or a folder in its place."""
    with pytest.raises(ConfigurationError, match="cannot be read: "):
        read(Outer, tmp_path / name)


@settings(max_examples=50)
@given(text=st.binary(max_size=200))
def test_any_file_is_a_value_or_an_error(text: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No other exception leaves the reader."""
    path = written(tmp_path_factory.getbasetemp(), text)
    with contextlib.suppress(ConfigurationError):
        assert isinstance(read(Outer, path), Outer)
