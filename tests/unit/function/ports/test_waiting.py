"""A CSR that waits for long: an Event on it says whose turn it is, what is wrong, and what to do."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.retry_policy import Answer, verdict_of
from csr_signer.cluster.client import KubernetesCluster
from csr_signer.errors import SignerError
from csr_signer.events.outcome import Deferred, Issued, Refused
from csr_signer.kms import key as kms_key
from csr_signer.kms.client import Connection
from csr_signer.objects.event import LONGEST_NOTE
from csr_signer.reporting import Tried
from sandbox.api import Api
from sandbox.kms import Fault, KmsServer
from sandbox.kms.iam import ANONYMOUS
from sandbox.kubernetes import KubernetesServer
from tests.simulation.delivery import Delivery
from tests.unit.function.ports.answers import FORBIDDEN, HANG_UP, Probes, answering
from tests.unit.function.ports.blocking import Blocking
from tests.unit.function.ports.conftest import (
    HIDDEN,
    FileCsr,
    Recorder,
    asked,
    certifying,
    make_pipeline,
    pod_path,
    reference_to,
)

SIGN, PUBLIC_KEY = "AsymmetricSign", "GetPublicKey"
LATER = timedelta(seconds=11)
OPERATOR, SERVICE, REQUESTER = "WaitingForOperator", "WaitingForService", "WaitingForRequester"

Story = Callable[["Stage"], None]


class _Elsewhere:
    """The real cluster, of which some calls go elsewhere."""

    def __init__(self, cluster: KubernetesCluster, **calls: Any) -> None:
        self._cluster = cluster
        self.__dict__.update(calls)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)


class Stage:
    """A pipeline, and what a test does to its parts."""

    def __init__(
        self, *, admin: Api, cluster: Blocking[KubernetesCluster], kms: Connection, kms_server: KmsServer, path: Path
    ) -> None:
        self.admin = admin
        self.kms = kms_server
        self.recorder = Recorder()
        self._cluster = cluster.target
        self._stack = ExitStack()
        self.pipeline = make_pipeline(path, self._cluster, kms, self.recorder)

    def redirect(self, *calls: str, status: int, body: bytes = FORBIDDEN, probes: Probes | None = None) -> None:
        """Lets these calls get one answer."""
        other, _ = self._stack.enter_context(answering(status, body, probes=probes))
        self.replace(**{call: getattr(other.target, call) for call in calls})

    def replace(self, **calls: Any) -> None:
        """Gives the pipeline a cluster with other calls."""
        over: Any = _Elsewhere(self._cluster, **calls)
        self.pipeline = Blocking(dataclasses.replace(self.pipeline.target, clusters={"demo": over}))

    def add_cluster(self, name: str) -> None:
        """Gives the pipeline a second cluster, with the same API server, signer and key."""
        target = self.pipeline.target
        ((_, signer_name),) = target.signers
        added, known = (name, signer_name), ("demo", signer_name)
        more = dataclasses.replace(
            target,
            clusters={**target.clusters, name: self._cluster},
            signers={**target.signers, added: target.signers[known]},
            keys={**target.keys, added: target.keys[known]},
        )
        self.pipeline = Blocking(more)

    def attempt(self, csr: dict[str, Any], *, age: timedelta = LATER, cluster: str = "demo") -> object:
        """Processes an event when the CSR has this age; returns the outcome, or the fault."""
        try:
            reference = dataclasses.replace(reference_to(csr), cluster=cluster)
            return self.pipeline.process(reference, created(csr) + age)
        except SignerError as error:
            return error

    def events(self, csr: dict[str, Any], *, kind: str = "CertificateSigningRequest") -> list[dict[str, Any]]:
        """The Events on a CSR, or on its pod."""
        name = csr["metadata"]["name"]
        wanted = name if kind == "CertificateSigningRequest" else name.partition(":")[2]
        involved = (kind, wanted)
        events = self.admin.get("/api/v1/events")["items"]
        return [e for e in events if (e["involvedObject"]["kind"], e["involvedObject"]["name"]) == involved]

    @contextmanager
    def used(self) -> Iterator["Stage"]:
        """Ends all faults afterwards."""
        with self._stack:
            yield self
        self.kms.faults.clear()
        self.kms.iam.release()


@pytest.fixture
def make_stage(
    write_configuration: Callable[..., Path],
    cluster: Blocking[KubernetesCluster],
    kms: Connection,
    kms_server: KmsServer,
    admin: Api,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Stage]]:
    """Makes a stage; its patience with KMS is short."""
    monkeypatch.setattr(kms_key, "OVERALL_SECONDS", 0.5)
    monkeypatch.setattr(kms_key, "FIRST_PAUSE", 0.01)
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            Stage(
                admin=admin, cluster=cluster, kms=kms, kms_server=kms_server, path=write_configuration(**settings)
            ).used()
        )


def created(csr: dict[str, Any]) -> datetime:
    """The CSR's creation."""
    return datetime.fromisoformat(csr["metadata"]["creationTimestamp"])


