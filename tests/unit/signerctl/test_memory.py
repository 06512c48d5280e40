"""Memory of the commands that run as CronJobs, while other pods fill the statuses that they list."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.unit.signerctl.answers import answering
from tests.unit.signerctl.key_pairs.test_need import CA
from tests.unit.signerctl.renewal.cluster import PODS, pod_object

if TYPE_CHECKING:
    from pathlib import Path

MOST = 128.0
"""MiB; the CronJobs' limit is four times as much."""
CHARACTERS = 1_400_000
"""Of a status: kube-apiserver stores no object of more than 1.5 MB."""
CONDITIONS = b",".join(b'{"type":"t%05d","status":"s%05d","lastProbeTime":null}' % (n, n) for n in range(80_000))
STATUSES = (
    b'"message":"%b"' % (rb"\u003c" * CHARACTERS),  # Go's JSON escapes `<` with six bytes
    b'"message":"%b"' % (b"a" * CHARACTERS + "\N{KEY}".encode()),  # Python needs four bytes for each character
    b'"conditions":[%b]' % CONDITIONS,
)
COMMANDS = {
    "renew": ("--requesters", "example.com/calico", "365d", "calico-system/calico-node"),
    "key-pairs": ("--signer", "example.com/calico", "--release", "3.33", "--trust-bundle", "ca.pem"),
}
CHILD = """
import atexit, runpy, sys
from sandbox.usage import Usage
atexit.register(lambda: print(Usage.of(None).peak))
runpy.run_module("signerctl", run_name="__main__")
"""


@pytest.mark.parametrize("command", COMMANDS)
def test_attack_statuses_of_megabytes_cost_no_memory(tmp_path: Path, command: str) -> None:
    """One page of 12 pods, each filled by way of `pods/status`, as calico-node's token and a kubelet can."""
    (tmp_path / "ca.pem").write_bytes(CA.public_bytes(Encoding.PEM))
    volumes = [{"name": "goldmane-key-pair", "emptyDir": {}}]
    pods = [pod_object(), pod_object("goldmane-1", spec__serviceAccountName="goldmane", spec__volumes=volumes)]
    empty = [json.dumps(each | {"status": {"HOLE": ""}}).encode() for each in pods]
    filled = [each.replace(b'"HOLE": ""', status) for each in empty for status in STATUSES]
    with answering() as answers:
        answers.kubeconfig(tmp_path)
        answers.prepared["GET " + PODS] = 200, (b'{"items":[', b",".join(filled), b",", b",".join(filled), b"]}")
        arguments = (*COMMANDS[command], "--kubeconfig", "answers.kubeconfig", "--dry-run", "-o", "json")
        program = [sys.executable, "-c", CHILD, command, *arguments]
        child = subprocess.run(program, cwd=tmp_path, capture_output=True, check=False, timeout=120)
    assert child.returncode == 0, child.stderr
    *lines, peak = child.stdout.decode().splitlines()
    assert json.loads("".join(lines))["items"], "the pods were read"
    assert float(peak) < MOST
