"""Leaving managedFields out of documents that Python cannot read with them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.managed_fields import DEEPEST, nested, without_fields

CSR = {"apiVersion": "certificates.k8s.io/v1", "metadata": {"name": "n"}}
FIELDS: st.SearchStrategy[object] = st.recursive(
    st.just({}), lambda inner: st.dictionaries(st.text().map(lambda text: f"f:{text}"), inner, min_size=1)
)


@pytest.mark.parametrize("depth", [1, 1500, DEEPEST])
def test_a_document_is_read_without_fields_of_any_depth(depth: int) -> None:
    """Only the fields are left out."""
    read = json.loads(without_fields(nested(CSR, depth).decode()))
    (entry,) = read["metadata"].pop("managedFields")
    assert entry["fieldsV1"] == {}
    assert entry["manager"] == "nesting"
    assert read == CSR


@given(fields=FIELDS, indent=st.sampled_from([None, 0, 3]))
def test_the_rest_of_the_document_stays(fields: object, indent: int | None) -> None:
    """Names with blanks, escapes and brackets do not matter, and text that looks like fields stays."""
    document = {
        "managedFields": [{"fieldsV1": fields}, {"fieldsV1": fields, "a": 1}],
        "note": '{"fieldsV1":{"f:a":{}}}',
    }
    assert json.loads(without_fields(json.dumps(document, indent=indent))) == {
        "managedFields": [{"fieldsV1": {}}, {"fieldsV1": {}, "a": 1}],
        "note": document["note"],
    }
