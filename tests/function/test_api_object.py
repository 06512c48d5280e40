"""Objects of the API server as JSON: however deep, and only what was asked for."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csr_signer import api_object
from csr_signer.csr import CertificateSigningRequest
from csr_signer.errors import UnavailableError
from tests.function.builders import POD, make_csr_object

NAME = f"node-certs:{POD}"


def nested(levels: int, inner: str = "1") -> str:
    """An object in an object, so many times, as `f:` keys of managedFields are."""
    return '{"f:a":' * levels + inner + "}" * levels


@pytest.mark.parametrize("levels", [1, 500, 990, 1500, 9995, 200_000])
def test_managed_fields_of_any_depth_leave_the_csr_readable(levels: int) -> None:
    """A requester that nests them as deeply as the API server takes, or deeper, gets read like everybody else."""
    api = make_csr_object()
    api["metadata"]["managedFields"] = [{"fieldsV1": "HOLE"}]
    document = json.dumps(api).replace('"HOLE"', nested(levels)).encode()
    plain = CertificateSigningRequest.from_api(json.dumps(make_csr_object()).encode(), name=NAME)
    assert CertificateSigningRequest.from_api(document, name=NAME) == plain


def test_brackets_in_texts_are_none() -> None:
    """Only what nests is cut; a text full of brackets, quotes and backslashes stays as it is."""
    text = '[{"' * 3000 + "\\" * 3 + '"}]'
    document = f'{{"a": {json.dumps(text)}, "deep": {nested(100_000)}, "b": [1, {json.dumps(text)}]}}'
    read = api_object.parse(document.encode())
    assert (read["a"], read["b"]) == (text, [1, text])


def test_a_deep_document_with_long_texts_costs_a_few_times_its_size() -> None:
    """Whoever can nest can also write texts of megabytes, full of escapes: no state is kept for each of their bytes."""
    document = b'{"a":' * 50_000 + b'"' + b"\\u003c" * 500_000 + b'"' + b"}" * 50_000
    tracemalloc.start()
    try:
        assert "a" in api_object.parse(document)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(document)
    finally:
        tracemalloc.stop()


def test_what_is_cut_is_null() -> None:
    """Of what cannot be read whole, 64 levels are kept, lists and objects alike, and what stands beside them."""
    deep: Any = api_object.parse(("[" * 100_000 + "]" * 100_000).encode())
    levels = 0
    while deep:
        (deep,) = deep
        levels += 1
    assert (levels, deep) == (api_object.DEEPEST, None)
    beside = api_object.parse(f"[{nested(100_000)}, {nested(63, '[]')}, 7]".encode())
    assert beside[1:] == [json.loads(nested(62, '{"f:a": null}')), 7]


@pytest.mark.parametrize(
    "document", [b"", b"[" * 100_000, b"{" * 100_000, b"]" * 9, b'{"a":' * 100_000 + b'"', b"\xff"]
)
def test_what_is_no_json_is_refused(document: bytes) -> None:
    """Also where it is deep."""
    with pytest.raises(ValueError, match=r"line|codec"):
        api_object.parse(document)


SCALARS = st.none() | st.booleans() | st.integers() | st.text()


@settings(max_examples=100)
@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_whatever_is_not_too_deep_is_read_as_it_is(value: Any) -> None:
    """Nothing else is changed."""
    assert api_object.parse(json.dumps(value).encode()) == value


def test_the_object_that_was_asked_for_is_given() -> None:
    """Kind, name, namespace and a uid are compared."""
    api = {"kind": "Pod", "metadata": {"name": "a", "namespace": "n", "uid": "1"}}
    document = json.dumps(api).encode()
    assert api_object.read(document, "Pod", name="a", namespace="n") == api
    for kind, name, namespace in (("Node", "a", "n"), ("Pod", "b", "n"), ("Pod", "a", "m"), ("Pod", "a", None)):
        with pytest.raises(UnavailableError, match=f"no {kind}"):
            api_object.read(document, kind, name=name, namespace=namespace)
