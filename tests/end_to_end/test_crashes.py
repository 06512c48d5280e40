"""Whatever dies, repeats or meddles: every CSR is issued once, with one TBSCertificate per uid."""

import base64
import contextlib
import itertools
import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
import urllib3
from cryptography import x509

from sandbox.api import ApiError, csr_path
from sandbox.calico.fleet import Fleet, Submission
from sandbox.calico.observer import Observer
from sandbox.deployment import Deployment
from sandbox.kms import Fault, KmsControl
from tests.end_to_end.conftest import PATIENCE, eventually
from tests.end_to_end.events import assert_issued_once, event, send


def while_filing(fleet: Fleet, observer: Observer, *, meddle: Callable[[], None], times: int) -> None:
    """Files a fleet, meddles after each further share of it has ended, and waits for the rest."""
    filing = threading.Thread(target=fleet.submit)
    filing.start()
    for share in range(times):
        goal = len(fleet.members) * share // (times + 1)
        eventually(lambda goal=goal: ended(fleet, observer) >= goal)  # type: ignore[misc]  # mypy has no type for it
        meddle()
    filing.join()
    assert observer.wait([submission.uid for submission in fleet.submissions], PATIENCE)


def ended(fleet: Fleet, observer: Observer) -> int:
    """How many of a fleet's CSRs have ended."""
    seen = observer.observations()
    return sum(submission.uid in seen and seen[submission.uid].ended is not None for submission in fleet.submissions)


def test_a_function_that_is_killed_again_and_again_loses_nothing(
    deployment: Deployment, observer: Observer, make_fleet: Callable[..., Fleet]
) -> None:
    """SIGKILL in the middle of work, five times: every CSR is issued once, with one TBSCertificate."""
    fleet = make_fleet(60)

    def kill_and_restart() -> None:
        deployment.function.kill()
        deployment.function.start()

    while_filing(fleet, observer, meddle=kill_and_restart, times=5)
    assert_issued_once(deployment, observer, fleet.submissions)


def test_a_function_killed_between_approval_and_signature_resumes(
    deployment: Deployment, observer: Observer, make_fleet: Callable[..., Fleet]
) -> None:
    """Approved, intent recorded, KMS hangs, SIGKILL: the next instance finds the CSR approved and issues it."""
    fleet = make_fleet(4)
    with KmsControl(deployment.kms) as control:
        control.add(Fault(method="AsymmetricSign", hang=True, times=4))
        fleet.submit()
        control.wait_until_hanging(4)
        approved = [deployment.api.get(csr_path(submission.name))["status"] for submission in fleet.submissions]
        deployment.function.kill()
        control.release()
    assert [list(status) for status in approved] == [["conditions"]] * 4
    deployment.function.start()
    assert observer.wait([submission.uid for submission in fleet.submissions], PATIENCE)
    assert_issued_once(deployment, observer, fleet.submissions)


def test_a_function_killed_after_the_signature_before_the_write_resumes(
    deployment: Deployment, observer: Observer, make_fleet: Callable[..., Fleet]
) -> None:
    """The key was used and the answer lost: a second signature over the same TBSCertificate, one certificate."""
    fleet = make_fleet(2)
    with KmsControl(deployment.kms) as control:
        before = len(control.records("AsymmetricSign"))
        control.add(Fault(method="AsymmetricSign", status="UNAVAILABLE", after=True, delay=0.5, times=2))
        fleet.submit()
        eventually(lambda: len(control.records("AsymmetricSign")) >= before + 2)
        deployment.function.kill()
        deployment.function.start()
        assert observer.wait([submission.uid for submission in fleet.submissions], PATIENCE)
        digests = defaultdict(set)
        for record in control.records("AsymmetricSign")[before:]:
            digests[record.reason.partition(";")[0]].add(record.digest)
    assert {len(found) for found in digests.values()} == {1}
    assert_issued_once(deployment, observer, fleet.submissions)


