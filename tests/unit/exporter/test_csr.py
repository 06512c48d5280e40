"""The API object, reduced to a reference and a stage."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csr_exporter import csr
from csr_exporter.csr import MalformedError, Stage
from tests.unit.exporter.support import CREATED, csr_document, reference


@pytest.mark.parametrize(
    ("document", "stage"),
    [
        (csr_document(1), Stage.PENDING),
        (csr_document(1) | {"status": None}, Stage.PENDING),
        (csr_document(1) | {"status": {"conditions": None}}, Stage.PENDING),
        (csr_document(1, "Approved"), Stage.APPROVED),
        (csr_document(1, "Anything"), Stage.PENDING),
        (csr_document(1, "Approved", "Anything"), Stage.APPROVED),
        (csr_document(1, "Denied"), None),
        (csr_document(1, "Failed"), None),
        (csr_document(1, "Approved", "Failed"), None),
        (csr_document(1, "Approved", deletionTimestamp=CREATED), None),
        (csr_document(1, "Approved") | {"status": {"certificate": "eA=="}}, None),
        (csr_document(1) | {"status": {"certificate": ""}}, Stage.PENDING),
    ],
)
def test_stage(document: dict[str, object], stage: Stage | None) -> None:
    """Pending, approved, or nothing left to do: denied, failed, issued, or being deleted."""
    seen = csr.from_api(document)
    assert (seen.stage, seen.reference) == (stage, reference(1))


def test_issued() -> None:
    """Whether nothing is left to do because the certificate is there."""
    documents = [csr_document(1, "Approved") | {"status": {"certificate": "eA=="}}, csr_document(1, "Denied")]
    assert [csr.from_api(document).issued for document in documents] == [True, False]


USER: dict[str, object] = {"username": "system:serviceaccount:a:b"}
POD_UID = "authentication.kubernetes.io/pod-uid"


def test_a_pod_is_one_requester() -> None:
    """The same user from another pod is another requester, and so is another user from a pod of that uid."""
    specs: list[dict[str, object]] = [
        USER,
        USER | {"extra": {POD_UID: ["1"]}},
        USER | {"extra": {POD_UID: ["2"]}},
        {"username": "other", "extra": {POD_UID: ["1"]}},
        {"username": "other"},
        {},
    ]
    digests = [csr.requester_of(spec) for spec in specs]
    assert len(set(digests)) == len(specs)
    assert digests == [csr.requester_of(spec) for spec in specs]
    assert {len(each) for each in digests} == {16}


@pytest.mark.parametrize("extra", [None, [], "x", {POD_UID: []}, {POD_UID: "1"}, {POD_UID: ["1", "2"]}, {POD_UID: [1]}])
def test_an_invalid_pod_uid_is_none(extra: object) -> None:
    """Then the user name alone counts, so that an invalid pod uid brings no second rate limit."""
    assert csr.requester_of(USER | {"extra": extra}) == csr.requester_of(USER)
    assert csr.requester_of({"username": 5, "extra": extra}) == csr.requester_of({})


def test_a_requester_may_be_any_text() -> None:
    """Unpaired surrogates and megabytes make a digest like any other."""
    assert len(csr.requester_of({"username": "\ud800" * 1_000_000})) == 16


def _without(part: str, field: str) -> dict[str, Any]:
    document: dict[str, Any] = csr_document(1)
    del document[part][field]
    return document


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "text",
        {},
        {"metadata": {}, "spec": {}},
        _without("metadata", "uid"),
        _without("metadata", "name"),
        _without("metadata", "resourceVersion"),
        _without("metadata", "creationTimestamp"),
        _without("spec", "signerName"),
        csr_document(1) | {"spec": "text"},
        csr_document(1) | {"status": []},
        csr_document(1) | {"status": {"conditions": {}}},
        csr_document(1) | {"status": {"conditions": ["Approved"]}},
        csr_document(1) | {"status": {"conditions": [{"type": 1}]}},
        csr_document(1, name=5),
        csr_document(1, uid=""),
    ],
)
def test_wrong_types_are_malformed(document: object) -> None:
    """What is not understood is an error of its own kind, never a guess."""
    with pytest.raises(MalformedError):
        csr.from_api(document)


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.text() | st.integers(),
        lambda each: (
            st.lists(each)
            | st.dictionaries(
                st.sampled_from(["metadata", "spec", "status", "uid", "name", "conditions", "type", "signerName"]), each
            )
        ),
    )
)
def test_any_document_gives_a_typed_answer(document: object) -> None:
    """Whatever JSON comes, it is either seen or malformed."""
    try:
        csr.from_api(document)
    except MalformedError:
        return


@pytest.mark.parametrize(
    ("name", "sendable"),
    [
        ("csr-1", True),
        ("node-certs:calico-node-x7k2p", True),
        ("a b 'quoted' \"twice\" <&>", True),
        ("é" * 256, True),
        ("é" * 257, False),
        ("x" * 512, True),
        ("x" * 513, False),
        ("x" * 60_000, False),
        ("line\nbreak", False),
        ("nul\0", False),
        ("\x85", False),
        ("\ud800", False),
    ],
)
def test_names_that_the_function_would_refuse_are_not_sent(name: str, sendable: bool) -> None:  # noqa: FBT001 - a row
    """At most 512 bytes, no control characters, valid Unicode."""
    assert csr.is_sendable(name) is sendable
