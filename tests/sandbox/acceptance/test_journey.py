"""scripts/acceptance evicts the pod that it has read, and no other."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from sandbox.acceptance import journey
from sandbox.api import NAMESPACES, Api, ApiError
from tests.unit.signerctl.answers import Answers, answering

PODS = f"{NAMESPACES}/shop/pods"
Json = dict[str, Any]


@pytest.fixture
def answers() -> Iterator[Answers]:
    """An API server with a pod of a StatefulSet, whose pods keep their names."""
    pod = {"metadata": {"name": "db-0", "uid": "old", "ownerReferences": [{"uid": "set", "controller": True}]}}
    with answering() as answers:
        answers.prepared |= {f"GET {PODS}/db-0": (200, pod), f"GET {PODS}": (200, {"items": [pod]})}
        yield answers


def evict(answers: Answers, *, present: str) -> None:
    """Evicts the pod when the API server knows the name as this uid."""

    def checked(body: Json) -> tuple[int, Json]:
        wanted = body.get("deleteOptions", {}).get("preconditions", {}).get("uid", present)
        return (201, {}) if wanted == present else (409, {"message": f"Precondition failed: UID: {present}"})

    answers.prepared[f"POST {PODS}/db-0/eviction"] = checked
    address = urlsplit(answers.url)
    with urllib3.HTTPConnectionPool(str(address.hostname), address.port) as pool:
        journey.evict(Api(server=answers.url, pool=pool, anonymous_pool=pool), "shop", "db-0")


def test_the_pod_is_evicted(answers: Answers) -> None:
    """The API server accepts the eviction of the pod that was read."""
    evict(answers, present="old")
    assert answers.received[-1][:2] == ("POST", f"{PODS}/db-0/eviction")


def test_a_successor_of_the_same_name_is_not_evicted(answers: Answers) -> None:
    """Another program replaced the pod after it was read: evicting the new pod would be a second disruption."""
    with pytest.raises(ApiError, match="Precondition failed"):
        evict(answers, present="new")
