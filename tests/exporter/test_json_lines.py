"""Cutting a stream into lines, however it arrives."""

from __future__ import annotations

import json
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csr_exporter.csr import MalformedError
from csr_exporter.json_lines import LineSplitter, parse_list, parse_object

LIMIT = 64


def _lines(*chunks: bytes) -> tuple[list[bytes], int]:
    splitter = LineSplitter(LIMIT)
    return [line for chunk in chunks for line in splitter.feed(chunk)], splitter.dropped


@given(
    lines=st.lists(
        st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=16).map(str.strip)
    ),
    cuts=st.lists(st.integers(min_value=0, max_value=400)),
    end=st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\n\r\n"]),
)
def test_row_10_any_cut_gives_the_same_lines(lines: list[str], cuts: list[int], end: bytes) -> None:
    """UTF-8 sequences, CRLF and lines cut anywhere come out whole, empty lines not at all."""
    whole = b"".join(line.encode() + end for line in lines)
    places = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    chunks = [whole[start:stop] for start, stop in pairwise(places)]
    expected = [line.encode().strip() for line in lines]
    assert _lines(*chunks) == ([line for line in expected if line], 0)


def test_a_line_without_end_is_no_line() -> None:
    """What the end of the connection cuts is not given out."""
    assert _lines(b"one\ntw", b"o") == ([b"one"], 0)


def test_a_line_of_the_limit_passes() -> None:
    """The limit itself is allowed."""
    assert _lines(b"x" * LIMIT + b"\n") == ([b"x" * LIMIT], 0)


def test_a_longer_line_is_dropped_and_counted() -> None:
    """It does not disturb what comes before and after it, in one chunk or in many."""
    long = b"x" * (LIMIT + 1)
    assert _lines(b"a\n" + long + b"\nb\n") == ([b"a", b"b"], 1)
    assert _lines(b"a\n", *[long[i : i + 1] for i in range(len(long))], b"\nb\n") == ([b"a", b"b"], 1)


def test_a_line_that_never_ends_takes_no_memory() -> None:
    """However much of a line comes, no more than the limit is kept."""
    splitter = LineSplitter(LIMIT)
    for _ in range(1000):
        assert list(splitter.feed(b"x" * 1000)) == []
    assert list(splitter.feed(b"\nend\n")) == [b"end"]
    assert splitter.dropped == 1


def test_of_what_is_too_deep_32_levels_are_kept() -> None:
    """Objects and lists alike; beside them, and in texts, nothing changes."""
    text = '[{"' * 3000 + "\\" * 3 + '"}]'
    head = json.dumps({"before": text, "shallow": [[1]]})[:-1]
    read = parse_object(f'{head}, "deep": {"[" * 50_000 + "]" * 50_000}, "after": {json.dumps([text])}}}'.encode())
    deep, levels = read.pop("deep"), 1
    while isinstance(deep, list):
        (deep,) = deep
        levels += 1
    assert (levels, deep) == (32, None)
    assert read == {"before": text, "shallow": [[1]], "after": [text]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[",
        b"{" * 50_000,
        b'{"a":' * 50_000 + b'"',
        b'{"a":' * 50_000 + b"}" * 49_999,
        b'{"a":' * 50_000 + b"}" * 50_001,
        b'{"a":"' + b"[" * 50_000,
        b"[" * 50_000 + b"]" * 50_000,
        b"\xff",
    ],
)
def test_garbage_stays_garbage(data: bytes) -> None:
    """Also where it is deep, and where only the document around it is no object."""
    with pytest.raises(MalformedError):
        parse_object(data)


def test_a_deep_document_with_long_texts_costs_a_few_times_its_size() -> None:
    """Whoever can nest can also write texts of megabytes, full of escapes: no state is kept for each of their bytes."""
    data = b'{"a":' * 50_000 + b'"' + b"\\u003c" * 500_000 + b'"' + b"}" * 50_000
    tracemalloc.start()
    try:
        assert "a" in parse_object(data)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(data)
    finally:
        tracemalloc.stop()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(
    document=st.dictionaries(st.text(max_size=4), JSON, max_size=4),
    items=JSON,
    end=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
def test_a_list_is_read_as_json_is(
    document: dict[str, object], items: object, *, end: bool, indent: int | None
) -> None:
    """Whatever is in it and however it is written; only a list's items go through the reader, each once."""
    whole = document | {"items": items} if end else {"items": items} | document
    seen = []

    def read(item: object) -> object:
        seen.append(item)
        return [item]

    result = parse_list(json.dumps(whole, indent=indent).encode(), read)
    if isinstance(whole["items"], list):
        assert result == whole | {"items": [[item] for item in whole["items"]]}
        assert seen == whole["items"]
    else:
        assert result == whole


@pytest.mark.parametrize("data", [b"", b"[]", b"5", b"{5:1}", b"{,}", b'{"a":1}x', b'{"items":[1', b"\xff"])
def test_what_is_no_object_is_no_list(data: bytes) -> None:
    """Nothing is read from half a document."""
    with pytest.raises(MalformedError):
        parse_list(data, lambda item: item)


def test_a_list_takes_little_more_than_its_text() -> None:
    """Of 500 CSRs only one at a time is there as objects."""
    item: dict[str, object] = {"metadata": {f"key{n}": {"f:x": {}} for n in range(200)}}
    data = json.dumps({"items": [item] * 500}).encode()
    tracemalloc.start()
    try:
        assert parse_list(data, lambda _: None)["items"] == [None] * 500
        assert tracemalloc.get_traced_memory()[1] < 1.2 * len(data)
    finally:
        tracemalloc.stop()
