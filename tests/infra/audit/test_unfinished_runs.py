"""The audit module's SQL, which looks for runs of the CronJobs that died without an error in the log."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pytest

from tests.infra.audit import log_analytics
from tests.infra.audit.entries import CLUSTER, Entry, of_cron_job
from tests.infra.audit.test_filters import MODULE
from tests.unit.signerctl.answers import answering
from tests.unit.signerctl.renewal.cluster import PODS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

POLICIES: Final = dict(
    re.findall(r'hour = (\d+), hours = "([^"]+)"', (MODULE / "unfinished_runs.tf").read_text(encoding="utf-8"))
)
"""The hours of the starts that each policy checks, by the hour in which it runs."""
MANIFESTS: Final = "".join((CLUSTER / name).read_text(encoding="utf-8") for name in ("renewal.yaml", "key-pairs.yaml"))
DEADLINE: Final = timedelta(seconds=max(map(int, re.findall(r"activeDeadlineSeconds: (\d+)", MANIFESTS))))
"""Kubernetes stops a run after this time."""
FIRST: Final = datetime(2026, 3, 14, tzinfo=UTC)


def lines(folder: Path, answer: Callable[[int], object]) -> list[str]:
    """What a real run of `signerctl renew` logs; the API server calls `answer` with its pid before it lists pods."""
    with answering() as answers:
        answers.kubeconfig(folder)
        answers.prepared[f"GET {PODS}"] = lambda _: (200, answer(run.pid) or {"items": []})
        requesters = ("--requesters", "example.com/calico", "365d", "calico-system/calico-node")
        command = ("renew", "--log-format", "json", "--kubeconfig", "answers.kubeconfig", *requesters)
        program = [sys.executable, "-m", "signerctl", *command]
        with subprocess.Popen(program, cwd=folder, stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            return run.stdout.read().splitlines()


def found(entries: Sequence[Entry], start: datetime, end: datetime) -> list[timedelta]:
    """How long after the start of a run the policies find it; its first entry is its start, the others are its end."""
    delays = []
    for hour, hours in POLICIES.items():
        for day in range(3):
            at = FIRST + timedelta(days=day, hours=int(hour), minutes=30)
            timed = [(start if index == 0 else end, entry) for index, entry in enumerate(entries)]
            seen = [(time.isoformat(), entry) for time, entry in timed if at - timedelta(days=1) < time <= at]
            if log_analytics.rows("unfinished_runs.sql", {"hours": hours}, seen):
                delays.append(at - start)
    return delays


def test_attack_a_killed_run_is_found_after_11_to_24_hours(tmp_path: Path) -> None:
    """The kernel kills a run that exceeds its memory limit: it logs its start, and no more. One query finds it."""
    entries = of_cron_job("renewal.yaml", lines(tmp_path, lambda pid: os.kill(pid, signal.SIGKILL)))
    assert [entry["jsonPayload"]["event"] for entry in entries] == ["run_started"]
    for minute in range(0, 24 * 60, 7):
        start = FIRST + timedelta(hours=12, minutes=minute)
        (delay,) = found(entries, start, start)
        assert timedelta(hours=11) < delay < timedelta(hours=24)


ENDS: Final[dict[str, Callable[[int], object]]] = {
    "it had nothing to do": lambda _: None,
    "it failed": lambda _: "no JSON",
    "Kubernetes ended it": lambda pid: os.kill(pid, signal.SIGTERM),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_run_that_ended_or_logged_an_error_is_no_alarm(tmp_path: Path, end: Callable[[int], object]) -> None:
    """An error has an alert of its own. A run may take hours: its end may be in the next query's day."""
    entries = of_cron_job("renewal.yaml", lines(tmp_path, end))
    for minute in range(0, 24 * 60, 7):
        start = FIRST + timedelta(hours=12, minutes=minute)
        assert not found(entries, start, start)
        assert not found(entries, start, start + DEADLINE)


def test_a_run_of_another_pod_ends_no_killed_run(tmp_path: Path) -> None:
    """Nor does a run in another cluster."""
    whole = of_cron_job("renewal.yaml", lines(tmp_path, lambda _: None))
    for label in ("pod_name", "cluster_name", "namespace_name", "project_id", "location"):
        labels = whole[0]["resource"]["labels"] | {label: "other"}
        killed = whole[0] | {"resource": {"type": "k8s_container", "labels": labels}}
        assert found([killed, *whole], FIRST, FIRST)
        assert not found(whole, FIRST, FIRST)
