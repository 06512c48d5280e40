"""Records are read from every form in which an operator has them, and each counts once."""

import io
import json
from typing import Any, Final

import pytest

from signerctl.recorded.entries import once, read, record_of
from tests.infra.audit.entries import of_exporter, of_function

RECORDS: Final[list[dict[str, Any]]] = [
    {
        "severity": "NOTICE",
        "time": f"2026-03-14T09:27:0{number}+00:00",
        "event": "issued",
        "csr_uid": f"uid-{number}",
        "names": [{"of": "[{"}, "é\u2028"],
        "logging.googleapis.com/insertId": f"id-{number}",
    }
    for number in range(5)
]
LINES: Final = [json.dumps(record) for record in RECORDS]
LOG: Final = "\n".join(
    [
        "[2026-03-14 09:27:00 +0000] [7] [INFO] Starting gunicorn",
        LINES[0],
        "",
        "{'not': 'json'}",
        *LINES[1:3],
        "Traceback (most recent call last):",
        "[{oops",
        '{"cut": "off',
        *LINES[3:],
        "[",
        "12",
    ]
)


class Slow(io.StringIO):
    """A text that comes in small pieces, as through a pipe."""

    def read(self, size: int | None = -1, /) -> str:
        """Returns one piece."""
        return super().read(min(size or 7, 7))


@pytest.mark.parametrize("kind", [io.StringIO, Slow], ids=["at once", "in pieces"])
@pytest.mark.parametrize(
    "text",
    [
        "\n".join(LINES),
        json.dumps(RECORDS),
        json.dumps(RECORDS, indent=2),
        "\n".join(json.dumps(record, indent=1) for record in RECORDS),
        f"{json.dumps(RECORDS[:2])}\n{json.dumps(RECORDS[2:])}\n",
    ],
    ids=["lines", "array", "indented array", "indented objects", "two arrays"],
)
def test_objects_are_read_from_every_form(text: str, kind: type[io.StringIO]) -> None:
    """What the function prints, what gcloud prints, and what jq makes of both."""
    skipped: list[str] = []
    for skip in (None, skipped.append):
        assert list(read(kind(text), skip=skip)) == RECORDS
    assert skipped == []


@pytest.mark.parametrize("kind", [io.StringIO, Slow], ids=["at once", "in pieces"])
def test_other_lines_of_a_log_are_skipped(kind: type[io.StringIO]) -> None:
    """A log of a process holds other lines between the records; none of them hides a record, and each is told."""
    skipped: list[str] = []
    assert list(read(kind(LOG), skip=skipped.append)) == RECORDS
    assert skipped == [line for line in LOG.splitlines() if line not in ("", *LINES)]
    with pytest.raises(ValueError, match="must be an object"):
        list(read(kind(LOG)))


def test_a_cut_array_is_no_array() -> None:
    """A download that ended early must not look like a period with fewer entries."""
    for skip in (None, pytest.fail):
        with pytest.raises(ValueError, match="the array has no end"):
            list(read(io.StringIO(f"[{','.join(LINES)}"), skip=skip))


def test_attack_no_inner_object_of_an_entry_passes_for_a_record() -> None:
    """In an array, an entry that cannot be parsed ends the reading: its next line may be a forged record."""
    entry = {"jsonPayload": {"inner": RECORDS[:1], "deep": "DEEP"}}
    array = json.dumps([entry, *RECORDS], indent=2).replace('"DEEP"', "[" * 3000 + "]" * 3000)
    with pytest.raises(ValueError, match="levels"):
        list(read(io.StringIO(array), skip=pytest.fail))


def test_a_line_without_an_end_takes_bounded_memory() -> None:
    """An object that never ends is given up after a few megabytes."""
    endless = io.StringIO('{"a": "' + "x" * (24 << 20))
    with pytest.raises(ValueError, match="Unterminated"):
        next(read(endless))
    assert endless.tell() < 20 << 20


def test_an_entry_of_cloud_logging_is_the_same_record() -> None:
    """Cloud Run lifts some fields out of the record; `time` is put back."""
    for record, entry in zip(RECORDS, of_function(LINES), strict=True):
        read_back = record_of(entry) or {}
        for name in ("time", "event", "csr_uid", "names"):
            assert read_back[name] == record[name]


def test_an_exporters_line_is_no_record() -> None:
    """Its lines go into the same bucket, and its container's log is no log of Cloud Run."""
    assert [record_of(entry) for entry in of_exporter(LINES)] == [None] * len(LINES)


@pytest.mark.parametrize("entry", [{}, {"event": 5}, {"event": []}, {"event": "other"}, {"jsonPayload": []}], ids=str)
def test_other_objects_are_no_records(entry: dict[str, Any]) -> None:
    """They may stand in the same file."""
    assert record_of(entry) is None


def test_duplicates_count_once() -> None:
    """Also a record that one file has bare and another one as Cloud Logging's entry."""
    assert list(once([*RECORDS, *of_function(LINES), *RECORDS])) == RECORDS
    assert len(list(once([{"event": "issued"}, {"event": "issued"}]))) == 2  # without an id, nothing tells
