"""`signerctl list`, `expiring` and `denied` answer from records."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from signerctl.recorded import Certificate, CertificateRecord, certificates
from signerctl.recorded.entries import Json
from tests.infra.audit.entries import of_function
from tests.unit.function.builders import SIGNER_NAME, make_signer
from tests.unit.signerctl.answers import answering
from tests.unit.signerctl.recorded.journal import Journal
from tests.unit.signerctl.renewal.cluster import PODS, pod_object
from tests.unit.signerctl.stage import signerctl

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
OTHER_LINE = "lines that are not JSON objects: 1 skipped\n"
"""What a command says about the first line of a written journal."""


@pytest.fixture
def journal() -> Journal:
    """An empty journal."""
    return Journal()


def items(command: str, *arguments: str | Path, stdin: str | None = None) -> list[dict[str, Any]]:
    """Returns the items that a command prints as JSON."""
    result = signerctl(command, *arguments, "--json", stdin=stdin)
    assert (result.exit_code, result.stderr.removesuffix(OTHER_LINE)) == (0, "")
    found: list[dict[str, Any]] = json.loads(result.stdout)["items"]
    return found


def table(command: str, *arguments: str | Path) -> list[list[str]]:
    """Returns the cells of a table."""
    result = signerctl(command, *arguments)
    assert (result.exit_code, result.stderr) == (0, OTHER_LINE)
    return [line.split("   ") for line in result.stdout.splitlines()]


def listed(*records: Json) -> list[Certificate]:
    """Returns the certificates in records."""
    return certificates(map(CertificateRecord.of, records))


def cells(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Returns the cells without the spaces between the columns."""
    return [[cell.strip() for cell in row if cell.strip()] for row in rows]


def test_list_says_what_was_issued_to_whom(journal: Journal, tmp_path: Path) -> None:
    """Pod, component, name, key kind, and times as kubectl shows them; the newest first."""
    journal.issue("calico-node-old", ago=3 * DAY)
    journal.issue("calico-node-new", ago=2 * HOUR)
    journal.refuse("calico-node-bad")
    path = journal.write(tmp_path / "function.log")
    heading, *rows = cells(table("list", "--records", path))
    assert heading == ["POD", "COMPONENT", "NAME", "KEY", "AGE", "EXPIRES IN"]
    assert rows == [
        ["calico-system/calico-node-new", "calico-node", "typha-client", "P-256", "120m", "364d"],
        ["calico-system/calico-node-old", "calico-node", "typha-client", "P-256", "3d", "361d"],
    ]


def test_list_for_programs_has_every_fact(journal: Journal, tmp_path: Path) -> None:
    """With RFC 3339 times; JSON and YAML say the same."""
    uid = journal.issue("calico-node-x", ago=HOUR)
    path = journal.write(tmp_path / "function.log")
    (item,) = items("list", "--records", path)
    assert item["csr_uid"] == uid
    assert item["dns_names"] == ["typha-client"]
    assert item["requester"] == "system:serviceaccount:calico-system:calico-node"
    assert datetime.fromisoformat(item["not_after"]) - datetime.fromisoformat(item["issued"]) == 365 * DAY
    printed = signerctl("list", "--records", path, "-o", "yaml").stdout
    assert yaml.safe_load(printed) == {"items": [item]}


def test_a_certificate_that_its_killed_function_did_not_record_is_listed(journal: Journal) -> None:
    """A later record says that the CSR holds the certificate of the intent."""
    journal.issue("calico-node-x")
    intent, issued = map(json.loads, journal.lines)
    ignored = {name: issued[name] for name in ("time", "csr_uid", "cluster", "signer_name", "tbs_sha256")}
    assert listed(intent) == []
    (found,) = listed(ignored | {"event": "ignored"}, intent)
    assert found.pod == "calico-system/calico-node-x"
    assert listed(intent, issued, intent, ignored | {"event": "ignored"}) == listed(issued)


