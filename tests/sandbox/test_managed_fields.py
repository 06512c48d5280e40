"""Taking managedFields out of documents that Python cannot read with them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.managed_fields import DEEPEST, TAKEN_OUT, nested, take_out

CSR = {"apiVersion": "certificates.k8s.io/v1", "metadata": {"name": "n"}}
FIELDS: st.SearchStrategy[object] = st.recursive(
    st.just({}), lambda inner: st.dictionaries(st.text().map(lambda text: f"f:{text}"), inner, min_size=1)
).filter(bool)


@pytest.mark.parametrize("depth", [1, 1500, DEEPEST])
def test_fields_of_any_depth_become_their_text(depth: int) -> None:
    """Nothing of them is lost."""
    document = nested(CSR, depth).decode()
    read = json.loads(take_out(document))
    (entry,) = read["metadata"]["managedFields"]
    assert entry["fieldsV1"][TAKEN_OUT] in document
    assert entry["fieldsV1"][TAKEN_OUT].count("f:a") == depth


def test_deeper_ones_are_refused() -> None:
    """As by the API server."""
    with pytest.raises(ValueError, match="max depth"):
        take_out(nested(CSR, DEEPEST + 1).decode())


@given(fields=FIELDS, indent=st.sampled_from([None, 0, 3]))
def test_fields_are_replaced_by_their_exact_text(fields: object, indent: int | None) -> None:
    """Blanks, escapes and brackets in names stay, and so does the rest of the document."""
    document = {
        "managedFields": [{"fieldsV1": fields}, {"fieldsV1": fields, "a": 1}],
        "note": '{"fieldsV1":{"f:a":{}}}',
    }
    read = json.loads(take_out(json.dumps(document, indent=indent)))
    first, second = read["managedFields"]
    assert json.loads(first["fieldsV1"][TAKEN_OUT]) == json.loads(second["fieldsV1"][TAKEN_OUT]) == fields
    assert read["note"] == document["note"]


@pytest.mark.parametrize(
    "fields",
    [
        *("{}", "null", "7", '"f:a"', "[{}]", '{"x":{}}', '{"f:a":7}', '{"f:a":{},}', '{,"f:a":{}}', '{"f:a"}'),
        *(r'{"f:\q":{}}', '{"f:a":{}"f:b":{}}', '{"f:a":{'),
    ],
)
def test_malformed_fields_stay_in_place(fields: str) -> None:
    """The JSON parser then reports them."""
    document = f'{{"managedFields":[{{"fieldsV1":{fields}}}]}}'
    assert take_out(document) == document
