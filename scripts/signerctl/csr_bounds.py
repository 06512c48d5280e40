"""What the metadata of a CSR may hold: everybody who lists CSRs reads it, Calico's pods among them."""

from typing import Final

from signerctl.admission import Validation

LONGEST_NAME: Final = 512
MOST_LABELS: Final = 16
LONGEST_ANNOTATION: Final = 1024
_LONGEST_KEY: Final = 330  # a label's, with its mark and dots in it
_MOST_MANAGERS: Final = 16  # the API server merges those that only update when they are more than ten

MANAGED: Final = ({"name": "managed", "expression": "dyn(object.metadata.?managedFields.orValue([]))"},)
"""The variable that the validations about managed fields need."""
MANAGED_BEFORE: Final = (
    *MANAGED,
    {"name": "managedBefore", "expression": "dyn(oldObject.metadata.?managedFields.orValue([]))"},
)
"""The variables of those about a change."""


def _map(field: str) -> str:
    return f"object.metadata.?{field}.orValue({{}})"


_GENERATE_NAME: Final = "object.metadata.?generateName.orValue('')"
_FIELDS: Final = {
    _map("labels"): f"size({_map('labels')}) <= {MOST_LABELS}",
    _map("annotations"): f"size({_map('annotations')}) <= {MOST_LABELS}"
    f" && {_map('annotations')}.all(key, size(object.metadata.annotations[key]) <= {LONGEST_ANNOTATION})",
    # The API server stores it beside a name, and bounds neither.
    _GENERATE_NAME: f"size({_GENERATE_NAME}) <= {LONGEST_NAME}",
}
"""What there is of metadata, and its bound."""


def of_new() -> list[Validation]:
    """Of a CSR that is filed."""
    return [
        _too_large("variables.small", _METADATA),
        _too_large("variables.plain", _MANAGED_FIELDS),
        {
            # Not of what is too large, for which the expression would cost too much.
            "expression": f"!variables.small || !variables.plain || {_is_text()}",
            "reason": "Invalid",
            "message": "metadata: Invalid value: annotations, generateName and managedFields must be UTF-8 without"
            " U+FFFD",
        },
    ]


def of_change() -> list[Validation]:
    """Of one that is changed: what was there before may stay, whatever its size, so that it can be decided."""
    unchanged = {field: f"{field} == {field.replace('object.', 'oldObject.', 1)}" for field in _FIELDS}
    few = f"size(variables.managed) <= {_MOST_MANAGERS} || size(variables.managed) <= size(variables.managedBefore)"
    return [
        _too_large(" && ".join(f"({unchanged[field]} || {bound})" for field, bound in _FIELDS.items()), _METADATA),
        _too_large(
            # The other parts are written by those who decide, which must not fail for somebody's managed fields.
            f"variables.part != '' || ({few})"
            f" && variables.managed.all(entry, entry in variables.managedBefore || {_plain()})",
            _MANAGED_FIELDS,
        ),
    ]


_METADATA: Final = (
    f"metadata: Too long: must have at most {MOST_LABELS} labels, {MOST_LABELS} annotations of"
    f" {LONGEST_ANNOTATION} characters each, and a generateName of {LONGEST_NAME} characters"
)
_MANAGED_FIELDS: Final = (
    "metadata.managedFields: Too long: must name only the fields of such a CSR, its labels and annotations"
)


def _too_large(unless: str, message: str) -> Validation:
    return {"expression": unless, "reason": "RequestEntityTooLarge", "message": message}


def _is_text() -> str:
    """That JSON can carry what a requester chose.

    By protobuf a requester stores bytes that are no UTF-8. In JSON they become U+FFFD, so whoever reads such a CSR and
    writes it back changes it. In an expression, too, such a byte counts as U+FFFD.
    """
    broken, fields = "matches('\\\\x{FFFD}')", "entry.fieldsV1"
    texts = " && ".join(f"!entry.?{field}.orValue('').{broken}" for field in ("manager", "subresource"))
    keys = f"!field.{broken} && {fields}[part][field].all(key, !key.{broken})"
    return (
        f"!{_GENERATE_NAME}.{broken}"
        f" && {_map('annotations')}.all(key, !object.metadata.annotations[key].{broken})"
        f" && variables.managed.all(entry, {texts}"
        f" && entry.?fieldsV1.orValue({{}}).all(part, {fields}[part].all(field, {keys})))"
    )


def _plain() -> str:
    """That one entry of managed fields is an honest one of metadata and spec.

    The API server stores what somebody says of managed fields, of any size and depth. Honest are `f:metadata` with a
    few maps of labels and the like, and `f:spec` with fields that have none below them.
    """
    fields = "entry.fieldsV1"
    keys = f"{fields}[part][field].all(key, size(key) <= {_LONGEST_KEY} && size({fields}[part][field][key]) == 0)"
    below = f"size({fields}[part][field]) <= (part == 'f:metadata' ? {MOST_LABELS + 1} : 0) && {keys}"
    parts = (
        "part in ['f:metadata', 'f:spec']"
        f" && size({fields}[part]) <= 8 && {fields}[part].all(field, size(field) <= 64 && {below})"
    )
    return f"entry.?fieldsV1.orValue({{}}).all(part, {parts})"


OF_NEW: Final = (
    *MANAGED,
    {"name": "small", "expression": " && ".join(_FIELDS.values())},
    {"name": "plain", "expression": f"size(variables.managed) <= 2 && variables.managed.all(entry, {_plain()})"},
)
"""The variables of the validations about a CSR that is filed."""
