"""Only the fields that a mask names are kept, of any JSON, however it arrives."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csr_exporter.csr import MalformedError, Mask
from csr_exporter.watch.stream import FieldReader, parse_object

KEYS = ["a", "b", "c"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**63, 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=12,
)
MASKS: st.SearchStrategy[Any] = st.recursive(
    st.none(),
    lambda inner: inner.map(lambda only: [only]) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)


def _masked(value: object, mask: Mask) -> object:
    """What is kept of a value: written once more, so that the two can be compared."""
    if isinstance(value, dict):
        known = mask if isinstance(mask, dict) else {}
        return {key: _masked(member, known[key]) for key, member in value.items() if key in known}
    if isinstance(value, list):
        return [_masked(each, mask[0]) for each in value] if isinstance(mask, list) else []
    return value


def _read(data: bytes, mask: Mask, size: int = 1 << 20) -> dict[str, object]:
    reader = FieldReader(mask)
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
    return reader.end()


@given(
    document=st.dictionaries(st.sampled_from(KEYS), JSON),
    mask=MASKS,
    size=st.integers(min_value=1, max_value=50),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
def test_what_the_mask_names_is_kept_and_nothing_else(
    document: dict[str, object], mask: Mask, size: int, *, ascii_only: bool, indent: int | None
) -> None:
    """Whatever else is there, however it is written, and wherever it is cut; a value of another type has no content."""
    data = json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode()
    assert _read(data, mask, size) == _masked(document, mask)


def test_the_last_of_equal_keys_is_kept() -> None:
    """As json does it; kube-apiserver writes none twice."""
    assert parse_object(b'{"a":1,"b":[1],"a":{"c":2},"b":[]}', {"a": {"c": None}, "b": [None]}) == {
        "a": {"c": 2},
        "b": [],
    }


@pytest.mark.parametrize("inner", [b"[", b'{"f:a":'])
@pytest.mark.parametrize("place", ["dropped", "kept"])
def test_depth_does_not_matter(inner: bytes, place: str) -> None:
    """Not even in a place of which something is kept."""
    close = (b"]" if inner == b"[" else b"}") * 200_000
    data = b'{"' + place.encode() + b'":' + inner * 200_000 + b"1" * (inner != b"[") + close + b',"a":[{"b":7}]}'
    read = parse_object(data, {"a": [{"b": None}], "kept": None})
    assert read.pop("a") == [{"b": 7}]
    assert read == ({} if place == "dropped" else {"kept": [] if inner == b"[" else {}})


def test_brackets_in_texts_are_none() -> None:
    """What is dropped ends where it ends."""
    text = '[{"' * 3000 + "\\" * 3 + '"}]'
    data = json.dumps({"x": [text], text: {text: text}, "a": text, "y": {"z": text}}).encode()
    assert parse_object(data, {"a": None}) == {"a": text}


def test_bytes_that_are_no_utf_8_become_question_marks() -> None:
    """kube-apiserver shows managedFields as a client wrote them; also where a block ends within a character."""
    data = b'{"f:\xff":{},"a":"\xf0\x9f\x94\x91\xf0\x9f","b":1}'
    for size in range(1, len(data) + 1):
        assert _read(data, {"a": None, "b": None}, size) == {"a": "\U0001f511??", "b": 1}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"null",
        b"5",
        b'"a"',
        b"[]",
        b"[",
        b"{",
        b"{" * 50_000,
        b'{"a":' * 50_000 + b'"',
        b'{"a":' * 50_000 + b"}" * 49_999,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
        b'{"a":"' + b"[" * 50_000,
        b"[" * 50_000 + b"]" * 50_000,
        b"\xff",
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"{}x",
        b"{}{}",
        b"{}\xc3",
        b"{,}",
        b'{"a":1,}',
        b'{"a":1 "b":2}',
        b'{"a" 1}',
        b"{5:1}",
        b'{"a":[1,]}',
        b'{"a":[}',
        b'{"a":01}',
        b'{"a":NaN}',
        b'{"a":tru}',
        b'{"a":"\n"}',
        b'{"a":"\\x"}',
        b'{"a":"\\udc00"}',
        b'{"a":1e400}',
        b'{"a":9223372036854775808}',
        b'{"a":' + b"9" * 5000 + b"}",
        b"/**/{}",
    ],
)
@pytest.mark.parametrize("mask", [{}, {"a": None}])
def test_what_is_no_json_object_is_malformed(data: bytes, mask: Mask) -> None:
    """Also where nothing of it would be kept; what the API server never writes, a number that no field takes, too."""
    with pytest.raises(MalformedError):
        parse_object(data, mask)