def test_an_exporter_that_is_killed_again_and_again_loses_nothing(
    deployment: Deployment, observer: Observer, make_fleet: Callable[..., Fleet]
) -> None:
    """SIGKILL of the only exporter, five times: its list at the next start finds what it had not delivered."""
    fleet = make_fleet(60)

    def kill_and_restart() -> None:
        deployment.kill_exporter()
        deployment.start_exporter()

    while_filing(fleet, observer, meddle=kill_and_restart, times=5)
    assert_issued_once(deployment, observer, fleet.submissions)


def test_requests_from_before_the_exporters_start_are_issued(
    deployment: Deployment, observer: Observer, make_fleet: Callable[..., Fleet]
) -> None:
    """What was filed while no exporter ran is found by its list."""
    deployment.kill_exporter()
    fleet = make_fleet(20)
    fleet.submit()
    deployment.start_exporter()
    assert observer.wait([submission.uid for submission in fleet.submissions], PATIENCE)
    assert_issued_once(deployment, observer, fleet.submissions)


def test_duplicated_and_reordered_events_change_nothing(
    deployment: Deployment, observer: Observer, make_fleet: Callable[..., Fleet]
) -> None:
    """Every event five more times, from another sender, backwards and all at once: one certificate each."""
    fleet = make_fleet(12)
    submissions = fleet.submit()
    events = [event(submission) for submission in submissions] * 5
    with urllib3.PoolManager(maxsize=16, retries=False) as pool, ThreadPoolExecutor(16) as executor:
        statuses = list(executor.map(lambda body: send(pool, deployment, body), reversed(events)))
    assert set(statuses) <= {200, 425}
    assert observer.wait([submission.uid for submission in submissions], PATIENCE)
    certificates = {submission.uid: observer.observations()[submission.uid].certificate for submission in submissions}
    with urllib3.PoolManager(retries=False) as pool:
        assert {send(pool, deployment, event(submission)) for submission in submissions} == {200}
    for submission in submissions:
        stored = deployment.api.get(csr_path(submission.name))["status"]["certificate"]
        assert base64.b64decode(stored) == certificates[submission.uid]
    assert_issued_once(deployment, observer, submissions)


def test_an_approver_who_edits_condition_times_changes_nothing(
    deployment: Deployment, observer: Observer, make_fleet: Callable[..., Fleet]
) -> None:
    """Times of the year 1 and 9999, written while the function works: still one certificate from creationTimestamp.

    Where the guards are in force, they refuse such an edit.
    """
    fleet = make_fleet(8)
    with KmsControl(deployment.kms) as control:
        control.add(Fault(method="AsymmetricSign", hang=True, times=8))
        submissions = fleet.submit()
        control.wait_until_hanging(8)
        for submission, year in zip(submissions, itertools.cycle(["0001", "9999"]), strict=False):
            refused = pytest.raises(ApiError, match="kms-csr-signer-decide")
            with refused if deployment.settings.guards else contextlib.nullcontext():
                edit_times(deployment, submission, f"{year}-06-01T00:00:00Z")
        control.release()
    assert observer.wait([submission.uid for submission in submissions], PATIENCE)
    assert_issued_once(deployment, observer, submissions)
    for submission in submissions:
        csr = deployment.api.get(csr_path(submission.name))
        (approved,) = csr["status"]["conditions"]
        certificate = x509.load_pem_x509_certificate(observer.observations()[submission.uid].certificate)
        created = datetime.fromisoformat(csr["metadata"]["creationTimestamp"])
        edited = approved["lastTransitionTime"][:4] in ("0001", "9999")
        assert edited != deployment.settings.guards
        assert created - certificate.not_valid_before_utc <= timedelta(minutes=5)


def edit_times(deployment: Deployment, submission: Submission, moment: str) -> None:
    """Sets every time of the Approved condition, as whoever may approve can."""
    csr = deployment.api.get(csr_path(submission.name))
    for condition in csr["status"]["conditions"]:
        condition |= {"lastUpdateTime": moment, "lastTransitionTime": moment}
    deployment.api.put(csr_path(submission.name, "approval"), csr)
