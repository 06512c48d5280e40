"""scripts/acceptance removes what it created, whatever happens, and says what is left."""

import signal
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from sandbox.acceptance import removal
from sandbox.acceptance.report import Outcome, Run, ok
from sandbox.api import NAMESPACES, Api
from sandbox.calico.render import OURS
from sandbox.calico.world import World
from sandbox.demo import interrupt
from tests.unit.signerctl.answers import Answers, answering

ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/csr-acceptance:csr-creator"
NAMESPACE = f"{NAMESPACES}/csr-acceptance"
Json = dict[str, Any]


@pytest.fixture
def handlers() -> Iterator[None]:
    """Restores the signals' handlers."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def answers() -> Iterator[Answers]:
    """An API server that deletes everything."""
    with answering() as answers:
        answers.prepared |= {f"DELETE {path}": (200, {}) for path in (ROLE, NAMESPACE)}
        yield answers


@pytest.fixture
def api(answers: Answers) -> Iterator[Api]:
    """A client of it."""
    address = urlsplit(answers.url)
    with urllib3.HTTPConnectionPool(str(address.hostname), address.port) as pool:
        yield Api(server=answers.url, pool=pool, anonymous_pool=pool)


def stored(uid: str, *, labels: Json | None = None, **metadata: str) -> tuple[int, Json]:
    """Returns the API server's answer about an object."""
    return (200, {"metadata": {"uid": uid, "labels": labels or {}, **metadata}})


def removed(api: Api) -> Outcome:
    """Returns the outcome of removing the role and the namespace."""
    with World(api) as world:
        world.remember(NAMESPACE, "ours")
        world.remember(ROLE, "ours")
        return removal.outcome(world.remove, world, api, seconds=0)


def test_all_objects_are_gone(api: Api) -> None:
    """The API server has none of the paths."""
    assert removed(api) == ok("all objects of the run are gone")


@pytest.mark.parametrize("path", [ROLE, NAMESPACE])
def test_each_object_that_is_left_is_named(answers: Answers, api: Api, path: str) -> None:
    """Not only the run's namespace, and with the command that deletes it."""
    answers.prepared[f"GET {path}"] = stored("ours")
    outcome = removed(api)
    assert outcome.level == "failed"
    assert f"kubectl delete --raw '{path}'" in outcome.text


def test_a_terminating_namespace_is_left(answers: Answers, api: Api) -> None:
    """A finalizer may keep it for ever."""
    answers.prepared[f"GET {NAMESPACE}"] = stored("ours", deletionTimestamp="2026-11-26T00:00:00Z")
    answers.prepared[f"GET {NAMESPACES}/default/configmaps/kube-root-ca.crt"] = (200, {})
    assert removed(api).level == "failed"


def test_another_object_of_the_name_is_not_left(answers: Answers, api: Api) -> None:
    """A controller creates the account `default` again as long as the namespace exists."""
    answers.prepared[f"GET {ROLE}"] = stored("of another program")
    assert removed(api).level == "ok"


def test_an_api_server_that_does_not_answer_fails(answers: Answers, api: Api) -> None:
    """The line says how to look for the objects."""
    answers.prepared[f"GET {ROLE}"] = (503, {"message": "down"})
    outcome = removed(api)
    assert outcome.level == "failed"
    assert next(iter(OURS.values())) in outcome.text


@pytest.mark.usefixtures("handlers")
def test_a_signal_does_not_end_the_removal() -> None:
    """Ctrl-C while objects are deleted: the removal goes on, and the run has its line."""
    run, steps = Run(), []

    def remove() -> Outcome:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        steps.append("removed")
        return ok("gone")

    removal.removed_after(run, lambda: steps.append("checked"), remove)
    assert steps == ["checked", "removed"]
    assert [line.outcome.level for line in run.lines] == ["ok"]


@pytest.mark.usefixtures("handlers")
def test_an_interrupted_run_is_removed() -> None:
    """Ctrl-C during the checks: the removal happens, and the run ends as interrupted."""
    run = Run()

    def interrupted() -> None:
        raise interrupt.InterruptedDemoError

    with pytest.raises(interrupt.InterruptedDemoError):
        removal.removed_after(run, interrupted, lambda: ok("gone"))
    assert [line.name for line in run.lines] == ["objects are deleted"]


@pytest.mark.usefixtures("handlers")
def test_signals_are_ignored_in_a_block_only() -> None:
    """A deployment that does not start removes its objects, and the program that started it goes on."""
    received: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    with interrupt.ignored():
        signal.raise_signal(signal.SIGINT)
    assert not received
    signal.raise_signal(signal.SIGINT)
    assert received == [signal.SIGINT]
