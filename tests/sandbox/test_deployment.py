"""A whole deployment on the double: it starts, survives the death of its parts, and leaves nothing behind."""

import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sandbox.api import Api, ApiError
from sandbox.calico.components import components
from sandbox.calico.fleet import QUICK, Fleet, managements, plan
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.deployment import Deployment, Settings
from sandbox.foreign import ForeignCluster, OccupiedError
from sandbox.function_runtime import FunctionError, FunctionRuntime
from sandbox.kubernetes import KubernetesServer

_LONG = 60.0


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment that the tests of this module share."""
    with Deployment(Settings(directory=tmp_path_factory.mktemp("deployment"))) as started:
        yield started


def _issue(deployment: Deployment, count: int, seed: int) -> set[str]:
    """Let a fleet ask, and return in which states its requests ended."""
    members = plan(
        count,
        components=components(deployment.settings.release),
        managements=managements(deployment.settings.signer_name, algorithms=QUICK),
        seed=seed,
        prefix=f"node-{seed}",
    )
    with KeyPool() as keys, Observer(deployment.api, deployment.settings.signer_name) as observer:
        fleet = Fleet(deployment.world, members, keys=keys)
        fleet.enter()
        uids = [submission.uid for submission in fleet.submit()]
        assert observer.wait(uids, _LONG)
        return {observer.observations()[uid].state for uid in uids}


def test_requests_are_issued(deployment: Deployment) -> None:
    """A fleet's requests go through exporter, front door, function and KMS, and are Approved and Issued."""
    assert _issue(deployment, 6, seed=1) == {"Approved,Issued"}


def test_real_clients_get_their_files(deployment: Deployment, tmp_path: Path) -> None:
    """Calico's client itself, each with its own watch, writes certificate, key and CA."""
    members = plan(
        3,
        components=components(deployment.settings.release),
        managements=managements(deployment.settings.signer_name, deployment.certificate_authority.read_bytes(), QUICK),
        seed=2,
        prefix="node-2",
    )
    with KeyPool() as keys:
        fleet = Fleet(deployment.world, members, keys=keys)
        fleet.enter()
        runs = fleet.run_clients(tmp_path)
    assert [run.error for run in runs] == ["", "", ""]
    for run in runs:
        assert run.wrote_files
        assert sorted(path.name for path in run.directory.iterdir()) == ["ca.crt", "tls.crt", "tls.key"]


def test_exporter_shows_its_own_identity(deployment: Deployment) -> None:
    """Events come through the front door with the exporter's token; who has none is turned away."""
    exporter = json.loads((deployment.directory / "exporter.json").read_text())
    assert exporter["identity"]["kind"] == "workload_identity_federation"
    assert exporter["function"]["url"] != f"{deployment.function.url}/"


def test_killed_parts_come_back(deployment: Deployment) -> None:
    """Function and exporter can be killed and started again, and then work as before."""
    deployment.function.kill()
    deployment.kill_exporter()
    deployment.function.start()
    deployment.start_exporter()
    assert _issue(deployment, 4, seed=3) == {"Approved,Issued"}


def test_starting_twice_is_starting_once(deployment: Deployment) -> None:
    """A deployment that runs is not started again."""
    before = deployment.exporter_pid
    assert deployment.start().exporter_pid == before


def test_stop_leaves_no_process(tmp_path: Path) -> None:
    """After stop no process of the deployment runs."""
    here = psutil.Process()
    before = {child.pid for child in here.children(recursive=True)}
    with Deployment(Settings(directory=tmp_path, front_door=False)) as started:
        running = {child.pid for child in here.children(recursive=True)} - before
        assert {started.exporter_pid, started.function.pid} <= running
    assert not {child.pid for child in here.children(recursive=True)} - before


def test_function_with_a_wrong_configuration_says_why(tmp_path: Path) -> None:
    """A function that cannot use its configuration does not count as started, and its log is in the error."""
    (tmp_path / "function.json").write_text('{"clusters": {}, "signers": [], "colour": "red"}')
    with pytest.raises(FunctionError, match="colour"):
        FunctionRuntime(tmp_path / "function.json", tmp_path / "function.log").start()


def test_running_cluster_is_cleaned_up(tmp_path: Path) -> None:
    """In a cluster that is not ours everything that was made is removed, and what was there stays."""
    with KubernetesServer(tmp_path / "cluster") as cluster, Api.from_kubeconfig(cluster.kubeconfig) as api:
        api.post("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "theirs"}})
        directory = tmp_path / "deployment"
        directory.mkdir()
        with Deployment(Settings(directory=directory, plane=cluster.kubeconfig)) as started:
            assert isinstance(started.plane, ForeignCluster)
            assert _issue(started, 2, seed=4) == {"Approved,Issued"}
        nodes = [node["metadata"]["name"] for node in api.get("/api/v1/nodes")["items"]]
        assert nodes == ["theirs"]
        assert not api.get("/api/v1/pods")["items"]
        with pytest.raises(ApiError, match="404"):
            api.get("/api/v1/namespaces/kms-csr-signer/serviceaccounts/csr-exporter")


def test_cluster_with_calico_is_refused(tmp_path: Path) -> None:
    """A cluster in which Calico runs is left alone: its pods could not be told from ours."""
    with KubernetesServer(tmp_path / "cluster") as cluster, Api.from_kubeconfig(cluster.kubeconfig) as api:
        api.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "calico-system"}})
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        api.post("/api/v1/namespaces/calico-system/serviceaccounts", account)
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "calico-node-abcde"},
            "spec": {"containers": [{"name": "calico-node", "image": "calico/node"}]},
        }
        api.post("/api/v1/namespaces/calico-system/pods", pod)
        with pytest.raises(OccupiedError, match="calico-node-abcde"):
            Deployment(Settings(directory=tmp_path, plane=cluster.kubeconfig)).start()
        names = [item["metadata"]["name"] for item in api.get("/api/v1/namespaces")["items"]]
        assert "kms-csr-signer" not in names