def test_the_whole_name_and_username_are_listed(journal: Journal) -> None:
    """A record cuts them after 128 characters, its inputs do not."""
    pod = "calico-node-" + "x" * 200
    journal.issue(pod)
    (found,) = listed(*map(json.loads, journal.lines))
    assert found.csr_name == f"node-certs:{pod}"
    assert journal.lines[0].count("...") == 1


def test_cluster_and_signer_choose_records(tmp_path: Path) -> None:
    """One log bucket has the records of all clusters."""
    prod, test = Journal(signer=make_signer(cluster="prod")), Journal(signer=make_signer(cluster="test"))
    prod.issue("calico-node-prod")
    test.issue("calico-node-test")
    path = tmp_path / "entries.json"
    path.write_text(json.dumps(of_function([*prod.lines, *test.lines])), encoding="utf-8")
    assert len(items("list", "--records", path)) == 2
    (item,) = items("list", "--records", path, "--cluster", "test")
    assert item["pod"] == "calico-system/calico-node-test"
    assert items("denied", "--records", path, "--cluster", "test") == []


@pytest.mark.parametrize("command", ["list", "expiring", "denied"])
@pytest.mark.parametrize(
    ("option", "name", "supported"),
    [("--cluster", "prdo", '"prod", "test"'), ("--signer", "example.com/other", f'"{SIGNER_NAME}"')],
    ids=["cluster", "signer"],
)
def test_a_name_that_no_record_has_is_refused(command: str, option: str, name: str, supported: str) -> None:
    """An empty list would look like good news. Without any record, no name is wrong."""
    journals = [Journal(signer=make_signer(cluster=cluster)) for cluster in ("prod", "test")]
    for each in journals:
        each.issue("calico-node-x", ago=DAY)
    lines = "\n".join(line for each in journals for line in each.lines)
    for period in ((), ("--since", "1h")):
        result = signerctl(command, "--records", "-", option, name, *period, stdin=lines)
        message = f'error: {option}: Unsupported value: "{name}": supported values: {supported}\n'
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", message)
    assert items(command, "--records", "-", option, name, stdin="[]") == []


def test_records_come_from_several_files_and_standard_input(journal: Journal, tmp_path: Path) -> None:
    """The same record in two of them counts once."""
    journal.issue("calico-node-x")
    path = journal.write(tmp_path / "function.log")
    assert len(items("list", "--records", path, "--records", "-", stdin="\n".join(journal.lines))) == 1
    assert len(items("list", "--records", "-", stdin="\n".join(journal.lines))) == 1


def test_expiring_lists_what_ends_within_the_period(journal: Journal, tmp_path: Path) -> None:
    """Expired ones too; the next one first."""
    journal.issue("calico-node-later", lifetime=40 * DAY)
    journal.issue("calico-node-soon", lifetime=20 * DAY)
    journal.issue("calico-node-sooner", lifetime=2 * DAY)
    journal.issue("calico-node-over", ago=3 * DAY, lifetime=DAY)
    path = journal.write(tmp_path / "function.log")
    pods = [item["pod"].rpartition("-")[2] for item in items("expiring", "--records", path)]
    assert pods == ["over", "sooner", "soon"]
    (item,) = items("expiring", "--records", path, "--within", "12h")
    assert item["pod"].endswith("over")
    rows = cells(table("expiring", "--records", path, "--within", "12h"))
    assert rows[1][-1] == "expired"


def test_expiring_counts_only_a_pods_latest_certificate(journal: Journal, tmp_path: Path) -> None:
    """A pod that got a later one needs nothing; the order of the records does not matter."""
    journal.issue("calico-node-x", ago=29 * DAY, lifetime=30 * DAY)
    journal.issue("calico-node-x", ago=DAY, lifetime=300 * DAY)
    path = journal.write(tmp_path / "function.log")
    assert items("expiring", "--records", path) == []
    journal.lines.reverse()
    assert items("expiring", "--records", journal.write(path)) == []


