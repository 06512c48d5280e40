"""Limits on the function's Events: a thief of its token could otherwise fill etcd, or write in the kubelet's name.

Only the function may write Events in its name. If an Event's name exists, the function takes the Event for its own. So
a principal that creates it first would silence the function.
"""

from typing import Final

from csr_signer.objects.event import COMPONENT
from signerctl.guards.admission import Policy, Validation, forbid, literal, policy, rule
from signerctl.guards.csr_bounds import LONGEST_NAME
from signerctl.guards.guarded import Guarded

LONGEST_MESSAGE: Final = 1024  # as in events.k8s.io (kube-apiserver, NoteLengthLimit); core/v1 has no limit

# The fields that the function writes, and those that the API server adds. Numbers and times have a fixed size.
_FIELDS: Final = (
    *("apiVersion", "kind", "metadata", "involvedObject", "type", "reason", "message", "source"),
    *("reportingComponent", "reportingInstance", "firstTimestamp", "lastTimestamp", "eventTime", "count"),
)
_METADATA: Final = ("name", "namespace", "uid", "creationTimestamp", "managedFields")
_INVOLVED: Final = ("apiVersion", "kind", "namespace", "name", "uid")
_SOURCE: Final = {"component": COMPONENT}
_INVOLVED_FIELD: Final = "object.?involvedObject.?{}.orValue('')"
# csr_signer.objects.event: the CSR's uid, the kind of the object, and what the Event is about.
_NAME: Final = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}[.](csr|pod)[.]"


def reserve(guarded: Guarded) -> Policy:
    """Rule f: only the function writes Events in its name, or under the names of its Events.

    The API server also shows this policy the Events of `events.k8s.io`, as if they were of the core API.
    """
    return policy(
        "events",
        rules=[rule("", ["events"], ["CREATE", "UPDATE"])],
        conditions={
            "not-the-function": f"request.userInfo.username != {literal(guarded.function)}",
            "ours": f"{_ours('object')} || request.operation == 'UPDATE' && ({_ours('oldObject')})",
        },
        validations=[forbid("false", f"only the function may write Events of {COMPONENT}, or under such names")],
    )


def variables(guarded: Guarded) -> list[dict[str, str]]:
    """Returns the variables that tell what an Event is on."""
    return [{"name": "onPod", "expression": _on_pod(guarded)}, {"name": "onCsr", "expression": _on_csr(guarded)}]


def of_new() -> list[Validation]:
    """Returns the validations of a new Event."""
    return [
        forbid(
            f"!variables.reports || object.type == 'Warning' && object.?source.orValue({{}}) == {literal(_SOURCE)}"
            f" && object.?reportingComponent.orValue('') == {literal(COMPONENT)}"
            f" && object.?reportingInstance.orValue('') == {literal(COMPONENT)}",
            "the function may write Events only as warnings, in its own name",
        ),
        forbid(
            "!variables.reports || variables.onPod || variables.onCsr",
            "the function may write Events only on requesters' pods and CSRs",
        ),
        forbid(
            f"!variables.reports || {_only('object', _FIELDS)} && {_only('object.metadata', _METADATA)}"
            f" && {_only('object.involvedObject', _INVOLVED)}",
            "the function may write Events only with the fields that it needs",
        ),
        {
            "expression": f"!variables.reports || {_short()}",
            "reason": "RequestEntityTooLarge",
            "message": f"the function may write Events only with a message of at most {LONGEST_MESSAGE} characters,"
            " and no other long text",
        },
    ]


def _ours(which: str) -> str:
    component = literal(COMPONENT)
    return (
        f"{which}.?source.?component.orValue('') == {component}"
        f" || {which}.?reportingComponent.orValue('') == {component}"
        f" || {which}.metadata.?name.orValue('').matches({literal(_NAME)})"
    )


def _on_pod(guarded: Guarded) -> str:
    field = _INVOLVED_FIELD.format
    return (
        f"object.metadata.namespace in {literal(guarded.namespaces)}"
        f" && {field('kind')} == 'Pod' && {field('apiVersion')} == 'v1'"
        f" && size({field('name')}) <= 253 && {field('name')}.matches('^[a-z0-9.-]+$')"
    )


def _on_csr(guarded: Guarded) -> str:
    """Returns whether an Event is on a CSR whose name a requester may use: no policy can read the CSR itself."""
    field = _INVOLVED_FIELD.format
    return (
        f"object.metadata.namespace == 'default' && {field('kind')} == 'CertificateSigningRequest'"
        f" && {field('apiVersion')} == 'certificates.k8s.io/v1' && {field('namespace')} == ''"
        f" && size({field('name')}) <= {LONGEST_NAME} && {field('name')}.matches({literal(guarded.allowed)})"
    )


def _only(path: str, fields: tuple[str, ...]) -> str:
    return f"{path}.all(field, field in {literal(fields)})"


def _short() -> str:
    """Returns CEL that is true if no text of an Event is long.

    The API server limits the name, and stores managed fields of any size as the client sends them.
    """
    fields = "entry.fieldsV1"
    managed = (
        f"size(entry.?fieldsV1.orValue({{}})) <= {len(_FIELDS)}"
        f" && entry.?fieldsV1.orValue({{}}).all(part, size(part) <= 32 && size({fields}[part]) <= {len(_INVOLVED) + 1}"
        f" && {fields}[part].all(field, size(field) <= 32 && size({fields}[part][field]) == 0))"
    )
    return (
        f"size(object.?message.orValue('')) <= {LONGEST_MESSAGE} && size(object.?reason.orValue('')) <= 128"
        f" && size({_INVOLVED_FIELD.format('uid')}) <= 36"
        " && size(object.metadata.?managedFields.orValue([])) <= 1"
        f" && object.metadata.?managedFields.orValue([]).all(entry, {managed})"
    )
