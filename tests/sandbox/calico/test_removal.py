"""A world deletes all that it created, also if one deletion fails, and nothing else."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from sandbox.api import NAMESPACES, NODES, Api
from sandbox.calico.render import OURS
from sandbox.calico.world import RemovalError, World
from tests.unit.signerctl.answers import Answers, answering

Json = dict[str, Any]
ACCOUNTS = f"{NAMESPACES}/shop/serviceaccounts"
NAMES = ("first", "second", "third")


@pytest.fixture
def answers() -> Iterator[Answers]:
    """An API server with three nodes."""
    with answering() as answers:
        answers.prepared |= {f"DELETE {NODES}/{name}": (200, {}) for name in NAMES}
        yield answers


@pytest.fixture
def world(answers: Answers) -> Iterator[World]:
    """A world that created the nodes."""
    address = urlsplit(answers.url)
    with (
        urllib3.HTTPConnectionPool(str(address.hostname), address.port) as pool,
        World(Api(server=answers.url, pool=pool, anonymous_pool=pool)) as world,
    ):
        for name in NAMES:
            world.remember(f"{NODES}/{name}", f"uid-of-{name}")
        yield world


def deletions(answers: Answers) -> list[str]:
    """Returns the names of the nodes for which a deletion arrived, and forgets them."""
    names = [path.rpartition("/")[2] for method, path, _, _ in answers.received if method == "DELETE"]
    answers.received.clear()
    return names


def test_a_failing_deletion_does_not_keep_the_others(answers: Answers, world: World) -> None:
    """Each object is tried; the error names the one that is left, and the next call tries only that one."""
    answers.prepared[f"DELETE {NODES}/second"] = (500, {"message": "etcd is down"})
    with pytest.raises(RemovalError, match=f"^{NODES}/second: .*etcd is down"):
        world.remove()
    assert deletions(answers) == ["third", "second", "first"]
    answers.prepared[f"DELETE {NODES}/second"] = (200, {})
    world.remove()
    assert deletions(answers) == ["second"]


def test_a_removal_ends(answers: Answers, world: World) -> None:
    """After its time it sends nothing, and names all that is left."""
    with pytest.raises(RemovalError) as raised:
        world.remove(seconds=-1)
    assert not deletions(answers)
    assert all(f"{NODES}/{name}" in str(raised.value) for name in NAMES)


def test_another_object_of_the_name_stays(answers: Answers, world: World) -> None:
    """Another program replaced the node meanwhile: the API server compares the uid, and that is no error."""
    wanted: list[str] = []

    def compared(body: Json) -> tuple[int, Json]:
        wanted.append(body["preconditions"]["uid"])
        return (409, {"message": "Precondition failed: UID in precondition: uid-of-second, UID in object meta: other"})

    answers.prepared[f"DELETE {NODES}/second"] = compared
    world.remove()
    assert wanted == ["uid-of-second"]


@pytest.mark.parametrize(("labels", "deleted"), [(OURS, ["api"]), ({}, [])], ids=["ours", "of another program"])
def test_an_object_without_an_answer_is_deleted_if_it_is_ours(
    answers: Answers, world: World, labels: Json, deleted: list[str]
) -> None:
    """An interrupt or a lost answer: the request may have created the object, or another program had done so before."""
    answers.prepared |= {
        f"POST {ACCOUNTS}": (504, {"message": "timeout"}),
        f"GET {ACCOUNTS}/api": (200, {"metadata": {"uid": "unknown", "labels": labels}}),
        f"DELETE {ACCOUNTS}/api": (200, {}),
    }
    with pytest.raises(Exception, match="timeout"):
        world.add_account("shop", "api")
    world.remove()
    assert [name for name in deletions(answers) if name not in NAMES] == deleted


def test_a_requester_of_its_own_has_nothing_of_calico(answers: Answers, world: World) -> None:
    """Its role and its binding have the name of its namespace, so that no right of Calico's accounts changes."""
    made: list[str] = []

    def create(body: Json) -> tuple[int, Json]:
        made.append(f"{body['kind']} {body['metadata']['name']}")
        return (201, {"metadata": {**body["metadata"], "uid": "new"}})

    rbac = "/apis/rbac.authorization.k8s.io/v1"
    collections = (ACCOUNTS, f"{rbac}/clusterroles", f"{rbac}/clusterrolebindings")
    answers.prepared |= {f"POST {collection}": create for collection in collections}
    world.add_requester("shop", "api")
    assert made == ["ServiceAccount api", "ClusterRole shop:csr-creator", "ClusterRoleBinding shop:csr-creator"]
