"""Records come from files, standard input, or gcloud; each other input is one line that says what to give."""

import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from signerctl import log_bucket
from signerctl.interface.durations import age
from tests.infra.audit.entries import of_exporter, of_function
from tests.unit.signerctl.recorded.journal import Journal
from tests.unit.signerctl.stage import signerctl

BUCKET = "projects/example-audit/locations/europe-west1/buckets/csr-signer-audit"
PROGRAM = f"""#!{sys.executable}
import json, sys
folder = {{folder!r}}
json.dump(sys.argv[1:], open(folder + "/arguments.json", "w"))
{{action}}
"""


@pytest.fixture
def gcloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is alone on PATH; `install` puts a gcloud into it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(folder: Path, action: str) -> None:
    """Puts a program that notes its arguments, and then does one thing, where gcloud is expected."""
    program = folder / "gcloud"
    program.write_text(PROGRAM.format(folder=str(folder), action=action), encoding="utf-8")
    program.chmod(0o755)


def printing(folder: Path, text: str) -> None:
    """Installs a gcloud that prints a text."""
    (folder / "output").write_text(text, encoding="utf-8")
    install(folder, 'print(open(folder + "/output").read())')


def failed(*arguments: str | Path, stdin: str | None = None) -> str:
    """Returns the one line of a command that fails."""
    result = signerctl(*arguments, stdin=stdin)
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    return line


def test_gcloud_fetches_the_records_of_a_log_bucket(gcloud: Path) -> None:
    """The command of docs/audit.md, without a shell: bucket, view, project, period, and only the needed events."""
    journal = Journal()
    uid = journal.refuse("calico-node-x")
    printing(gcloud, json.dumps(of_function(journal.lines), indent=2))
    result = signerctl("denied", "--log-bucket", BUCKET, "--since", "1h", "--json")
    assert result.exit_code == 0, result.output
    assert [item["csr_uid"] for item in json.loads(result.stdout)["items"]] == [uid]
    assert json.loads((gcloud / "arguments.json").read_text()) == [
        *("logging", "read"),
        'resource.type="cloud_run_revision" AND labels.log="csr-signer" AND jsonPayload.event=("refused")',
        *("--bucket=csr-signer-audit", "--location=europe-west1", "--view=_AllLogs", "--project=example-audit"),
        *("--freshness=3600s", "--format=json"),
    ]


def test_a_period_without_records_is_no_error(gcloud: Path) -> None:
    """Gcloud then prints an empty array. Without --since, the period is a day."""
    printing(gcloud, "[]")
    result = signerctl("list", "--log-bucket", BUCKET)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no certificate in the records\n")
    arguments = json.loads((gcloud / "arguments.json").read_text())
    assert "--freshness=86400s" in arguments
    assert 'jsonPayload.event=("intent" OR "issued" OR "ignored")' in arguments[2]


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
def test_a_cluster_without_records_of_the_period_is_known(gcloud: Path, *, is_known: bool) -> None:
    """Without a refusal in the last hour it is in none of the records, so gcloud asks for its newest record."""
    journal = Journal()
    journal.refuse("calico-node-x")
    (gcloud / "newest").write_text(json.dumps(of_function(journal.lines) if is_known else []), encoding="utf-8")
    printing(gcloud, json.dumps(of_function(journal.lines)))
    install(gcloud, 'print(open(folder + ("/newest" if "--limit=1" in sys.argv else "/output")).read())')
    result = signerctl("denied", "--log-bucket", BUCKET, "--since", "1h", "--cluster", 'pr"od')
    message = 'error: --cluster: Unsupported value: "pr\\"od": supported values: "demo"\n'
    expected = (0, "no refusal in the records\n") if is_known else (1, message)
    assert (result.exit_code, result.stderr) == expected
    arguments = json.loads((gcloud / "arguments.json").read_text())
    assert arguments[2].endswith(r'labels.log="csr-signer" AND jsonPayload.cluster="pr\"od"')
    assert f"--freshness={400 * 86400}s" in arguments


def test_expiring_reads_the_lifetime_of_a_certificate(gcloud: Path) -> None:
    """A day of records holds no certificate that expires soon. An empty table says how many pods it is about."""
    printing(gcloud, "[]")
    result = signerctl("expiring", "--log-bucket", BUCKET)
    assert result.exit_code == 0
    assert "the records have certificates of 0 pods" in result.stderr
    assert f"--freshness={400 * 86400}s" in json.loads((gcloud / "arguments.json").read_text())


