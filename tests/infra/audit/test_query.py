"""The matcher of filters: it finds what Cloud Logging finds, and refuses what it does not know."""

from pathlib import Path
from typing import Any

import pytest

from tests.infra.audit.query import QueryError, compiled, rendered

ENTRY: dict[str, Any] = {
    "severity": "WARNING",
    "labels": {"log": "csr-signer"},
    "jsonPayload": {"event": "refused", "codes": ["a.b", "c.d"], "age_seconds": 12.5, "text": "x=1 (y)"},
}


@pytest.mark.parametrize(
    ("filter_", "matches"),
    [
        ('jsonPayload.event="refused"', True),
        ('jsonPayload.event="REFUSED"', True),
        ('jsonPayload.event="refuse"', False),
        ('jsonPayload.event:"fuse"', True),
        ('jsonPayload.event=("issued" OR "refused")', True),
        ('jsonPayload.codes="c.d"', True),
        ('jsonPayload.codes=("x" OR "y")', False),
        ("jsonPayload.age_seconds<=12.5", True),
        ("jsonPayload.age_seconds<12.5", False),
        ("jsonPayload.age_seconds>12 AND jsonPayload.age_seconds=12.5", True),
        ("jsonPayload.age_seconds>=13", False),
        ("jsonPayload.event>=13", False),
        ("jsonPayload.absent:*", False),
        ("jsonPayload.codes:*", True),
        ('jsonPayload.absent="x"', False),
        ('NOT jsonPayload.absent="x"', True),
        ('jsonPayload.event.deeper="x"', False),
        ("severity>=WARNING", True),
        ("severity>=ERROR", False),
        ('severity="WARNING"', True),
        ('jsonPayload.event=~"^ref"', True),
        ('jsonPayload.event=~"^REF"', False),
        ('jsonPayload.text="x=1 (y)" -- a comment (with AND', True),
        ('labels.log="csr-signer" AND (jsonPayload.event="issued" OR NOT severity>=ERROR)', True),
    ],
)
def test_a_filter_finds_what_it_should(filter_: str, matches: bool) -> None:  # noqa: FBT001 - what is expected
    """Missing fields match nothing, each element of a list counts, texts have no case, regular expressions do."""
    assert compiled(filter_)(ENTRY) is matches


@pytest.mark.parametrize(
    "filter_",
    [
        "",
        'jsonPayload.event="a" jsonPayload.event="b"',
        'jsonPayload.event="a" AND jsonPayload.event="b" OR severity=ERROR',
        'jsonPayload.event!="a"',
        'jsonPayload.event!~"a"',
        "jsonPayload.event=refused",
        'jsonPayload.event="a',
        'event="a"',
        "jsonPayload.event",
        'jsonPayload.event=("a" AND "b")',
        'jsonPayload.event=("a" OR )',
        "jsonPayload.event=AND",
        'jsonPayload.event>"a"',
        "jsonPayload.event=~5",
        "jsonPayload.event=*",
        "severity>=BAD",
        "severity:ERROR",
        "(severity>=ERROR",
        "NOT",
        'sample(insertId, 0.1) AND severity="ERROR"',
        "jsonPayload.event=1x",
        f'jsonPayload.event="{"x" * 20_000}"',
    ],
)
def test_an_unsupported_filter_is_an_error(filter_: str) -> None:
    """The matcher does not treat a filter that it cannot parse as one without matches."""
    with pytest.raises(QueryError):
        compiled(filter_)


def test_a_file_is_filled_in_as_terraform_does(tmp_path: Path) -> None:
    """Names in braces have values, or it fails; a lone dollar sign is one."""
    path = tmp_path / "filter.txt"
    path.write_text('jsonPayload.event=~"^${event}$"')
    assert rendered(path, {"event": "issued"}) == 'jsonPayload.event=~"^issued$"'
    with pytest.raises(KeyError):
        rendered(path, {})