def test_a_restarted_pod_does_not_hide_the_certificate_in_its_secret(journal: Journal, tmp_path: Path) -> None:
    """Goldmane's newest certificate is listed while it has any pod; a pod takes its own certificate with it."""
    journal.issue("calico-node-1", ago=20 * DAY, lifetime=30 * DAY)
    journal.issue("calico-node-2", ago=10 * DAY, lifetime=200 * DAY)
    lines = [line.replace("node-certs:", "goldmane-key-pair:") for line in journal.lines]
    journal.lines = [line.replace("calico-node", "goldmane") for line in lines]
    journal.issue("calico-node-gone", ago=9 * DAY, lifetime=30 * DAY)
    path = journal.write(tmp_path / "function.log")
    with answering() as answers:
        arguments = ("expiring", "--records", path, "--kubeconfig", answers.kubeconfig(tmp_path))
        pod = pod_object("goldmane-3", spec__serviceAccountName="goldmane")
        answers.prepared[f"GET {PODS}"] = 200, {"items": [pod, pod_object("calico-node-new")]}
        assert [item["pod"] for item in items(*arguments, "--within", "400d")] == ["calico-system/goldmane-2"]
        assert items(*arguments) == []
        answers.prepared[f"GET {PODS}"] = 200, {"items": []}
        assert items(*arguments, "--within", "400d") == []
    assert {path for _, path, *_ in answers.received} == {PODS}


def test_a_kubeconfig_is_of_one_cluster(tmp_path: Path) -> None:
    """The pods of prod say nothing about test's certificates, even if none of prod expires."""
    prod, test = (Journal(signer=make_signer(cluster=cluster)) for cluster in ("prod", "test"))
    prod.issue("calico-node-prod")
    test.issue("calico-node-test", lifetime=DAY)
    with answering() as answers:
        arguments = ("expiring", "--records", "-", "--kubeconfig", answers.kubeconfig(tmp_path))
        result = signerctl(*arguments, stdin="\n".join([*prod.lines, *test.lines]))
    message = "--cluster: Required value: must choose the kubeconfig's cluster, because the records are of prod, test"
    assert (result.exit_code, result.stderr) == (1, f"error: {message}\n")


def test_denied_groups_what_one_pod_repeats(journal: Journal, tmp_path: Path) -> None:
    """A table has one line for a pod that tries again and again; JSON has each refusal."""
    for minutes in (50, 30, 10):
        journal.refuse("calico-node-a", ago=timedelta(minutes=minutes))
    journal.refuse("calico-node-b", ago=timedelta(minutes=20))
    journal.refuse("calico-node-a", ago=2 * HOUR)
    path = journal.write(tmp_path / "function.log")
    heading, *rows = cells(table("denied", "--records", path, "--since", "1h"))
    assert heading == ["LAST", "COUNT", "REQUESTER", "POD", "REASON", "CODES"]
    account = "system:serviceaccount:calico-system:calico-node"
    what = ["NameNotAllowed", "request_name.not_allowed"]
    assert rows == [
        ["10m", "3", account, "calico-system/calico-node-a", *what],
        ["20m", "1", account, "calico-system/calico-node-b", *what],
    ]
    assert len(items("denied", "--records", path, "--since", "1h")) == 4
    assert len(items("denied", "--records", path)) == 5


def test_denied_says_what_would_have_been_allowed(journal: Journal, tmp_path: Path) -> None:
    """The whole text in wide and JSON, and nothing that a terminal interprets."""
    journal.refuse("calico-node-a", name="\x1b[31mred")
    path = journal.write(tmp_path / "function.log")
    (item,) = items("denied", "--records", path)
    assert 'supported values: "node-certs:calico-node-a"' in item["violations"]
    assert item["csr_name"] == "\x1b[31mred"
    wide = signerctl("denied", "--records", path, "-o", "wide").stdout
    assert 'supported values: "node-certs:calico-node-a"' in wide
    assert "\x1b" not in wide


@pytest.mark.parametrize("command", ["list", "expiring", "denied"])
def test_nothing_to_list_is_no_error(journal: Journal, tmp_path: Path, command: str) -> None:
    """A table without rows is empty, as a list for programs is."""
    journal.issue("calico-node-x", ago=DAY)
    path = journal.write(tmp_path / "function.log")
    assert signerctl(command, "--records", path, "--since", "1h").stdout == ""
    assert items(command, "--records", path, "--since", "1h") == []
