"""scripts/acceptance on a real API server without a kubelet: what needs one is not made, and the report says so."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox import control_plane
from sandbox.api import CSRS, NAMESPACES, NODES, Api, csr_path
from sandbox.breakdowns import requests
from sandbox.calico.world import Pod
from sandbox.control_plane import ControlPlane, NotAvailableError
from sandbox.deployment import Deployment, Settings
from sandbox.foreign import ForeignCluster
from tests.end_to_end.conftest import eventually, started

pytestmark = pytest.mark.real
ATTACKS = ("another pod's CSR name is refused", "another component's names are refused")
RBAC = "/apis/rbac.authorization.k8s.io/v1"
KINDS = {
    "namespace": NAMESPACES,
    "account": "/api/v1/serviceaccounts",
    "pod": "/api/v1/pods",
    "CSR": CSRS,
    **{kind: f"{RBAC}/{kind}" for kind in ("clusterroles", "clusterrolebindings", "roles", "rolebindings")},
}
LEVELS = {"ok", "warning", "failed", "skipped"}
OURS = "csr-acceptance-"
OWNER = "6b8f1d5c-0c39-4f0e-9d0a-5c2f4f1b7a11"
SECONDS = 120.0


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster without a signer."""
    try:
        running = control_plane.start("real", tmp_path_factory.mktemp("plane"))
    except NotAvailableError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI is set and a real control plane is needed: {error}")
        pytest.skip(f"NOT TESTED on a real control plane: {error}")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployed signer on a real API server with guards."""
    running = started(Settings(directory=tmp_path_factory.mktemp("deployed"), plane="real", guards=True))
    yield running
    running.stop()


def accept(kubeconfig: Path, report: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs scripts/acceptance as a user does."""
    command = [sys.executable, "-m", "sandbox.acceptance", "--kubeconfig", str(kubeconfig), "--report", str(report)]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)


def levels(output: str) -> dict[str, str]:
    """Returns the level of each check by its name."""
    lines = [line.split(maxsplit=3) for line in output.splitlines() if line.split(" ")[0] in LEVELS]
    return {line[3].partition(": ")[0]: line[0] for line in lines}


def namespaces(plane: ControlPlane | ForeignCluster) -> set[str]:
    """Returns the cluster's namespaces."""
    with Api.from_kubeconfig(plane.kubeconfig) as api:
        return {each["metadata"]["name"] for each in api.get(NAMESPACES)["items"]}


def objects(plane: ControlPlane | ForeignCluster) -> set[str]:
    """Returns the names of all objects of the kinds that a run creates."""
    with Api.from_kubeconfig(plane.kubeconfig) as api:
        found = {kind: api.get(path)["items"] for kind, path in KINDS.items()}
    return {
        f"{kind} {each['metadata'].get('namespace', '')}/{each['metadata']['name']}"
        for kind, items in found.items()
        for each in items
    }


