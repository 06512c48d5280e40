"""A writer of the log can forge records of any content: none ends a command, and none passes for a good record.

A line that is not JSON is either what is left of a record, or another line of the process.
"""

import copy
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from tests.infra.audit.entries import of_function
from tests.unit.signerctl.recorded.journal import Journal
from tests.unit.signerctl.stage import signerctl

Path_ = tuple[str | int, ...]

HOSTILE: Final[Sequence[Any]] = (
    *(None, True, 0, 2**80, math.inf, math.nan, "", "\ud800", "../.."),
    *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59Z", "2026-03-14T09:27:00"),
    *([], [1], [[]], {}, {"x": []}),
    json.loads("[" * 300 + "]" * 300),
)
"""What takes the place of each field."""
INSERT_ID: Final = "logging.googleapis.com/insertId"


def paths(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Yields the path of each field, and of each first element of a list."""
    inner = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    for name, each in inner:
        yield (*path, name)
        yield from paths(each, (*path, name))


def mutations(lines: Sequence[str]) -> list[dict[str, Any]]:
    """Returns each record with one hostile field, and without the field."""
    found: list[dict[str, Any]] = []
    for record in map(json.loads, lines):
        for *above, name in paths(record):
            for number in range(len(HOSTILE) + 1):
                mutated = copy.deepcopy(record) | {INSERT_ID: f"hostile-{len(found)}"}
                inner: Any = mutated
                for each in above:
                    inner = inner[each]
                if number < len(HOSTILE):
                    inner[name] = HOSTILE[number]
                else:
                    del inner[name]
                found.append(mutated)
    return found


@pytest.fixture(scope="module")
def journal() -> Journal:
    """A certificate and a refusal."""
    found = Journal()
    found.issue("calico-node-good")
    found.refuse("calico-node-bad", ago=timedelta(hours=1))
    return found


@pytest.mark.parametrize(
    ("command", "honest", "lifted"),
    [("list", "issued", True), ("expiring", "issued", False), ("denied", "refused", False), ("replay", "", False)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_attack_a_record_with_any_hostile_field_is_named_and_skipped(
    tmp_path: Path, journal: Journal, configuration: Path, command: str, honest: str, *, lifted: bool
) -> None:
    """The honest records are listed, the exit status is 1, and standard error counts the malformed ones.

    For replay, each of the records that it read is replayed, is listed as without inputs, or is counted.
    """
    hostile = mutations(journal.lines)
    lines = [*map(json.dumps, hostile), *journal.lines]
    path = tmp_path / "records.json"
    path.write_text("\n".join(map(json.dumps, of_function(lines)) if lifted else lines))
    more = {"replay": ("--configuration", configuration), "expiring": ("--within", "400d")}.get(command, ())
    result = signerctl(command, "--records", path, "--json", *more)
    assert result.exit_code == 1
    *named, last = result.stderr.splitlines()
    skipped = int(re.fullmatch(r"error: malformed records: (\d+) skipped: the command did not use them", last)[1])  # type: ignore[index]
    assert skipped > len(HOSTILE)
    assert len(named) == 20
    assert all(line.startswith("warning: skipped a malformed record (event ") for line in named)
    answer = json.loads(result.stdout)
    if honest:
        uids = {json.loads(line)["csr_uid"] for line in journal.lines if json.loads(line)["event"] == honest}
        assert uids <= {item["csr_uid"] for item in answer["items"]}
        return
    decisions = [each for each in hostile if each.get("event") in ("intent", "refused") and each.get("csr_uid") != ""]
    assert answer["summary"]["decisions"] + answer["summary"]["without_inputs"] + skipped == len(decisions) + 2
    assert answer["summary"]["without_inputs"] == 2  # a record of each without the field, as before version 0.2.0


@pytest.mark.parametrize(
    "damage", [lambda line: line[:60], lambda line: f"2026-03-14T09:27:00Z {line}"], ids=["cut", "prefix"]
)
def test_a_line_that_may_be_a_record_is_named_and_counted(journal: Journal, damage: Callable[[str], str]) -> None:
    """The list lacks it, so the exit status is 1."""
    lines = "\n".join([damage(journal.lines[1]), *journal.lines])
    result = signerctl("list", "--records", "-", "--json", stdin=lines)
    named, last = result.stderr.splitlines()
    assert named.startswith('warning: skipped a line that may be a malformed record: "')
    assert named.endswith(": must be a JSON object")
    assert last == "error: malformed records: 1 skipped: the command did not use them"
    assert (result.exit_code, len(json.loads(result.stdout)["items"])) == (1, 1)


def test_other_lines_of_a_log_are_counted(journal: Journal) -> None:
    """They are no records, so the exit status is 0; JSON of other programs is no line to count."""
    others = ["Traceback (most recent call last):", "{'not': 'json'}", "12", '{"message": "other"}', '"csr_uid"']
    result = signerctl("list", "--records", "-", stdin="\n".join([*journal.lines, *others]))
    assert (result.exit_code, result.stderr) == (0, "lines that are not JSON objects: 4 skipped\n")
