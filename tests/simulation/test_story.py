"""The long story holds with few CSRs and two kills, and its judges see what is missing in a history."""

import base64
import copy
import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.api import CSRS, Api, csr_path
from sandbox.calico import twists
from sandbox.calico.request import Content, pem
from sandbox.deployment import Deployment
from sandbox.kubernetes import KubernetesServer
from tests.end_to_end.conftest import eventually, started
from tests.sandbox.demo import running
from tests.simulation import observed, story
from tests.simulation.checker import violations
from tests.simulation.experiment import Options
from tests.simulation.history import History
from tests.simulation.story import Outcome

OPTIONS = Options(csrs=60, minutes=0.1, seed=3, kills=2)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The story's deployment."""
    with started(story.settings(tmp_path_factory.mktemp("story"))) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def outcome(deployment: Deployment) -> Outcome:
    """How the story ended."""
    return story.tell(OPTIONS, deployment)


@pytest.mark.real
def test_a_short_story_holds(outcome: Outcome) -> None:
    """The function and the API server are killed once: every CSR ends as it must, and is accounted for."""
    assert (outcome.violations, outcome.errors) == ([], [])
    lines = [line.split(maxsplit=1) for line in story.summary(OPTIONS, outcome)]
    assert ["kills", "1 of API server, 1 of function"] in lines
    assert len(outcome.history.filed) >= OPTIONS.csrs


@pytest.fixture(scope="module")
def uid(outcome: Outcome) -> str:
    """The uid of a CSR that KMS signed for once, after the kill of the function."""
    signed = Counter(each.reason.partition(";")[0] for each in outcome.history.signings)
    return next(
        str(each.line["csr_uid"])
        for each in outcome.history.records
        if (each.process, each.line["event"]) == ("function-1", "issued")
        and signed[f"csr-uid={each.line['csr_uid']}"] == 1
    )


def without_record(event: str) -> Callable[[History, str], None]:
    """Returns what removes a CSR's record."""

    def remove(history: History, uid: str) -> None:
        history.records = [
            each for each in history.records if (each.line["csr_uid"], each.line["event"]) != (uid, event)
        ]

    return remove


def without_certificate(history: History, uid: str) -> None:
    """Removes the certificate from all changes of a CSR."""
    history.changes = [replace(each, certificate=b"") if each.uid == uid else each for each in history.changes]


def with_a_second_signature(history: History, uid: str) -> None:
    """KMS signs once more for a CSR."""
    history.signings += [each for each in history.signings if uid in each.reason]


@pytest.mark.real
@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (without_record("intent"), "and no intent was recorded before"),
        (without_record("issued"), "has no outcome, and the process was not killed"),
        (without_certificate, "the end: it must have a certificate"),
        (with_a_second_signature, "2 times: the records explain 1"),
    ],
    ids=["intent", "issued", "certificate", "signature"],
)
def test_the_checker_sees_what_is_missing(
    outcome: Outcome, uid: str, edit: Callable[[History, str], None], text: str
) -> None:
    """No kill explains it."""
    history = copy.copy(outcome.history)
    edit(history, uid)
    found = violations(history)
    assert {each.uid for each in found} == {uid}
    assert any(text in each.text for each in found)


@pytest.mark.real
def test_reconcile_sees_a_missing_record(outcome: Outcome, deployment: Deployment, uid: str) -> None:
    """KMS's log has a signature that no record announces."""
    records = [each for each in outcome.history.records if each.line["csr_uid"] != uid]
    found = story.reconciled(replace(outcome.history, records=records), deployment)
    (error,) = [each for each in found if each["level"] == "error"]
    assert (error["what"], f"csr-uid={uid};" in error["reason"]) == ("signature without record", True)


@pytest.mark.real
def test_interrupt(tmp_path: Path) -> None:
    """Ctrl-C ends the story with one line; no process and no file stays."""
    with running.started(temporary=tmp_path, module="tests.simulation.story") as command:
        running.read_until(command, "API server")
        command.send_signal(signal.SIGINT)
        assert command.communicate(timeout=running.LONG)[1] == "simulate: interrupted\n"
    assert command.returncode == 130
    assert running.left_running(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_a_kill_cut_is_no_record() -> None:
    """Each process has the records between two kills, without other lines."""
    lines = [json.dumps({"severity": "INFO", "time": "2026-01-01T00:00:00Z", "event": event}) for event in "abc"]
    first, second = f"{lines[0]}\nBooting worker\n{lines[1][:30]}".encode(), f"{lines[2]}\n".encode()
    found = observed.recorded(first + second, [len(first)], 0.0)
    assert [(each.process, each.line["event"]) for each in found] == [("function-0", "a"), ("function-1", "c")]


def test_a_deletion_that_no_watch_showed_is_part_of_the_history(tmp_path: Path) -> None:
    """A restart of the API server can hide it."""
    with KubernetesServer(tmp_path) as server, Api.from_kubeconfig(server.kubeconfig) as api:
        request = twists.elliptic(Content(common_name="web", dns_names=("web",), address="10.244.0.2"))
        spec = {"request": base64.b64encode(pem(request)).decode(), "signerName": "example.com/web", "usages": ["any"]}
        uid = api.post(CSRS, {"metadata": {"name": "web"}, "spec": spec})["metadata"]["uid"]
        with observed.Watcher(api, 0.0) as watcher:
            eventually(lambda: watcher.observation(uid) is not None)
        api.delete(csr_path("web"))
        first, last = watcher.changes()
    assert [(each.uid, each.is_deleted) for each in (first, last)] == [(uid, False), (uid, True)]
    assert last.version > first.version


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--csrs", "0"], '--csrs: Invalid value: "0": must be 1 to 20000'),
        (["--minutes", "never"], '--minutes: Invalid value: "never": must be 0.1 to 60'),
        (["--kills", "-1"], '--kills: Invalid value: "-1": must be 0 to 1000'),
    ],
)
def test_an_option_out_of_range_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything starts."""
    with pytest.raises(SystemExit, match="2"):
        story.main(arguments)
    assert capsys.readouterr().err.endswith(f"scripts/simulate --story: error: argument {message}\n")
