"""metadata.managedFields, which any client may write and nest, and what is escaped in answers."""

from collections.abc import Mapping
from typing import Any

import pytest

from sandbox.api import CSRS, Json, csr_path
from sandbox.managed_fields import DEEPEST, nested
from tests.contract.kubernetes.support import APPROVED, Target, csr, make_pod, refusal, unique

FIELDS: Json = {"f:a": {"f:b": {}, ".": {}, 'k:{"type":"<x>"}': {}}}
OPENS = '{"f:a":'


def entry(fields: object, manager: str = "mine") -> Json:
    """One manager's fields."""
    return {
        "manager": manager,
        "operation": "Update",
        "apiVersion": "certificates.k8s.io/v1",
        "time": "2001-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }


def managed(target: Target, *entries: Json) -> Json:
    """A new CSR with these entries."""
    return target.api.post(CSRS, csr(metadata={"managedFields": list(entries)}))


def of(stored: Mapping[str, Any], *managers: str) -> list[str]:
    """Which of these have entries."""
    return [each["manager"] for each in stored["metadata"].get("managedFields", []) if each["manager"] in managers]


def raw(target: Target, path: str, **query: str) -> str:
    """An answer as it comes."""
    return target.api.get_text(path, **query)


def without(target: Target, name: str, *entries: Json, given: bool = False) -> Json:
    """An update that changes something, and has these entries in place of what is stored, or none at all."""
    changed = target.api.get(csr_path(name))
    changed["metadata"]["labels"] = {"changed": unique()}
    changed["metadata"].pop("managedFields", None)
    if given:
        changed["metadata"]["managedFields"] = list(entries)
    return changed


def test_what_a_creator_says_is_kept(target: Target) -> None:
    """Unasked and unchecked, as long as it is a set of fields."""
    made = managed(target, entry(FIELDS))
    assert '"f:b":{}' in raw(target, csr_path(made["metadata"]["name"]))
    assert of(made, "mine") == ["mine"]


@pytest.mark.parametrize("fields", [{"x": {}}, {"f:a": 7}, {"f:a": [{}]}, [1], "text", '{"f:a":{}}'], ids=repr)
def test_what_is_no_set_of_fields_is_forgotten(target: Target, fields: object) -> None:
    """Silently, with all entries."""
    assert of(managed(target, entry(FIELDS), entry(fields, "other")), "mine", "other") == []


@pytest.mark.parametrize("fields", [{}, None])
def test_an_empty_set_is_forgotten_alone(target: Target, fields: object) -> None:
    """The other entries stay."""
    assert of(managed(target, entry(FIELDS), entry(fields, "other")), "mine", "other") == ["mine"]


@pytest.mark.parametrize("endpoint", ["", "approval", "status"])
def test_absent_in_a_put_they_are_kept(target: Target, endpoint: str) -> None:
    """Whoever updates an object does not have to carry them, through no endpoint."""
    name = managed(target, entry(FIELDS))["metadata"]["name"]
    updated = target.api.put(csr_path(name, endpoint), without(target, name))
    assert updated["metadata"]["labels"]
    assert of(updated, "mine") == ["mine"]
    assert '"f:b":{}' in raw(target, csr_path(name))


@pytest.mark.parametrize("endpoint", ["approval", "status"])
@pytest.mark.parametrize("given", [[entry(FIELDS, "other")], [], [{}]], ids=["others", "none", "a reset"])
def test_a_subresource_takes_none(target: Target, endpoint: str, given: list[Json]) -> None:
    """What a PUT or a patch has of them there is passed over."""
    name = managed(target, entry(FIELDS))["metadata"]["name"]
    path = csr_path(name, endpoint)
    assert of(target.api.put(path, without(target, name, *given, given=True)), "mine", "other") == ["mine"]
    patched = target.api.patch(path, {"metadata": {"labels": {"b": "c"}, "managedFields": given}})
    assert of(patched, "mine", "other") == ["mine"]


@pytest.mark.parametrize(
    ("given", "left"),
    [([entry(FIELDS, "other")], ["other"]), ([], []), ([{}], []), ([entry("text", "other")], ["mine"])],
    ids=["others", "none", "a reset", "nonsense"],
)
def test_the_main_resource_takes_what_is_given(target: Target, given: list[Json], left: list[str]) -> None:
    """Others in their place, or none at all; what is no set of fields counts as absent."""
    name = managed(target, entry(FIELDS))["metadata"]["name"]
    updated = target.api.put(csr_path(name), without(target, name, *given, given=True))
    assert of(updated, "mine", "other") == left


@pytest.mark.parametrize("depth", [500, 1500, 9993, DEEPEST])
def test_they_may_be_nested_very_deeply(target: Target, depth: int) -> None:
    """They are read back, in lists and watches too, and the object is updated as any other."""
    document = csr(signerName=f"deep.example.com/{unique()}")
    selector = f"spec.signerName={document['spec']['signerName']}"
    made = target.api.post(CSRS, nested(document, depth))
    name = made["metadata"]["name"]
    approved = target.update({**document, "metadata": {"name": name}}, "approval", conditions=[APPROVED])
    assert approved["metadata"]["uid"] == made["metadata"]["uid"]
    assert raw(target, csr_path(name)).count(OPENS) == depth
    assert raw(target, CSRS, fieldSelector=selector).count(OPENS) == depth
    with target.api.watch(CSRS, fieldSelector=selector, timeoutSeconds=5) as events:
        event = next(events)
    assert (event["type"], event["object"]["metadata"]["uid"]) == ("ADDED", made["metadata"]["uid"])


def test_deeper_is_no_json(target: Target) -> None:
    """10,000 levels of a document are read, whatever they are."""
    refused = refusal(lambda: target.api.post(CSRS, nested(csr(), DEEPEST + 1)))
    assert (refused.status, refused.reason) == (400, "BadRequest")


def test_what_html_knows_takes_six_bytes(target: Target) -> None:
    """In whatever somebody wrote: an answer may be six times what is stored, which is up to 1.5 MiB."""
    pod, text = make_pod(target.api), '<>&"\\\u2028é'
    shown = r"\u003c\u003e\u0026\"\\\u2028é"
    target.api.patch(f"{pod.path}/status", {"status": {"message": text}})
    assert f'"message":"{shown}"' in raw(target, pod.path)
    target.api.patch(f"{pod.path}/status", {"status": {"message": "<" * 1_450_000}})
    assert len(raw(target, pod.path)) > 6 * 1_450_000
    made = target.api.post(CSRS, nested(csr(), 2, 'f:<>&"'))
    assert r'"f:\u003c\u003e\u0026\""' in raw(target, csr_path(made["metadata"]["name"]))