def test_a_signer_of_the_run_issues_refuses_and_leaves_nothing(plane: ControlPlane, tmp_path: Path) -> None:
    """A pod gets its certificate, hostile CSRs do not, the kubelet's check is skipped, and all objects are gone."""
    before = objects(plane)
    done = accept(plane.kubeconfig, tmp_path / "report.md")
    found = levels(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert found.pop("pod of a kubelet") == "skipped"
    assert found.pop("cluster") == "warning"
    assert 'must be "csr-acceptance"' in done.stdout  # the function's refusal of Typha's common name
    assert {"pod without kubelet", *ATTACKS, "objects are deleted"} <= found.keys()
    assert set(found.values()) == {"ok"}
    assert objects(plane) == before
    assert "| objects are deleted | ok |" in (tmp_path / "report.md").read_text(encoding="utf-8")


def interrupt(plane: ControlPlane, report: Path, *, after: str) -> tuple[int, set[str]]:
    """Sends SIGINT to a run after a line of its output; returns its exit status, and the cluster's objects then."""
    command = ["--kubeconfig", str(plane.kubeconfig), "--report", str(report), "--seconds", "60"]
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.acceptance", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    meanwhile: set[str] = set()
    for line in process.stdout:
        if after in line:
            meanwhile = objects(plane)
            process.send_signal(signal.SIGINT)
            break
    process.communicate(timeout=SECONDS)
    return process.returncode, meanwhile


def test_an_interrupted_run_leaves_nothing(plane: ControlPlane, tmp_path: Path) -> None:
    """After Ctrl-C the run deletes its objects, writes the report, and ends with status 130.

    Until then it has neither Calico's namespace nor a right for one of Calico's accounts, which the operator may have.
    """
    before, report = objects(plane), tmp_path / "report.md"
    status, meanwhile = interrupt(plane, report, after="signer for this run")
    assert status == 130
    assert "objects are deleted | ok" in report.read_text(encoding="utf-8")
    assert objects(plane) == before
    assert [each for each in meanwhile - before if OURS in each]
    assert not [each for each in meanwhile - before if "calico" in each or "tigera" in each]


def test_a_run_that_is_interrupted_while_it_deletes_leaves_nothing(plane: ControlPlane, tmp_path: Path) -> None:
    """The deletion follows the last check; the signal arrives about then, and the deletion ends in order."""
    before, report = objects(plane), tmp_path / "report.md"
    interrupt(plane, report, after="pod of a kubelet")
    assert "objects are deleted | ok" in report.read_text(encoding="utf-8")
    assert objects(plane) == before


def test_the_deployed_signer_is_examined_and_refuses_an_attack(deployed: Deployment, tmp_path: Path) -> None:
    """Doctor's checks are lines of the run; the guards refuse the hostile CSR; nothing needs a kubelet to be honest."""
    report = tmp_path / "report.md"
    done = accept(deployed.plane.kubeconfig, report, *documents(deployed), "--attack", "--redact")
    found = levels(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert found["pod of a kubelet"] == "skipped"
    assert {found.pop(name) for name in (*ATTACKS, "objects are deleted")} == {"ok"}
    assert found["doctor kms-key"] == found["doctor guards"] == "ok"
    assert "the profile does not name the requester's service account" in done.stdout
    assert not [each["metadata"]["name"] for each in listed(deployed) if each["metadata"]["name"].startswith(OURS)]
    text = report.read_text(encoding="utf-8")
    assert "127.0.0.1" not in text
    assert "example-project" not in text


def test_a_run_with_its_own_signer_leaves_a_served_one_alone(deployed: Deployment, tmp_path: Path) -> None:
    """Both would have objects of the same names, and the run would delete those of the other."""
    before = namespaces(deployed.plane)
    done = accept(deployed.plane.kubeconfig, tmp_path / "report.md")
    assert done.returncode == 2
    assert "use --deployed" in done.stderr
    assert namespaces(deployed.plane) == before


def test_a_broken_deployed_signer_fails(deployed: Deployment, tmp_path: Path) -> None:
    """An error of doctor fails the run, and the report has its remedy."""
    report = tmp_path / "report.md"
    deployed.kill_exporter()
    try:
        done = accept(deployed.plane.kubeconfig, report, *documents(deployed))
    finally:
        deployed.start_exporter()
    assert done.returncode == 1
    assert levels(done.stdout)["doctor exporter"] == "failed"
    assert levels(done.stdout)["hostile CSRs are refused"] == "skipped"
    assert "nothing listens there: the exporter does not run" in report.read_text(encoding="utf-8")


def test_an_evicted_pod_is_followed_to_its_successor(deployed: Deployment, tmp_path: Path) -> None:
    """The run evicts the pod, and checks the certificate, the token and the address of the pod that replaces it.

    The test plays the DaemonSet's controller and the kubelet, which no machine without containers has.
    """
    old = requests.file(deployed, "calico-node")
    own(deployed, old.pod)
    set_ready(deployed, f"{NODES}/{old.pod.node}")
    arguments = [*documents(deployed), "--evict", f"{old.pod.namespace}/{old.pod.name}"]
    with ThreadPoolExecutor(max_workers=1) as threads:
        running = threads.submit(accept, deployed.plane.kubeconfig, tmp_path / "report.md", *arguments)
        eventually(lambda: running.done() or old.pod.name not in pods(deployed))
        new = requests.file(deployed, "calico-node")
        own(deployed, new.pod)
        eventually(lambda: running.done() or bool(deployed.api.get(csr_path(new.name))["status"].get("certificate")))
        addresses = [{"ip": each["address"]} for each in internal_addresses(deployed, new.pod.node)]
        set_ready(deployed, path_of(new.pod), podIP=addresses[0]["ip"], podIPs=addresses)
        done = running.result()
    found = levels(done.stdout)
    of_pod = {name: level for name, level in found.items() if name.startswith("pod of a kubelet")}
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(of_pod.values()) == {"ok"}
    assert new.pod.name in done.stdout
    assert "as the node's InternalIP" in done.stdout


def path_of(pod: Pod) -> str:
    """Returns a pod's path."""
    return f"{NAMESPACES}/{pod.namespace}/pods/{pod.name}"


def pods(deployment: Deployment) -> set[str]:
    """Returns the names of Calico's pods."""
    return {each["metadata"]["name"] for each in deployment.api.get(f"{NAMESPACES}/calico-system/pods")["items"]}


def own(deployment: Deployment, pod: Pod) -> None:
    """Makes a pod look like one of a DaemonSet."""
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "calico-node", "uid": OWNER, "controller": True}
    deployment.api.patch(path_of(pod), {"metadata": {"ownerReferences": [owner]}})


def set_ready(deployment: Deployment, path: str, **status: object) -> None:
    """Reports a pod or a node as Ready, as its kubelet does."""
    condition = {"type": "Ready", "status": "True"}
    deployment.api.patch(f"{path}/status", {"status": {"conditions": [condition], **status}})


def internal_addresses(deployment: Deployment, node: str) -> list[dict[str, str]]:
    """Returns a node's InternalIP addresses."""
    found: list[dict[str, str]] = deployment.api.get(f"{NODES}/{node}")["status"]["addresses"]
    return [each for each in found if each["type"] == "InternalIP"]


def documents(deployment: Deployment) -> list[str]:
    """Returns the options that describe the deployed signer."""
    named = {
        "--configuration": deployment.directory / "function.json",
        "--exporter-configuration": deployment.directory / "exporter.json",
        "--exporter-url": deployment.exporters[0].url,
    }
    return ["--deployed", *(text for name, value in named.items() for text in (name, str(value)))]


def listed(deployment: Deployment) -> list[dict[str, dict[str, str]]]:
    """Returns the cluster's namespaces."""
    found: list[dict[str, dict[str, str]]] = deployment.api.get(NAMESPACES)["items"]
    return found
