"""What `signerctl renew` prints, and what it refuses; test_eviction.py has the replacement of one pod."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from signerctl.command_line import main
from tests.unit.signerctl.renewal.cluster import NOW, PODS, SIGNER
from tests.unit.signerctl.stage import logged, signerctl

if TYPE_CHECKING:
    from click.testing import Result

    from tests.unit.signerctl.renewal.cluster import Cluster

CALICO = ("--requesters", SIGNER, "365d", "calico-system/calico-node")
RECORD: dict[str, Any] = {
    **dict.fromkeys(("csr_name", "csr_uid", "requester", "cluster", "component", "common_name"), "any"),
    **dict.fromkeys(("public_key", "serial_number"), "any"),
    "event": "issued",
    "pod": "calico-system/any",
    "severity": "NOTICE",
    "time": "2026-01-01T00:00:00+00:00",
    "signer_name": SIGNER,
}


def renew(cluster: Cluster, *arguments: str) -> Result:
    """Runs the command."""
    return signerctl("renew", "--kubeconfig", cluster.kubeconfig, *CALICO, *arguments)


def records(folder: Path, ends: dict[str, int]) -> str:
    """Writes a record for each pod: a certificate of a year, which expires in that year."""
    lines = [
        RECORD
        | {"pod_uid": f"uid-{name}", "tbs_sha256": name}
        | {"not_before": f"{year - 1}-01-01T00:00:00+00:00", "not_after": f"{year}-01-01T00:00:00+00:00"}
        for name, year in ends.items()
    ]
    path = folder / "records.json"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return str(path)


def test_a_dry_run_lists_the_pods_and_evicts_none(cluster: Cluster) -> None:
    """The pod whose certificate expires first stands first."""
    started = datetime.now(UTC).replace(microsecond=0)
    cluster.add("calico-node-young", age=NOW - started)
    cluster.add("calico-node-old", age=timedelta(days=3650))
    result = renew(cluster, "--dry-run", "-o", "json")
    assert (result.exit_code, result.stderr) == (0, "2 pods hold certificates, 1 are due\n")
    old, young = json.loads(result.stdout)["items"]
    assert young == {
        "pod": "calico-system/calico-node-young",
        "owner": "DaemonSet/calico-node",
        "not_after": (started + timedelta(days=365)).isoformat(),
        "state": "not_due",
        "node": "node-1",
        "source": "pod_creation",
        "replacement": "",
    }
    assert (old["pod"], old["state"]) == ("calico-system/calico-node-old", "due")
    assert not cluster.evictions


def test_the_table_has_lists_columns(cluster: Cluster) -> None:
    """As those of `signerctl expiring`."""
    cluster.add("calico-node-old", age=timedelta(days=3650))
    heading, row = renew(cluster, "--dry-run", "-o", "wide").stdout.splitlines()
    titles = [each.strip() for each in heading.split("   ") if each.strip()]
    assert titles == ["POD", "OWNER", "EXPIRES IN", "STATE", "NODE", "NOT AFTER", "SOURCE", "REPLACEMENT"]
    assert "expired" in row
    assert "pod creation" in row


def test_records_decide_where_there_are_some(cluster: Cluster, tmp_path: Path) -> None:
    """A pod whose record expires later is not due, whatever its age."""
    for name in ("calico-node-1", "calico-node-2", "calico-node-3"):
        cluster.add(name, age=timedelta(days=3650))
    ends = {"calico-node-1": 2099, "calico-node-2": 2021, "calico-node-3": 2020}
    result = renew(cluster, "--dry-run", "-o", "json", "--records", records(tmp_path, ends))
    items = json.loads(result.stdout)["items"]
    assert [each["pod"][-1] for each in items if each["state"] == "due"] == ["3", "2"]
    assert {each["source"] for each in items} == {"record"}


def test_a_malformed_record_ends_with_1(cluster: Cluster, tmp_path: Path) -> None:
    """The list is made from the others."""
    cluster.add("calico-node-1", age=timedelta(days=3650))
    path = Path(records(tmp_path, {"calico-node-1": 2099}))
    path.write_text(path.read_text() + json.dumps(RECORD | {"not_after": "soon"}) + "\n")
    result = renew(cluster, "--dry-run", "-o", "json", "--records", str(path))
    assert result.exit_code == 1
    assert "error: malformed records: 1 skipped: the command did not use them" in result.stderr
    assert [each["state"] for each in json.loads(result.stdout)["items"]] == ["not_due"]


def test_a_run_renews_the_pods_that_are_due(cluster: Cluster) -> None:
    """Seconds pass in the cluster with each request for its pods."""
    cluster.add("calico-node-young", age=NOW - datetime.now(UTC))
    cluster.add("calico-node-old", age=timedelta(days=3650))
    every = cluster.lists

    def lists() -> tuple[int, object]:
        cluster.sleep(10)
        return every()

    cluster.lists = lists
    result = renew(cluster, "-o", "json")
    assert result.exit_code == 0, result.stderr
    (item,) = json.loads(result.stdout)["items"]
    assert (item["state"], item["replacement"]) == ("renewed", "calico-system/calico-node-old-new")


@pytest.mark.parametrize("log", [(), ("--log-format", "json")], ids=["text", "json"])
def test_a_run_that_cannot_read_the_cluster_says_so(cluster: Cluster, log: tuple[str, ...]) -> None:
    """The alert finds the same event as when a pod is not replaced."""
    cluster.lists = lambda: (403, {"message": "forbidden"})
    result = renew(cluster, *log)
    assert result.exit_code == 1
    if not log:
        assert result.stderr.startswith(f"error: API server: GET {PODS}: 403")
        return
    (line,) = logged(result)
    assert (line["severity"], line["event"]) == ("ERROR", "renewal_stopped")
    assert "403" in line["message"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 1), (signal.SIGINT, 130)], ids=["job", "person"])
def test_a_run_that_is_ended_says_so(cluster: Cluster, number: signal.Signals, status: int) -> None:
    """Kubernetes sends SIGTERM to a Job's pod that takes too long; a person presses Ctrl-C."""

    def lists() -> tuple[int, object]:
        os.kill(os.getpid(), number)
        return 200, {"items": []}

    cluster.lists = lists
    result = renew(cluster, "--log-format", "json")
    line = json.loads(result.stdout.splitlines()[-1])
    assert (result.exit_code, line["event"]) == (status, "renewal_stopped")
    assert line["message"].startswith("interrupted: ")


