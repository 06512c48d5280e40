"""A real etcd and kube-apiserver: started, used, broken and stopped."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import psutil
import pytest
import urllib3

from sandbox import control_plane
from sandbox.api import CSRS, NAMESPACES, Api, ApiError
from sandbox.control_plane import StartError, modules
from sandbox.process import Part
from tests.patience import PATIENCE
from tests.sandbox.control_plane.require import real_control_plane

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.control_plane.real import RealControlPlane

pytestmark = pytest.mark.real

LAUNCHER = modules.HERE.parents[1] / "control-plane"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealControlPlane]:
    """One control plane that the tests of this module share."""
    with real_control_plane(tmp_path_factory.mktemp("control-plane")) as started:
        yield started


@pytest.fixture
def api(running: RealControlPlane) -> Iterator[Api]:
    """The administrator's client."""
    with Api.from_kubeconfig(running.kubeconfig) as client:
        yield client


def processes(directory: Path) -> list[psutil.Process]:
    """The running programs whose command line names the directory."""
    return [
        each
        for each in psutil.process_iter(["name", "cmdline"])
        if each.info["name"] in {"etcd", "kube-apiserver", "kube-controller-manager"}
        and str(directory) in " ".join(each.info["cmdline"] or [])
    ]


def test_version_is_answered(running: RealControlPlane, api: Api) -> None:
    """The API server says which version it is, and `version` says the same."""
    assert api.get("/version")["gitVersion"] == running.version
    assert running.version.startswith("v1.")


def test_users_and_groups_come_from_kubeconfigs(running: RealControlPlane) -> None:
    """With a kubeconfig made for a user the API server sees that user and groups, and no right is theirs."""
    path = running.kubeconfig_for("someone@example.com", ("team-a", "team-b"))
    assert path == running.kubeconfig_for("someone@example.com", ("team-a", "team-b"))
    assert path.stat().st_mode & 0o077 == 0
    with Api.from_kubeconfig(path) as someone:
        review = someone.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
        assert review["status"]["userInfo"]["username"] == "someone@example.com"
        assert set(review["status"]["userInfo"]["groups"]) == {"team-a", "team-b", "system:authenticated"}
        with pytest.raises(ApiError, match="403"):
            someone.get(CSRS)


def test_service_account_tokens_are_accepted(api: Api) -> None:
    """A token from TokenRequest authenticates its service account."""
    api.post(f"{NAMESPACES}/default/serviceaccounts", {"metadata": {"name": "robot"}})
    path = f"{NAMESPACES}/default/serviceaccounts/robot/token"
    token = api.post(path, {"spec": {"expirationSeconds": 3600}})["status"]["token"]
    review = api.with_token(token).post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
    assert review["status"]["userInfo"]["username"] == "system:serviceaccount:default:robot"


def test_api_server_comes_back(running: RealControlPlane, api: Api) -> None:
    """After a crash of kube-apiserver nobody answers; restarted, it has its address and all data."""
    api.post(NAMESPACES, {"metadata": {"name": "before-api-server"}})
    running.kill_api_server()
    assert not running.alive
    with pytest.raises(urllib3.exceptions.HTTPError):
        api.get("/version")
    running.restart_api_server()
    assert running.alive
    assert api.get(f"{NAMESPACES}/before-api-server")["metadata"]["name"] == "before-api-server"


def test_etcd_comes_back(running: RealControlPlane, api: Api) -> None:
    """After a crash and restart of etcd the same API server reads what was acknowledged before, and writes."""
    api.post(NAMESPACES, {"metadata": {"name": "before-etcd"}})
    running.kill_etcd()
    assert not running.alive
    running.restart_etcd()
    assert running.alive
    assert api.get(f"{NAMESPACES}/before-etcd")["metadata"]["name"] == "before-etcd"
    api.post(NAMESPACES, {"metadata": {"name": "after-etcd"}})


