"""Memory of the commands that run as CronJobs, while other pods fill the statuses that they list."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.patience import PATIENCE
from tests.unit.signerctl.answers import answering
from tests.unit.signerctl.key_pairs.test_need import CA
from tests.unit.signerctl.renewal.cluster import PODS, pod_object

if TYPE_CHECKING:
    from pathlib import Path

MAX_MEBIBYTES = 128.0
"""MiB; the CronJobs' limit is four times as much."""
STATUSES: dict[str, dict[str, Any]] = {
    "escaped": {"message": "<" * 1_400_000},  # Go's JSON escapes it with six bytes
    "wide": {"message": "<" * 1_400_000 + "\N{KEY}"},  # Python needs four bytes for each character
    "conditions": {"conditions": [{"type": "a", "status": ""}] * 90_000},
}
"""As large as kube-apiserver stores them: 1.5 MB."""
VOLUME = {"name": "goldmane-key-pair", "emptyDir": {}}
PODS_SPECS = ({"serviceAccountName": "calico-node"}, {"serviceAccountName": "goldmane", "volumes": [VOLUME]})
COMMANDS = {
    "renew": ("--requesters", "example.com/calico", "365d", "calico-system/calico-node"),
    "key-pairs": ("goldmane", "--signer", "example.com/calico", "--release", "3.33", "--trust-bundle", "ca.pem"),
}
CHILD = """
import atexit, runpy
from sandbox.usage import Usage
atexit.register(lambda: print(Usage.of(None).peak))
runpy.run_module("signerctl", run_name="__main__")
"""


def peak_of(command: str, folder: Path, kubeconfig: Path) -> float:
    """Runs a command, which must find pods; returns its peak of resident MiB."""
    (folder / "ca.pem").write_bytes(CA.public_bytes(Encoding.PEM))
    arguments = (command, *COMMANDS[command], "--kubeconfig", str(kubeconfig), "--dry-run", "-o", "json")
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], cwd=folder, capture_output=True, check=False, timeout=PATIENCE
    )
    assert child.returncode == 0, child.stderr
    *lines, peak = child.stdout.decode().splitlines()
    assert {each.get("state") for each in json.loads("".join(lines))["items"]} <= {"missing", "not_due", "due"}
    return float(peak)


@pytest.mark.parametrize("command", COMMANDS)
def test_attack_statuses_of_megabytes_cost_no_memory(tmp_path: Path, command: str) -> None:
    """One page of 12 pods, as the API server writes it."""
    objects = [pod_object() | {"spec": spec, "status": status} for spec in PODS_SPECS for status in STATUSES.values()]
    items = b",".join(json.dumps(each).replace("<", r"\u003c").encode() for each in objects)
    with answering() as answers:
        answers.prepared["GET " + PODS] = 200, (b'{"items":[', items, b",", items, b"]}")
        assert peak_of(command, tmp_path, answers.kubeconfig(tmp_path)) < MAX_MEBIBYTES
