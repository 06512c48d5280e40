"""Guards of other documents on a real API server: another approver, an older Calico, a profile that is not Calico's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandbox.api import CSRS, Api, csr_path
from tests.infra.cluster.conftest import run
from tests.infra.cluster.csrs import csr_document
from tests.infra.cluster.requesters import Requesters, decide, refusal, until_refused
from tests.paths import EXAMPLE_PROFILES
from tests.sandbox.control_plane.require import real_control_plane
from tests.unit.signerctl.outputs import outputs
from tests.unit.signerctl.stage import signerctl

if TYPE_CHECKING:
    from sandbox.control_plane.real import RealControlPlane

pytestmark = pytest.mark.real

FUNCTION = "csr-access-demo@example-project.iam.gserviceaccount.com"
APPROVED_BY_OTHERS, OLD, POSTGRES = (f"example.com/{name}" for name in ("signed", "old", "postgresql"))
APPROVER = "alice"


def document() -> dict[str, Any]:
    """The function's, of three signers."""
    found: dict[str, Any] = yaml.safe_load(outputs()["documents"]["value"]["configuration.yaml"])
    (signer,) = (each for each in found["signers"] if each["cluster"] == "demo")
    found["signers"] = [
        {**signer, "signer_name": APPROVED_BY_OTHERS, "approve": False},
        {
            **signer,
            "signer_name": OLD,
            "profile": {"name": "calico", "release": "3.27", "namespaces": ["calico-apiserver", "calico-system"]},
        },
        {**signer, "signer_name": POSTGRES, "profile": {"name": "postgresql.yaml"}},
    ]
    return found


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealControlPlane]:
    """A control plane with these guards alone; its users here have all rights."""
    directory = tmp_path_factory.mktemp("others")
    configuration = directory / "function.yaml"
    configuration.write_text(json.dumps(document()), encoding="utf-8")
    shutil.copy(EXAMPLE_PROFILES / "postgresql.yaml", directory)
    options: list[str | Path] = ["--configuration", configuration, "--cluster", "demo"]
    made = signerctl("guards", *options, "--function-user", FUNCTION, "--approver", APPROVER)
    assert made.exit_code == 0, made.output
    with real_control_plane(directory / "plane") as started:
        run(started, "apply", "--validate=strict", "-f", "-", stdin=made.stdout)
        yield started


@pytest.fixture(scope="module")
def requesters(plane: RealControlPlane) -> Iterator[Requesters]:
    """Pods with tokens; the policies about CSRs are in force."""
    with Api.from_kubeconfig(plane.kubeconfig) as api:
        made = Requesters(api)
        pod = made.calico()
        pod.file(f"calico-system:{pod.pod.name}", OLD)
        path = csr_path(f"calico-system:{pod.pod.name}")
        until_refused("kms-csr-signer-create", lambda: api.post(CSRS, csr_document("any", OLD), dryRun="All"))
        finalizer = {"metadata": {"finalizers": ["a.b/c"]}}
        until_refused("kms-csr-signer-decide", lambda: api.patch(path, finalizer, dryRun="All"))
        with made.world:
            yield made


@pytest.fixture(scope="module")
def as_user(plane: RealControlPlane) -> Iterator[Callable[[str], Api]]:
    """The API server as a user with all rights."""
    clients: list[Api] = []

    def client(user: str) -> Api:
        clients.append(Api.from_kubeconfig(plane.kubeconfig_for(user, ("system:masters",))))
        return clients[-1]

    yield client
    for each in clients:
        each.close()


def test_another_one_approves_and_the_function_does_not(requesters: Requesters, as_user: Callable[[str], Api]) -> None:
    """With `approve: false` the function writes status, the approver approves, and neither does the other's."""
    function, approver = as_user(FUNCTION), as_user(APPROVER)
    pod = requesters.calico()
    pod.file(signer_name=APPROVED_BY_OTHERS)
    assert f'only "{APPROVER}" may approve and deny' in refusal(lambda: decide(function, pod.name, "Approved"))
    assert "only the function may write" in refusal(lambda: decide(approver, pod.name, "Failed", "status"))
    decide(approver, pod.name, "Approved")
    decide(function, pod.name, "Failed", "status")


def test_an_older_release_names_csrs_for_the_namespace(requesters: Requesters) -> None:
    """Each signerName has its own release's names; one of the other release is refused."""
    pod = requesters.calico()
    old = f"calico-system:{pod.pod.name}"
    assert refusal(lambda: pod.file(signer_name=OLD)) == f"metadata.name: Invalid value: must be {old}"
    pod.file(old, OLD)
    assert "metadata.name: Invalid value" in refusal(lambda: pod.file(old, APPROVED_BY_OTHERS))
    pod.file(signer_name=APPROVED_BY_OTHERS)
    for name in (old, pod.name):
        assert "only its own pod's CSR" in refusal(lambda n=name: requesters.calico().api.delete(csr_path(n)))  # type: ignore[misc]
        pod.api.delete(csr_path(name))


def test_an_own_profile_is_guarded(requesters: Requesters) -> None:
    """Its accounts file under its names, for its signerName; Calico's do not, and the other way round."""
    requesters.world.add_namespace("databases")
    requesters.world.add_service_account("databases", "postgres", binding="databases-postgres")
    pod, calico = requesters.pod("postgres-0", "databases", "postgres"), requesters.calico()
    postgres = requesters.as_pod(pod)
    postgres.post(CSRS, csr_document("postgres:postgres-0", POSTGRES))
    assert "the profile does not name the requester's service account" in refusal(
        lambda: postgres.post(CSRS, csr_document(calico.name, OLD))
    )
    assert "the profile does not name the requester's service account" in refusal(
        lambda: calico.file("postgres:postgres-0", POSTGRES)
    )
    assert "metadata.name: Invalid value" in refusal(lambda: calico.file("postgres:postgres-0", "any.example.com/x"))