def test_a_wrong_configuration_is_in_the_log_and_no_internal_error(cluster: Cluster, tmp_path: Path) -> None:
    """The alert searches the log for the event; the message names the field."""
    path = tmp_path / "configuration.yaml"
    path.write_text("clusters: {}")
    command = ("renew", "--kubeconfig", cluster.kubeconfig, "--configuration", path, "--log-format", "json")
    result = signerctl(*command)
    assert result.exit_code == 1
    (line,) = logged(result)
    assert (line["severity"], line["event"]) == ("ERROR", "renewal_stopped")
    assert "signers: Required value" in line["message"]
    assert "internal error" not in line["message"]


def test_a_wrong_command_line_is_in_the_log_too(cluster: Cluster) -> None:
    """A run that starts without an end or an error would look like a killed one."""
    result = renew(cluster, "--log-format", "json", "--cluster", "demo")
    assert result.exit_code == 2
    (line,) = logged(result)
    assert (line["severity"], line["event"]) == ("ERROR", "renewal_stopped")
    assert line["message"] == "--cluster: Forbidden: without --configuration"


def test_a_fault_of_the_program_is_in_the_log_too(cluster: Cluster) -> None:
    """No alert depends on what the fault is."""
    cluster.lists = lambda: (200, {"items": [{}]})
    command = ["renew", "--kubeconfig", str(cluster.kubeconfig), *CALICO, "--log-format", "json"]
    result = CliRunner().invoke(main, command)
    assert isinstance(result.exception, KeyError)
    (line,) = logged(result)
    assert (line["severity"], line["event"]) == ("ERROR", "renewal_stopped")
    assert line["message"] == "internal error in signerctl: KeyError: 'metadata'"


@pytest.mark.parametrize("log", [(), ("--log-format", "json")], ids=["text", "json"])
def test_a_service_account_without_pods_is_named(cluster: Cluster, log: tuple[str, ...]) -> None:
    """It may be a wrong name. A CronJob gets the accounts of all components, so it goes on."""
    cluster.add("calico-node-1")
    accounts = "calico-system/calico-nod,calico-system/calico-node"
    result = renew(cluster, "--requesters", SIGNER, "365d", accounts, "--dry-run", *log)
    message = (
        '--requesters: Not found: "calico-system/calico-nod": no pod has this service account: check the name, unless'
        " the component does not run in this cluster"
    )
    assert result.exit_code == 0
    if not log:
        assert result.stderr == f"warning: {message}\n1 pods hold certificates, 0 are due\n"
        return
    line, planned = logged(result)
    assert (line["severity"], line["event"], line["message"]) == ("NOTICE", "account_without_pods", message)
    assert planned["event"] == "renewal_planned"


def test_a_log_has_no_list(cluster: Cluster) -> None:
    """Each line is one JSON object, also of a dry run."""
    cluster.add("calico-node-old", age=timedelta(days=3650))
    result = renew(cluster, "--log-format", "json", "--dry-run")
    (line,) = logged(result)
    assert (line["event"], line["due"]) == ("renewal_planned", 1)


@pytest.mark.parametrize("form", [("-o", "json"), ("--output", "table"), ("--json",)], ids=str)
def test_a_log_and_a_form_of_the_list_exclude_one_another(cluster: Cluster, form: tuple[str, ...]) -> None:
    """The log has no list."""
    result = renew(cluster, "--log-format", "json", *form)
    assert result.exit_code == 2
    assert "--output: Forbidden: together with --log-format json, which prints no list" in result.stderr