def fails(method: str, status: str, message: str, **fault: Any) -> Story:
    """KMS answers so."""
    return lambda stage: stage.kms.faults.add(Fault(method=method, status=status, message=message, times=0, **fault))


def forbids(call: str) -> Story:
    """The API server refuses this call, and every right."""
    return lambda stage: stage.redirect(call, status=403, probes=Probes(allows=lambda _: False))


DISABLED = fails(SIGN, "FAILED_PRECONDITION", "it is not enabled, current state is: DISABLED.")
STORIES: dict[str, tuple[Story, str, str]] = {
    "key disabled": (DISABLED, OPERATOR, "its state is DISABLED: enable it"),
    "no such key version": (fails(PUBLIC_KEY, "NOT_FOUND", "not found"), OPERATOR, "KMS has no such key version"),
    "role missing": (
        lambda stage: stage.kms.iam.restrict(ANONYMOUS, []),
        OPERATOR,
        "grant roles/cloudkms.publicKeyViewer on the key",
    ),
    "quota": (fails(SIGN, "RESOURCE_EXHAUSTED", "no"), SERVICE, "the quota of KMS is exhausted"),
    "KMS unavailable": (fails(SIGN, "UNAVAILABLE", "no"), SERVICE, "KMS does not answer"),
    "right to approve missing": (forbids("approve"), OPERATOR, "must have the right to patch"),
    "right to write missing": (forbids("write_certificate"), OPERATOR, "must have the right to patch"),
    "right to pods of a namespace missing": (forbids("get_pod"), OPERATOR, "403"),
    "a write fails": (
        lambda stage: stage.redirect("approve", status=500, body=b"oops", probes=Probes()),
        SERVICE,
        "500: no Kubernetes Status",
    ),
    "conflicts without end": (lambda stage: stage.redirect("approve", status=409), SERVICE, "409"),
}


@pytest.mark.parametrize(("story", "reason", "words"), STORIES.values(), ids=STORIES)
def test_a_csr_that_waits_for_long_says_whose_turn_it_is(
    make_stage: Callable[..., Stage], file_csr: FileCsr, story: Story, reason: str, words: str
) -> None:
    """One Event with the words of the fault's record; of a young CSR only if its next attempt is far away."""
    stage, csr = make_stage(), file_csr()
    story(stage)
    stage.attempt(csr, age=timedelta(seconds=4))
    assert [event["reason"] for event in stage.events(csr)] == ([OPERATOR] if reason == OPERATOR else [])
    for _ in range(2):
        assert not isinstance(stage.attempt(csr), Issued)
    (event,) = stage.events(csr)
    assert event["reason"] == reason
    assert words in event["message"]
    assert len(event["message"]) <= LONGEST_NOTE
    assert event["message"].isascii()
    assert event["message"].isprintable()
    assert {(e["reason"], e["message"]) for e in stage.events(csr, kind="Pod")} <= {(reason, event["message"])}


@pytest.mark.parametrize("call", ["get_pod", "approve", "write_certificate"])
def test_a_missing_right_has_its_event_within_15_seconds(
    make_stage: Callable[..., Stage], file_csr: FileCsr, call: str
) -> None:
    """The exporter's own schedule, on a virtual clock: eight pods ask within three seconds, and 503 makes it pause."""
    stage, csrs = make_stage(), [file_csr() for _ in range(8)]
    forbids(call)(stage)
    waits: dict[int, float] = {}

    def function(item: WorkItem, now: float) -> tuple[float, Answer]:
        number = int(item.reference.uid[:8])
        age = now - 0.4 * number
        fault = stage.attempt(csrs[number], age=timedelta(seconds=age))
        assert isinstance(fault, SignerError)
        if stage.events(csrs[number]):
            waits.setdefault(number, age)
        verdict = verdict_of(fault.status, type(fault).__name__)
        return 0.1, Answer(verdict=verdict, status=fault.status, retry_after=fault.retry_after)

    simulation = Delivery(function=function)
    for number in range(len(csrs)):
        simulation.at(0.4 * number, partial(simulation.create, number))
    simulation.run(20.0)
    assert len(waits) == len(csrs)
    assert max(waits.values()) <= 15.0


def test_an_attested_pod_has_the_event_too(make_stage: Callable[..., Stage], file_csr: FileCsr) -> None:
    """Before the pod is attested, an Event would be on whichever pod the requester names."""
    stage, csr = make_stage(), file_csr()
    DISABLED(stage)
    stage.attempt(csr)
    assert len(stage.events(csr, kind="Pod")) == 1
    other, unattested = make_stage(), file_csr()
    forbids("get_pod")(other)
    other.attempt(unattested)
    assert len(other.events(unattested)) == 1
    assert other.events(unattested, kind="Pod") == []


