"""A writer of the log can forge records of any content: none ends a command, and none passes for a good record."""

import copy
import json
import math
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from tests.infra.audit.entries import of_function
from tests.unit.function.builders import authority
from tests.unit.function.configuration.test_configuration import document
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
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal's configuration document."""
    folder = tmp_path_factory.mktemp("configuration")
    for name in ("ca.pem", "cluster-ca.pem"):
        (folder / name).write_bytes(authority().pem)
    (folder / "function.json").write_text(json.dumps(document()))
    return folder / "function.json"


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