def test_two_at_once_and_nothing_left(tmp_path: Path) -> None:
    """Two control planes run side by side, each with its own data; stopped, they leave logs and no process."""
    directories = [tmp_path / name for name in ("a", "b")]
    first, second = (real_control_plane(directory) for directory in directories)
    with (
        first,
        second,
        Api.from_kubeconfig(first.kubeconfig) as one,
        Api.from_kubeconfig(second.kubeconfig) as two,
    ):
        assert first.server != second.server
        one.post(NAMESPACES, {"metadata": {"name": "only-here"}})
        with pytest.raises(ApiError, match="404"):
            two.get(f"{NAMESPACES}/only-here")
        assert [len(processes(directory)) for directory in directories] == [2, 2]
        # An open watch does not keep the API server from ending.
        watch = two.watch(NAMESPACES)
        second.stop()
        watch.close()
        second.stop()
    assert [processes(directory) for directory in directories] == [[], []]
    assert all((directory / "kube-apiserver.log").stat().st_size > 0 for directory in directories)


def test_directory_of_an_earlier_run_is_refused(running: RealControlPlane) -> None:
    """The data of an earlier run is not taken over: its certificates would be another CA's."""
    with pytest.raises(ValueError, match="holds an earlier control plane"):
        control_plane.start("real", running.kubeconfig.parent)


def test_further_flags_and_a_failing_start(running: RealControlPlane, tmp_path: Path) -> None:
    """Further flags reach kube-apiserver; one that it refuses makes the start fail at once, in its words."""
    with pytest.raises(StartError, match=r"(?s)kube-apiserver is not running.*unknown flag: --no-such-flag"):
        real_control_plane(tmp_path, extra_arguments=["--no-such-flag"])
    assert processes(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_command_line_leaves_no_process(running: RealControlPlane, tmp_path: Path, number: int) -> None:
    """The command prints one line when it is ready; however it ends, etcd and kube-apiserver end too."""
    part = Part.start(
        "sandbox.control_plane", "start", "--directory", str(tmp_path), log=tmp_path / "log", deadline=PATIENCE
    )
    assert part.ready == {
        "part": "control-plane",
        "server": part.ready["server"],
        "kubeconfig": str(tmp_path / "admin.kubeconfig"),
        "certificate_authority": str(tmp_path / "ca.pem"),
        "version": running.version,
    }
    with Api.from_kubeconfig(part.ready["kubeconfig"]) as client:
        assert client.get("/version")["gitVersion"] == running.version
    started = processes(tmp_path)
    assert len(started) == 2
    os.kill(part.pid, number)
    assert part.wait(PATIENCE) == (-9 if number == signal.SIGKILL else 0)
    _, alive = psutil.wait_procs(started, PATIENCE)
    assert alive == []


def test_controllers_run_if_asked_and_end_with_the_others(running: RealControlPlane, tmp_path: Path) -> None:
    """Each namespace gets its service account `default`, which the API server alone does not make."""
    with Part.start(
        "sandbox.control_plane",
        "start",
        "--controllers",
        "--directory",
        str(tmp_path),
        log=tmp_path / "log",
        deadline=PATIENCE,
    ) as part:
        account = "/api/v1/namespaces/default/serviceaccounts"
        with Api.from_kubeconfig(part.ready["kubeconfig"]) as client, client.watch(account) as events:
            assert next(events)["object"]["metadata"]["name"] == "default"
        started = processes(tmp_path)
        assert len(started) == 3
    _, alive = psutil.wait_procs(started, PATIENCE)
    assert alive == []


def test_command_line_ends_with_a_program(running: RealControlPlane, tmp_path: Path) -> None:
    """When etcd dies by itself the command fails and says where the log is, instead of serving half of it."""
    part = Part.start(
        "sandbox.control_plane", "start", "--directory", str(tmp_path), log=tmp_path / "log", deadline=PATIENCE
    )
    next(each for each in processes(tmp_path) if each.name() == "etcd").kill()
    assert part.wait(PATIENCE) == 1
    assert "a program ended by itself" in (tmp_path / "log").read_text()
    assert processes(tmp_path) == []


def test_launcher(running: RealControlPlane) -> None:
    """`scripts/control-plane build` prints the folder that the running programs come from, and no more."""
    with Part.start_program([str(LAUNCHER), "build"], log=running.kubeconfig.parent / "said", says_ready=False) as part:
        assert part.wait(PATIENCE) == 0
    assert (running.kubeconfig.parent / "said").read_text() == f"{running.kubectl.parent}\n"