def test_a_ca_of_another_key_is_named(
    make_stage: Callable[..., Stage], file_csr: FileCsr, other_ca: bytes, tmp_path: Path, key_version: str
) -> None:
    """The certificate and the key version of the configuration do not match."""
    path = tmp_path / "other.pem"
    path.write_bytes(other_ca)
    stage = make_stage(issuer={"key_version": key_version, "certificate": str(path), "trust_bundle": str(path)})
    csr = file_csr()
    stage.attempt(csr)
    (event,) = stage.events(csr)
    assert event["reason"] == OPERATOR
    assert key_version in event["message"]


def test_a_deferred_csr_waits_for_its_requester(
    make_stage: Callable[..., Stage], file_csr: FileCsr, admin: Api, tmp_path: Path
) -> None:
    """The Event names the address; at the deferral limit a refusal follows, with an Event of its own."""
    stage = make_stage(profile=certifying(tmp_path))
    csr = file_csr(workload="calico-apiserver")
    admin.patch(f"{pod_path(csr)}/status", {"status": HIDDEN})
    for _ in range(2):
        assert isinstance(stage.attempt(csr), Deferred)
    (event,) = stage.events(csr)
    assert event["reason"] == REQUESTER
    assert "are not visible as the pod's" in event["message"]
    assert isinstance(stage.attempt(csr, age=timedelta(minutes=5)), Refused)
    for kind in ("CertificateSigningRequest", "Pod"):
        assert sorted(e["reason"] for e in stage.events(csr, kind=kind)) == ["AddressNotVisible", REQUESTER]


def test_each_turn_has_one_event(make_stage: Callable[..., Stage], file_csr: FileCsr) -> None:
    """A CSR that waits for one after the other has an Event for each, also if two processes try; its issuance none."""
    csr = file_csr()
    for stage in (make_stage(), make_stage()):
        DISABLED(stage)
        stage.attempt(csr)
        stage.kms.faults.clear()
        fails(SIGN, "RESOURCE_EXHAUSTED", "no")(stage)
        stage.attempt(csr)
        stage.kms.faults.clear()
    last = make_stage()
    assert isinstance(last.attempt(csr), Issued)
    for kind in ("CertificateSigningRequest", "Pod"):
        assert sorted(e["reason"] for e in last.events(csr, kind=kind)) == [OPERATOR, SERVICE]


def test_a_resent_event_does_not_write_its_events_again(
    make_stage: Callable[..., Stage], file_csr: FileCsr, api_server: KubernetesServer
) -> None:
    """As long as a key is disabled, every attempt would otherwise double its calls."""
    stage, csr = make_stage(), file_csr()
    fails(PUBLIC_KEY, "FAILED_PRECONDITION", "current state is: DISABLED.")(stage)
    counts = []
    for _ in range(3):
        _, calls = asked(api_server, lambda: stage.attempt(csr))
        counts.append([method for method, _ in calls])
    assert counts == [["GET", "GET", "POST", "POST"], ["GET", "GET"], ["GET", "GET"]]


def test_an_honest_csr_that_was_found_late_gets_no_event(make_stage: Callable[..., Stage], file_csr: FileCsr) -> None:
    """It waits for nobody."""
    stage, csr = make_stage(), file_csr()
    assert isinstance(stage.attempt(csr, age=timedelta(seconds=80)), Issued)
    assert stage.events(csr) == []


def test_while_the_api_server_is_unavailable_no_event_is_tried(
    make_stage: Callable[..., Stage], file_csr: FileCsr, api_server: KubernetesServer
) -> None:
    """It would take none, and the answer would wait for a second time-out."""
    stage, csr = make_stage(), file_csr()
    stage.redirect("get_pod", status=HANG_UP)
    error, calls = asked(api_server, lambda: stage.attempt(csr))
    assert type(error).__name__ == "ApiServerUnavailableError"
    assert [method for method, _ in calls] == ["GET"]


@pytest.mark.parametrize("status", [403, HANG_UP], ids=["missing right", "no answer"])
def test_an_event_that_cannot_be_written_changes_no_answer(
    make_stage: Callable[..., Stage], file_csr: FileCsr, status: int
) -> None:
    """The fault is answered, and the refusal made, all the same; a record tells of the missing Event."""
    stage = make_stage()
    stage.redirect("create_event", status=status)
    waiting, refused = file_csr(), file_csr(environment={"dns_names": ("evil.example.com",)})
    assert isinstance(stage.attempt(refused), Refused)
    DISABLED(stage)
    assert type(stage.attempt(waiting)).__name__ == "ConfigurationError"
    told = [line["message"].partition(":")[0] for line in stage.recorder.lines if line["event"] == "fault"]
    assert sorted(told) == sorted(2 * ["no Event on the CertificateSigningRequest", "no Event on the Pod"])