def test_without_gcloud_the_error_says_what_to_do(gcloud: Path) -> None:
    """Records can be fetched elsewhere."""
    assert not list(gcloud.iterdir())
    line = failed("list", "--log-bucket", BUCKET)
    assert line.startswith("error: --log-bucket: Forbidden: the program gcloud is not on PATH")
    assert "--records" in line


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (
            'sys.exit("ERROR: (gcloud.logging.read) PERMISSION_DENIED: \\x1b[31m" + "x" * 10**5)',
            "error: gcloud: exit status 1: ERROR: (gcloud.logging.read) PERMISSION_DENIED: \\x1b[31mxxx",
        ),
        ('print("not JSON")', "error: gcloud: the output is not JSON of log entries: "),
        ('print("[{}")', "error: gcloud: the output is not JSON of log entries: the array has no end"),
        ('print("[" + "{\\"a\\":" * 10**5)', "error: gcloud: the output is not JSON of log entries: must be an object"),
    ],
    ids=["fails", "no JSON", "cut", "deep"],
)
def test_a_gcloud_that_fails_is_one_line(gcloud: Path, action: str, message: str) -> None:
    """With the start of its own message, escaped."""
    install(gcloud, action)
    line = failed("list", "--log-bucket", BUCKET)
    assert line.startswith(message)
    assert len(line) < 1024


def test_a_gcloud_that_does_not_end_is_killed(gcloud: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Perhaps the period is too long, or the network hangs."""
    monkeypatch.setattr(log_bucket, "GCLOUD_SECONDS", 0.1)
    install(gcloud, "while True: pass")
    message = "error: gcloud: no end after 0.1 s: choose a shorter period with --since"
    assert failed("list", "--log-bucket", BUCKET) == message


@pytest.mark.parametrize("name", ["csr-signer-audit", f"{BUCKET}/views/_AllLogs", f"{BUCKET} --impersonate=x"])
def test_a_bucket_has_its_full_name(gcloud: Path, name: str) -> None:
    """As Terraform names it."""
    assert failed("list", "--log-bucket", name).endswith("must be projects/P/locations/L/buckets/B")
    assert not list(gcloud.iterdir())


@pytest.mark.parametrize(
    "content",
    ["", "[", "hello\n", '{"message": "other"}', "\x00\xff{", json.dumps(of_exporter(['{"event": "issued"}']))],
    ids=["empty", "cut array", "text", "another object", "binary", "of an exporter"],
)
def test_a_file_without_records_is_refused(tmp_path: Path, content: str) -> None:
    """It is another file than the operator meant; an empty answer would look like good news."""
    path = tmp_path / "other.log"
    path.write_text(content, encoding="latin-1")
    for command in ("list", "expiring", "denied"):
        assert "must hold the function's records" in failed(command, "--records", path)
    assert '--records: Invalid value: "-"' in failed("list", "--records", "-", stdin=content)


@pytest.mark.parametrize("content", ["[]", "[\n]\n", "[][]"])
def test_an_empty_array_has_no_records(content: str) -> None:
    """Gcloud prints it if there are no entries."""
    for command, what in (("list", "certificate"), ("denied", "refusal")):
        result = signerctl(command, "--records", "-", stdin=content)
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"no {what} in the records\n")
    assert "of 0 pods" in signerctl("expiring", "--records", "-", stdin=content).stderr


def test_a_record_without_its_fields_is_named_and_skipped() -> None:
    """A hand-edited record is not taken for another one, and the exit status says that the result lacks it."""
    result = signerctl("list", "--records", "-", stdin='{"event": "issued", "csr_uid": "u", "time": "today"}')
    assert (result.exit_code, result.stdout) == (1, "")
    first, *others = result.stderr.splitlines()
    assert first.startswith('warning: skipped a malformed record (event "issued", csr_uid "u"): time: Invalid value: ')
    assert others == [
        "no certificate in the records",
        "error: malformed records: 1 skipped: the command did not use them",
    ]


def test_a_source_is_required() -> None:
    """A command without one would wait for the terminal."""
    result = signerctl("denied")
    assert result.exit_code == 2
    assert "--records: Required value: a file, - for standard input; or give --log-bucket" in result.stderr


@pytest.mark.parametrize("value", ["1", "1w", "-1h", "0h", "h", "1.5h", "9" * 99 + "h", "1h30m"])
def test_a_duration_has_one_number_and_one_unit(value: str) -> None:
    """As in a profile; seconds too."""
    result = signerctl("denied", "--records", os.devnull, "--since", value)
    assert result.exit_code == 2
    assert "--since: Invalid value: " in result.stderr
    assert "must be a whole number with a unit, for example 30d, 12h, 15m" in result.stderr


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (12_300, "3h25m"),
        (28_800, "8h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (180_000, "2d2h"),
        (691_200, "8d"),
        (63_071_999, "729d"),
        (63_072_000, "2y"),
        (70_000_000, "2y80d"),
        (300_000_000, "9y"),
        (-150, "-2m30s"),
    ],
)
def test_ages_are_those_of_kubectl(seconds: int, text: str) -> None:
    """The rows of duration_test.go in k8s.io/apimachinery, and a clock that is behind."""
    assert age(timedelta(seconds=seconds)) == text
