"""Limits on a CSR's metadata: every client that lists CSRs reads all of it, and Calico's pods list CSRs."""

from typing import Final

from signerctl.guards.admission import Validation

LONGEST_NAME: Final = 512
MOST_LABELS: Final = 16
LONGEST_ANNOTATION: Final = 1024
_LONGEST_KEY: Final = 330  # a label's key, with the prefix `f:` and escaped dots
_MOST_MANAGERS: Final = 16  # the API server merges the entries of updates once there are more than ten

MANAGED: Final = ({"name": "managed", "expression": "dyn(object.metadata.?managedFields.orValue([]))"},)
"""The variable for validations of managed fields."""
MANAGED_BEFORE: Final = (
    *MANAGED,
    {"name": "managedBefore", "expression": "dyn(oldObject.metadata.?managedFields.orValue([]))"},
)
"""The variables for validations of an update."""


def _map(field: str) -> str:
    return f"object.metadata.?{field}.orValue({{}})"


_GENERATE_NAME: Final = "object.metadata.?generateName.orValue('')"
_FIELDS: Final = {
    _map("labels"): f"size({_map('labels')}) <= {MOST_LABELS}",
    _map("annotations"): f"size({_map('annotations')}) <= {MOST_LABELS}"
    f" && {_map('annotations')}.all(key, size(object.metadata.annotations[key]) <= {LONGEST_ANNOTATION})",
    # The API server stores it beside the name, and limits neither.
    _GENERATE_NAME: f"size({_GENERATE_NAME}) <= {LONGEST_NAME}",
}
"""The limit for each field of the metadata, as CEL."""


def of_new() -> list[Validation]:
    """Returns the validations of a new CSR."""
    return [
        _too_large("variables.small", _METADATA),
        _too_large("variables.plain", _MANAGED_FIELDS),
        {
            # Only if the sizes are within their limits: CEL's cost limit would stop the expression on larger data.
            "expression": f"!variables.small || !variables.plain || {_is_text()}",
            "reason": "Invalid",
            "message": "metadata: Invalid value: must be UTF-8 without U+FFFD in annotations, generateName and"
            " managedFields",
        },
    ]


def of_change() -> list[Validation]:
    """Returns the validations of an update. Old metadata of any size may stay, so that the CSR can be decided."""
    unchanged = {field: f"{field} == {field.replace('object.', 'oldObject.', 1)}" for field in _FIELDS}
    few = f"size(variables.managed) <= {_MOST_MANAGERS} || size(variables.managed) <= size(variables.managedBefore)"
    return [
        _too_large(" && ".join(f"({unchanged[field]} || {bound})" for field, bound in _FIELDS.items()), _METADATA),
        _too_large(
            # Only for the object itself: approvers and the function write the subresources, and a requester's managed
            # fields must not block them.
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
    """Returns CEL that is true if JSON can carry the requester's text.

    With protobuf, a requester can store bytes that are not UTF-8. In JSON they become U+FFFD, so a client that reads
    such a CSR and writes it back changes it. CEL reads such a byte as U+FFFD too.
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
    """Returns CEL that is true if an entry of managed fields names only real fields of metadata and spec.

    The API server stores managed fields of any size and depth as the client sends them. Real entries have `f:metadata`
    with a few maps, such as labels, and `f:spec` with fields that have no children.
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
"""The variables for validations of a new CSR."""
