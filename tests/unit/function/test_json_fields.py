"""Objects of the API server as JSON: only the fields that are named, and only what was asked for."""

import json
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csr_signer.errors import UnavailableError
from csr_signer.objects import json_fields
from csr_signer.objects.csr import CertificateSigningRequest
from csr_signer.objects.json_fields import METADATA, OTHERS
from tests.unit.function.builders import POD, make_csr_object, make_node, make_pod

NAME = f"node-certs:{POD}"
KEYS = ["a", "b", "c"]


def nested(levels: int, inner: str = "1") -> str:
    """An object in an object, so many times, as `f:` keys of managedFields are."""
    return '{"f:a":' * levels + inner + "}" * levels


def with_managed_fields(fields: bytes) -> bytes:
    """The JSON of a CSR whose requester wrote these."""
    api = make_csr_object()
    api["metadata"]["managedFields"] = [{"fieldsV1": "HOLE"}]
    return json.dumps(api).encode().replace(b'"HOLE"', fields)


@pytest.mark.parametrize("levels", [1, 500, 990, 1500, 9995, 200_000])
def test_managed_fields_of_any_depth_leave_the_csr_readable(levels: int) -> None:
    """A requester that nests them as deeply as the API server takes, or deeper, gets read like everybody else."""
    plain = CertificateSigningRequest.from_api(json.dumps(make_csr_object()).encode(), name=NAME)
    document = with_managed_fields(nested(levels).encode())
    assert CertificateSigningRequest.from_api(document, name=NAME) == replace(plain, size=len(document))


@pytest.mark.parametrize("odd", [b"\xff", b"\xed\xb0\x80", b"\xc3", b"\xf0\x9f", b"\xff" * 70_000, b"\xf0\x9f\x94\x91"])
def test_managed_fields_of_any_bytes_leave_the_csr_readable(odd: bytes) -> None:
    """kube-apiserver shows them as a client wrote them, whether they are UTF-8 or not."""
    plain = CertificateSigningRequest.from_api(json.dumps(make_csr_object()).encode(), name=NAME)
    document = with_managed_fields(b'{"f:' + odd + b'":{}}')
    assert CertificateSigningRequest.from_api(document, name=NAME) == replace(plain, size=len(document))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**63, 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=12,
)
MASKS: st.SearchStrategy[Any] = st.recursive(
    st.none(),
    lambda inner: (
        inner.map(lambda only: [only]) | st.dictionaries(st.sampled_from([*KEYS[:2], OTHERS]), inner, max_size=3)
    ),
    max_leaves=6,
)


def masked(value: Any, mask: Any) -> Any:
    """What is kept of a value: written once more, so that the two can be compared."""
    if isinstance(value, dict):
        known = mask if isinstance(mask, dict) else {}
        named = {key: known[key if key in known else OTHERS] for key in value if key in known or OTHERS in known}
        return {key: masked(value[key], inner) for key, inner in named.items()}
    if isinstance(value, list):
        return [masked(each, mask[0]) for each in value] if isinstance(mask, list) else []
    return value


@given(document=JSON, mask=MASKS, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]), size=st.integers(1, 99))
def test_only_the_masks_fields_are_kept(
    document: Any, mask: Any, *, ascii_only: bool, indent: int | None, size: int
) -> None:
    """Other fields are dropped in any form, in pieces of any size; a value of another type has no content."""
    data = json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode()
    assert json_fields.select(data, mask) == masked(document, mask)
    parser = json_fields.Parser(mask)
    for start in range(0, len(data), size):
        parser.feed(data[start : start + size])
    assert parser.close() == masked(document, mask)


