"""`signerctl doctor` and `signerctl explain` on a deployment: each state of a CSR has its explanation."""

import json
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from sandbox.api import csr_path
from sandbox.calico import attackers
from sandbox.calico.fleet import Fleet, Submission
from sandbox.calico.observer import Observer
from sandbox.calico.stories import STORIES
from sandbox.demo import clients
from sandbox.deployment import Deployment
from tests.end_to_end.conftest import PATIENCE
from tests.paths import ROOT

pytestmark = pytest.mark.slow

Json = dict[str, Any]
FINISHED: Final = 11


def signerctl(deployment: Deployment, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs the command that the demo prints, with another command's name and arguments."""
    words = shlex.split(" ".join(clients.doctor(deployment, *map(shlex.quote, command))))
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)


def explained(deployment: Deployment, *arguments: str) -> list[Json]:
    """Explains a CSR or a pod, as JSON."""
    done = signerctl(deployment, "explain", *arguments, "-o", "json")
    assert done.returncode == 0, done.stderr
    found: list[Json] = json.loads(done.stdout)["items"]
    return found


def checked(deployment: Deployment) -> tuple[int, Json]:
    """Runs doctor; returns its status and the results by check."""
    done = signerctl(deployment, "doctor", "-o", "json")
    return done.returncode, {each["check"]: each for each in json.loads(done.stdout)["items"]}


@pytest.fixture
def issue(observer: Observer, make_fleet: Callable[..., Fleet]) -> Callable[[], Submission]:
    """Lets a new pod get its certificate."""

    def ended() -> Submission:
        submission = make_fleet(1).submit()[0]
        assert observer.wait([submission.uid], PATIENCE)
        return submission

    return ended


@contextmanager
def without_exporter(deployment: Deployment) -> Iterator[None]:
    """Nobody sends events meanwhile."""
    deployment.kill_exporter()
    try:
        yield
    finally:
        deployment.start_exporter()


def test_a_healthy_deployment_has_no_error(deployment: Deployment, issue: Callable[[], Submission]) -> None:
    """Every link works; skipped are only the checks of Calico's operator, and of the double's missing policies."""
    issue()
    status, results = checked(deployment)
    errors = {name: each["found"] for name, each in results.items() if each["level"] in {"error", "warning"}}
    assert (status, errors) == (0, {})
    skipped = {name for name, each in results.items() if each["level"] == "skipped"}
    assert skipped == {"installation", "release"} | (set() if deployment.settings.guards else {"guards"})


def test_an_issued_certificate_is_explained_with_its_records(
    deployment: Deployment, issue: Callable[[], Submission]
) -> None:
    """The last step is reached; the records tell the certificate's serial number. The pod's name means the same CSR."""
    submission = issue()
    (found,) = explained(deployment, submission.name, "--records", str(deployment.log("function")))
    assert (found["state"], found["step"], found["turn"]) == ("issued", FINISHED, "none")
    assert [each["event"] for each in found["records"]] == ["intent", "issued"]
    (of_pod,) = explained(deployment, f"pod/{found['pod'].partition('/')[2]}")
    assert of_pod["uid"] == found["uid"] == submission.uid


def test_a_dead_exporter_is_the_cause_of_a_waiting_csr(
    deployment: Deployment, observer: Observer, make_fleet: Callable[..., Fleet]
) -> None:
    """Nothing in the request stops it, and doctor names the link that does."""
    fleet = make_fleet(1)
    with without_exporter(deployment):
        submission = fleet.submit()[0]
        (found,) = explained(deployment, submission.name)
        status, results = checked(deployment)
    assert (found["state"], found["step"], found["step_name"], found["turn"]) == ("waiting", 8, "approve", "operator")
    assert "exporter: http" in found["why"]
    assert found["remedy"].startswith("the exporter does not run")
    assert status == 1
    assert [name for name, each in results.items() if each["level"] == "error"] == ["exporter"]
    assert observer.wait([submission.uid], PATIENCE)


def test_the_trial_changes_nothing(
    deployment: Deployment, observer: Observer, make_fleet: Callable[..., Fleet]
) -> None:
    """A waiting CSR, and one that the function would refuse, have the same resourceVersion afterwards."""
    fleet = make_fleet(1)
    with without_exporter(deployment):
        submission = fleet.submit()[0]
        before = deployment.api.get(csr_path(submission.name))
        explained(deployment, submission.name)
        assert deployment.api.get(csr_path(submission.name)) == before
    assert observer.wait([submission.uid], PATIENCE)


def test_a_refusal_tells_its_codes(deployment: Deployment, observer: Observer) -> None:
    """The condition has every violation; the requester must act."""
    story = next(each for each in STORIES if each.name == "foreign DNS name")  # which no guard can see
    settings = deployment.settings
    attacker = attackers.prepare(
        deployment.world, settings.signer_name, release=settings.release, stories=[story], prefix="explained"
    )[0]
    filed = attackers.file(deployment.world, attacker)
    assert observer.wait([filed.uid], PATIENCE)
    (found,) = explained(deployment, attacker.csr["metadata"]["name"])
    assert (found["state"], found["step"], found["turn"]) == ("refused", 6, "requester")
    assert all(code in found["why"] for code in story.expected_codes)


def test_a_pod_without_a_csr_is_explained(deployment: Deployment, make_fleet: Callable[..., Fleet]) -> None:
    """The pod has not asked yet, so no step is reached."""
    pod = make_fleet(1).members[0].plan
    (found,) = explained(deployment, f"{pod.namespace}/{pod.name}")
    assert (found["kind"], found["step"], found["state"]) == ("Pod", 0, "waiting")
    assert "has filed no CSR" in found["why"]


def test_a_name_that_means_nothing_is_an_error(deployment: Deployment) -> None:
    """The message says what was searched."""
    done = signerctl(deployment, "explain", "no-such-pod")
    assert done.returncode == 1
    assert 'Not found: "no-such-pod": searched CSRs by name, pods in calico-system' in done.stderr
