"""Lists: pages of one version, and selectors."""

import pytest

from sandbox.api import CSRS, Json
from tests.contract.kubernetes.support import Target, make_namespace, real_only, refusal, unique


def _make(target: Target, count: int) -> tuple[str, list[str]]:
    """CSRs for a signer of their own, with names in order."""
    signer, prefix = f"{unique('s')}.example.com/x", unique()
    names = [f"{prefix}-{number}" for number in range(count)]
    for name in names:
        target.create_csr(name, signerName=signer)
    return f"spec.signerName={signer}", names


def _names(page: Json) -> list[str]:
    return [item["metadata"]["name"] for item in page["items"]]


def test_a_list_comes_in_pages_of_one_version(target: Target) -> None:
    """Pages go on where the one before ended, in order, and show what was there at the first one."""
    selector, names = _make(target, 5)
    first = target.api.get(CSRS, fieldSelector=selector, limit=2)
    target.create_csr(f"{names[3]}-late", signerName=selector.partition("=")[2])
    token = first["metadata"]["continue"]
    second = target.api.get(CSRS, fieldSelector=selector, limit=2, **{"continue": token})
    last = target.api.get(CSRS, fieldSelector=selector, **{"continue": second["metadata"]["continue"]})
    assert _names(first) + _names(second) + _names(last) == names
    assert "continue" not in last["metadata"]
    assert len({page["metadata"]["resourceVersion"] for page in (first, second, last)}) == 1


def test_a_list_says_its_kind_once(target: Target) -> None:
    """The elements have neither kind nor apiVersion."""
    selector, _ = _make(target, 1)
    page = target.api.get(CSRS, fieldSelector=selector)
    assert (page["kind"], page["apiVersion"]) == ("CertificateSigningRequestList", "certificates.k8s.io/v1")
    assert set(page["items"][0]) == {"metadata", "spec", "status"}


def test_an_empty_list_has_no_elements_and_a_version(target: Target) -> None:
    """A watch can start from it."""
    page = target.api.get(CSRS, fieldSelector="spec.signerName=nobody.example.com/x")
    assert page["items"] == []
    assert int(page["metadata"]["resourceVersion"]) > 0


def test_selectors_name_signer_and_object(target: Target) -> None:
    """spec.signerName and metadata.name select, together and negated."""
    selector, names = _make(target, 3)

    def select(more: str) -> list[str]:
        return _names(target.api.get(CSRS, fieldSelector=more))

    assert select(selector) == names
    assert select(selector.replace("=", "==")) == names
    assert select(f"metadata.name={names[1]}") == [names[1]]
    assert select(f"{selector},metadata.name!={names[1]}") == [names[0], names[2]]
    assert select(f"{selector},metadata.name={unique()}") == []


@pytest.mark.parametrize("selector", ["spec.username=x", "status.certificate=x", "x", "metadata.uid=x"])
@pytest.mark.parametrize("watch", [False, True])
def test_an_unknown_field_is_a_bad_request(target: Target, selector: str, watch: bool) -> None:  # noqa: FBT001 - parameter
    """What cannot be selected is refused, not ignored."""
    refused = refusal(lambda: target.api.get(CSRS, fieldSelector=selector, watch=watch))
    assert (refused.status, refused.reason) == (400, "BadRequest")


def test_namespaced_objects_are_listed_by_namespace_and_together(target: Target) -> None:
    """One namespace, or all of them with a selector."""
    first, second, name = make_namespace(target.api), make_namespace(target.api), unique("sa")
    for namespace in (first, second):
        target.api.post(f"{namespace}/serviceaccounts", {"metadata": {"name": name}})
    assert _names(target.api.get(f"{first}/serviceaccounts", fieldSelector=f"metadata.name={name}")) == [name]
    everywhere = target.api.get("/api/v1/serviceaccounts", fieldSelector=f"metadata.name={name}")
    assert {item["metadata"]["namespace"] for item in everywhere["items"]} == {
        first.rpartition("/")[2],
        second.rpartition("/")[2],
    }


@pytest.mark.parametrize(
    "query",
    [
        {"continue": "junk"},
        {"limit": "x"},
        {"resourceVersion": "x"},
        {"continue": "e30", "resourceVersion": "1"},
    ],
    ids=str,
)
def test_parameters_that_make_no_sense_are_bad_requests(target: Target, query: dict[str, str]) -> None:
    """Tokens, numbers and versions are checked."""
    assert refusal(lambda: target.api.get(CSRS, **query)).reason == "BadRequest"


@real_only
def test_a_version_that_is_not_reached_times_out(target: Target) -> None:
    """Who has seen more than this API server is told to come back: 504 with a cause."""
    version = int(target.api.get(CSRS, limit=1)["metadata"]["resourceVersion"])
    refused = refusal(lambda: target.api.get(CSRS, resourceVersion=version + 100_000))
    assert (refused.status, refused.reason) == (504, "Timeout")
    assert isinstance(refused.body, dict)
    assert refused.body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
