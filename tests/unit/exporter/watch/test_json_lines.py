"""Cutting a stream into lines, however it arrives."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from csr_exporter.watch.stream import LineSplitter

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
def test_any_cut_gives_the_same_lines(lines: list[str], cuts: list[int], end: bytes) -> None:
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