def test_what_is_kept_of_an_object_is_bounded() -> None:
    """Of a longer list and a longer text, only the beginning; an object that keeps more in all is no object."""
    document = json.dumps({"list": list("abcde"), "text": "\U0001f511" * 9, "all": {str(n): "" for n in range(9)}})
    bounds = json_fields.Bounds(items=3, text=4, whole=8 * json_fields.VALUE_COST)
    kept = json_fields.select(document.encode(), {"list": [None], "text": None}, bounds=bounds)
    assert kept == {"list": ["a", "b", "c"], "text": "\U0001f511" * 4}
    with pytest.raises(ValueError, match="more than 512 characters"):
        json_fields.select(document.encode(), {"all": {OTHERS: None}}, bounds=bounds)


def test_attack_texts_of_megabytes_in_a_status() -> None:
    """A writer of pods/status or nodes/status cannot make a request fail: pod and node are read all the same."""
    long = "9" * 1_000_000
    ips = [long, "10.0.0.1", *[long] * 100]
    assert make_pod(phase=long, pod_ips=ips, host_ips=ips).addresses == {ip_address("10.0.0.1")}
    node = make_node(addresses=[("InternalIP", "10.0.0.1"), *[(long, long)] * 100])
    assert node.addresses == {ip_address("10.0.0.1")}


HOSTILE = {
    "groups": {"groups": ["g"] * 500_000},
    "usages": {"usages": [f"u{number}" for number in range(500_000)]},
    "extra": {"extra": {"a": ["e"] * 500_000}},
    "request": {"request": "QUJD" * 1_000_000},
}


@pytest.mark.parametrize("spec", HOSTILE.values(), ids=HOSTILE)
def test_attack_a_field_of_megabytes(spec: dict[str, Any]) -> None:
    """The CSR is read and can be refused, but only the beginning of the field is kept and judged."""
    api = make_csr_object()
    document = json.dumps(api | {"spec": api["spec"] | spec}).encode()
    csr = CertificateSigningRequest.from_api(document, name=NAME)
    kept = [*csr.usages, *csr.requester.groups, *sum(csr.requester.extra.values(), ())]
    assert len(kept) < 100
    assert len(csr.request) < 64 * 1024
    assert csr.size == len(document)


def test_brackets_in_strings_do_not_count() -> None:
    """A dropped value ends at its real end."""
    text = '[{"' * 3000 + "\\" * 3 + '"}]'
    document = f'{{"x": [{json.dumps(text)}], "deep": {nested(100_000)}, "a": {json.dumps(text)}}}'
    assert json_fields.select(document.encode(), {"a": None}) == {"a": text}


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[" * 100_000,
        b"{" * 100_000,
        b"]" * 9,
        b'{"a":' * 100_000 + b'"',
        b"\xff",
        b"\xef\xbb\xbf{}",
        b"{}x",
        b"{}\xc3",
        b'{"a":NaN}',
        b'{"a":"\\udc00"}',
        b'{"a":1e400}',
        b'{"a":9223372036854775808}',
        b'{"a":' + b"9" * 5000 + b"}",
    ],
)
@pytest.mark.parametrize("mask", [{}, {"a": None}])
def test_malformed_json_is_refused(document: bytes, mask: Any) -> None:
    """Also if it is deep or in a dropped value; and a number that no Kubernetes field can hold."""
    with pytest.raises(ValueError, match=r"JSON|codec"):
        json_fields.select(document, mask)


def test_the_object_that_was_asked_for_is_given() -> None:
    """Kind, name, namespace and a uid are compared."""
    api = {"kind": "Pod", "metadata": {"name": "a", "namespace": "n", "uid": "1"}}
    document = json.dumps(api | {"spec": {}}).encode()
    mask: dict[str, json_fields.Mask] = {"metadata": METADATA}
    assert json_fields.read(document, "Pod", mask, name="a", namespace="n") == api
    for kind, name, namespace in (("Node", "a", "n"), ("Pod", "b", "n"), ("Pod", "a", "m"), ("Pod", "a", None)):
        with pytest.raises(UnavailableError, match=f"no {kind}"):
            json_fields.read(document, kind, mask, name=name, namespace=namespace)