def test_a_fault_of_ours_is_reported_too(make_stage: Callable[..., Stage], file_csr: FileCsr) -> None:
    """Its kind and place, without its text, which may be a requester's."""

    async def broken(*_: object) -> None:
        raise KeyError("secret text")

    stage, csr = make_stage(), file_csr()
    stage.replace(get_pod=broken)
    error = stage.attempt(csr)
    (event,) = stage.events(csr)
    assert event["message"].startswith(str(error))
    assert "unexpected KeyError at" in event["message"]
    assert "secret" not in event["message"]


@pytest.mark.parametrize("secret", ["Bearer abcdef", "eyJhbGciOiJSUzI1NiJ9.eyJlY2hvIjoxfQ.c2lnbmF0dXJl", "ya29.abcdef"])
def test_no_event_contains_an_echoed_token(make_stage: Callable[..., Stage], file_csr: FileCsr, secret: str) -> None:
    """All readers of `default` may read Events; a proxy before the API server may repeat the function's token."""
    stage, csr = make_stage(), file_csr()
    body = json.dumps({"kind": "Status", "reason": "Forbidden", "message": f"Authorization: {secret} is unknown"})
    stage.redirect("get_pod", status=403, body=body.encode(), probes=Probes())
    stage.attempt(csr)
    (event,) = stage.events(csr)
    assert "is unknown" in event["message"]
    assert secret not in event["message"]
    assert all(secret not in json.dumps(line) for line in stage.recorder.lines)


def test_text_of_others_is_escaped_and_bounded(make_stage: Callable[..., Stage], file_csr: FileCsr) -> None:
    """KMS's words are quoted and cut, and the advice stays."""
    stage, csr = make_stage(), file_csr()
    fails(SIGN, "RESOURCE_EXHAUSTED", "\x1b[31m\r\n\N{SNOWMAN}" * 500)(stage)
    stage.attempt(csr)
    (event,) = stage.events(csr)
    assert event["message"].isascii()
    assert event["message"].isprintable()
    assert event["message"].endswith("only if this lasts")
    assert len(event["message"]) <= LONGEST_NOTE


# Minute, name (a minus: its write failed), and whether the Event is written.
MEMORY = {
    "a repetition": [(0, "a", True), (9, "a", False)],
    "after ten minutes": [(0, "a", True), (10, "a", True), (19, "a", False)],
    "full": [(0, "a", True), (1, "b", True), (2, "c", False), (3, "a", False), (4, "b", False), (5, "c", False)],
    "full until the oldest is forgotten": [(0, "a", True), (1, "b", True), (10, "c", True), (10, "a", False)],
    "after a failure": [(0, "a", True), (0, "-a", None), (1, "a", True), (2, "a", False)],
    "room after a failure": [(0, "a", True), (0, "b", True), (0, "-b", None), (1, "c", True), (1, "b", False)],
}


@pytest.mark.parametrize("steps", MEMORY.values(), ids=MEMORY)
def test_the_memory_of_events_is_bounded(steps: list[tuple[int, str, bool | None]]) -> None:
    """If it is full, no more Events are written; an Event that failed is tried again."""
    tried, begun = Tried(most=2), datetime(2026, 1, 1, tzinfo=UTC)
    for minute, name, written in steps:
        if written is None:
            tried.forget(name[1:])
        else:
            assert tried.add(name, begun + timedelta(minutes=minute)) == written, (minute, name)


def test_attack_a_cluster_that_fills_its_memory_of_events(
    make_stage: Callable[..., Stage], file_csr: FileCsr, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each cluster has its own, so another cluster's Events are written."""
    monkeypatch.setattr("csr_signer.pipeline.Tried", partial(Tried, most=2))
    stage, hostile, beyond, honest = make_stage(), file_csr(), file_csr(), file_csr()
    DISABLED(stage)
    stage.add_cluster("hostile")
    for csr, cluster, events in ((hostile, "hostile", 1), (beyond, "hostile", 0), (honest, "demo", 1)):
        stage.attempt(csr, cluster=cluster)
        assert len(stage.events(csr)) == events


def test_an_event_that_could_not_be_written_is_tried_again(make_stage: Callable[..., Stage], file_csr: FileCsr) -> None:
    """The API server was slow, or a right was missing for the moment."""
    stage, csr = make_stage(), file_csr()
    stage.redirect("create_event", status=HANG_UP)
    DISABLED(stage)
    for attempts in (1, 2):
        stage.attempt(csr)
        told = [line["message"].partition(":")[0] for line in stage.recorder.lines if line["event"] == "fault"]
        assert told.count("no Event on the CertificateSigningRequest") == attempts
        assert told.count("no Event on the Pod") == attempts
