"""The policies for CSRs and Events, one function per policy; docs/guards.md explains them."""

import math
from typing import Final

from csr_signer.request.pkcs10 import LARGEST_REQUEST
from csr_signer.violation import quote
from signerctl.guards import csr_bounds, event_bounds
from signerctl.guards.admission import Policy, Validation, forbid, literal, policy, rule
from signerctl.guards.csr_bounds import LONGEST_NAME
from signerctl.guards.guarded import POD, Guarded

LONGEST_MESSAGE: Final = 4096
LARGEST_CERTIFICATE: Final = 64 * 1024

_CERTIFICATES: Final = "certificates.k8s.io"
_CSRS: Final = "certificatesigningrequests"
_MORE_APPROVERS: Final = (
    "to add one, run signerctl cluster manifests (or signerctl guards) with --approver USERNAME for each approver,"
    " and apply what it writes"
)
_PART: Final = "request.?subResource.orValue('')"  # empty for the object itself
_EXTRA: Final = "request.userInfo.?extra[?'authentication.kubernetes.io/{}'].orValue([])"
# `pod` is the pod that the token is bound to; empty unless there is exactly one.
_POD_VARIABLES: Final = (
    {"name": "pods", "expression": _EXTRA.format("pod-name")},
    {"name": "uids", "expression": _EXTRA.format("pod-uid")},
    {
        "name": "pod",
        "expression": "size(variables.pods) == 1 && size(variables.uids) == 1 ? variables.pods[0] : ''",
    },
)


def policies(guarded: Guarded) -> tuple[Policy, ...]:
    """Returns all policies for CSRs and Events."""
    return (create(guarded), delete(guarded), decide(guarded), function(guarded), event_bounds.reserve(guarded))


def create(guarded: Guarded) -> Policy:
    """Rule a: limits which users can create CSRs for our signerNames, or CSRs with a reserved name."""
    return policy(
        "create",
        rules=[rule(_CERTIFICATES, [_CSRS], ["CREATE"])],
        conditions={"ours": _ours("object", guarded)},
        variables=[*_POD_VARIABLES, *csr_bounds.OF_NEW, *_allowed_names(guarded)],
        validations=[
            forbid("variables.pod != ''", "the requester's token must be bound to exactly one pod"),
            forbid("size(variables.forms) > 0", "the profile does not name the requester's service account"),
            {
                "expression": f"size(object.metadata.name) <= {LONGEST_NAME}"
                " && object.metadata.name in variables.names",
                "reason": "Forbidden",
                "message": "metadata.name: Invalid value: must be the name of this pod's CSR",
                "messageExpression": "'metadata.name: Invalid value: must be ' + variables.names.join(' or ')",
            },
            forbid(
                "size(object.metadata.?finalizers.orValue([])) == 0"
                " && size(object.metadata.?ownerReferences.orValue([])) == 0",
                "metadata: Forbidden: finalizers and ownerReferences",
            ),
            {
                "expression": f"size(object.spec.request) <= {_in_base64(LARGEST_REQUEST)}",
                "reason": "RequestEntityTooLarge",
                "message": f"spec.request: Too long: must have at most {LARGEST_REQUEST} bytes",
            },
            *csr_bounds.of_new(),
        ],
    )


def _allowed_names(guarded: Guarded) -> list[dict[str, str]]:
    """Returns the variables that compute the CSR names that the requester may use."""
    of_any = {account: guarded.names_of(account) for account in guarded.accounts}
    return [
        {"name": "requesters", "expression": literal(guarded.names)},
        {"name": "owners", "expression": literal(of_any)},
        {
            "name": "forms",
            # For a foreign signerName, a pod may use the CSR names that any of our signers reserves for it.
            "expression": "variables.requesters[?object.spec.signerName].orValue(variables.owners)"
            "[?request.userInfo.username].orValue([])",
        },
        {"name": "names", "expression": f"variables.forms.map(form, form.replace('{POD}', variables.pod))"},
    ]


def delete(guarded: Guarded) -> Policy:
    """Rule b: a service account may delete only its own pod's CSRs; controllers in kube-system may delete all."""
    of_any = {account: guarded.names_of(account) for account in guarded.accounts}
    return policy(
        "delete",
        rules=[rule(_CERTIFICATES, [_CSRS], ["DELETE"])],
        conditions={
            "by-a-service-account": _by_a_service_account(guarded),
            "ours": _ours("oldObject", guarded),
        },
        variables=[
            *_POD_VARIABLES,
            {"name": "owners", "expression": literal(of_any)},
            {"name": "forms", "expression": "variables.owners[?request.userInfo.username].orValue([])"},
        ],
        validations=[
            forbid(
                "variables.pod != '' && variables.forms.exists(form,"
                f" form.replace('{POD}', variables.pod) == oldObject.metadata.name)",
                "a service account may delete only its own pod's CSR",
            )
        ],
    )


def decide(guarded: Guarded) -> Policy:
    """Rule c: limits who approves, denies, issues and changes CSRs; a decision cannot change afterwards."""
    conditions = "{}.?status.?conditions.orValue([])".format
    return policy(
        "decide",
        rules=[rule(_CERTIFICATES, [_CSRS, f"{_CSRS}/approval", f"{_CSRS}/status"], ["UPDATE"])],
        conditions={"ours": f"oldObject.spec.signerName in {literal(guarded.signer_names)}"},
        variables=[
            {"name": "part", "expression": _PART},
            {"name": "old", "expression": conditions("oldObject")},
            {"name": "new", "expression": conditions("object")},
            {"name": "issued", "expression": "size(oldObject.?status.?certificate.orValue(dyn(''))) > 0"},
            *csr_bounds.MANAGED_BEFORE,
        ],
        validations=[
            *_writers(guarded),
            *_conditions(),
            *_certificate(),
            forbid(
                " && ".join(
                    f"object.metadata.?{field}.orValue([]).all(each, each in oldObject.metadata.?{field}.orValue([]))"
                    for field in ("finalizers", "ownerReferences")
                ),
                "metadata: Forbidden: new finalizers and ownerReferences",
            ),
            forbid(
                # Each change between approval and certificate makes the function sign once more. A write without a
                # change has no effect; migrations of the storage version write so.
                f"variables.part != '' || !({_by_a_service_account(guarded)})"
                f" || {_metadata_unchanged()} && variables.managed == variables.managedBefore",
                "metadata: Forbidden: a change by a service account",
            ),
            *csr_bounds.of_change(),
        ],
    )


def _by_a_service_account(guarded: Guarded) -> str:
    """Returns CEL that is true of service accounts, except those of kube-system that are not requesters."""
    account = "request.userInfo.username.startsWith('system:serviceaccount:{}')".format
    return f"{account('')} && (!{account('kube-system:')} || request.userInfo.username in {literal(guarded.accounts)})"


def _writers(guarded: Guarded) -> list[Validation]:
    refusals = {
        name: f"only {', '.join(map(quote, users))} may approve and deny this CSR; {_MORE_APPROVERS}"
        for name, users in guarded.approvers.items()
    }
    return [
        {
            **forbid(
                f"variables.part != 'approval' || request.userInfo.username in {literal(guarded.approvers)}"
                "[oldObject.spec.signerName]",
                f"only the configured approvers may approve and deny this CSR; {_MORE_APPROVERS}",
            ),
            # If this text has more than 5 KiB, the API server shows the one above instead.
            "messageExpression": f"{literal(refusals)}[oldObject.spec.signerName]",
        },
        forbid(
            f"variables.part != 'status' || request.userInfo.username == {literal(guarded.function)}",
            "only the function may write the certificate and Failed",
        ),
    ]


def _conditions() -> list[Validation]:
    return [
        forbid(
            "variables.old.all(old, variables.new.exists(new, new == old))",
            "status.conditions: Forbidden: a change of an existing condition",
        ),
        forbid(
            "!variables.issued || size(variables.new) == size(variables.old)",
            "status.conditions: Forbidden: a new condition of a CSR with a certificate",
        ),
        forbid(
            "variables.new.all(new, new in variables.old || new.type in ['Approved', 'Denied', 'Failed']"
            f" && size(new.?reason.orValue('')) <= 128 && size(new.?message.orValue('')) <= {LONGEST_MESSAGE})",
            "status.conditions: Invalid value: must be Approved, Denied or Failed, with a reason of at most 128"
            f" characters and a message of at most {LONGEST_MESSAGE} characters",
        ),
        forbid(
            # The API server accepts Failed through the approval subresource too.
            "variables.part != 'approval' || variables.new.all(new, new in variables.old || new.type != 'Failed')",
            "only the function may write Failed, through the status subresource",
        ),
    ]


def _certificate() -> list[Validation]:
    return [
        forbid(
            "variables.issued || size(object.?status.?certificate.orValue(dyn(''))) == 0"
            " || (variables.new.exists(new, new.type == 'Approved')"
            " && !variables.new.exists(new, new.type in ['Denied', 'Failed']))",
            "status.certificate: Forbidden: a certificate without Approved, or with Denied or Failed",
        ),
        forbid(
            f"size(object.?status.?certificate.orValue(dyn(''))) <= {_in_base64(LARGEST_CERTIFICATE)}",
            f"status.certificate: Too long: must have at most {LARGEST_CERTIFICATE} bytes",
        ),
    ]


def function(guarded: Guarded) -> Policy:
    """Rule d: the function may write only decisions on its signerNames' CSRs and Events, even if RBAC allows more."""
    is_resource = "request.resource.group == '{}' && request.resource.resource == '{}'".format
    return policy(
        "function",
        rules=[rule("*", ["*/*"], ["*"], versions=["*"])],
        conditions={"function": f"request.userInfo.username == {literal(guarded.function)}"},
        variables=[
            {"name": "decides", "expression": is_resource(_CERTIFICATES, _CSRS) + " && request.operation == 'UPDATE'"},
            {"name": "reports", "expression": is_resource("", "events") + " && request.operation == 'CREATE'"},
            *event_bounds.variables(guarded),
        ],
        validations=[
            forbid(
                "variables.decides || variables.reports"
                f" || {is_resource('authentication.k8s.io', 'selfsubjectreviews')}"
                f" || {is_resource('authorization.k8s.io', 'selfsubjectaccessreviews')}",
                "the function may write only decisions on CSRs and Events on CSRs and pods",
            ),
            forbid(
                f"!variables.decides || {_PART} in ['approval', 'status']"
                f" && oldObject.spec.signerName in {literal(guarded.signer_names)}",
                "the function may decide only CSRs of its own signerNames",
            ),
            forbid(
                f"!variables.decides || {_metadata_unchanged()}",
                "metadata: Forbidden: a change by the function",
            ),
            *event_bounds.of_new(),
        ],
    )


def _metadata_unchanged() -> str:
    fields = {
        "annotations": "{}",
        "finalizers": "[]",
        "generateName": "''",
        "labels": "{}",
        "ownerReferences": "[]",
    }
    return " && ".join(
        f"object.metadata.?{field}.orValue({empty}) == oldObject.metadata.?{field}.orValue({empty})"
        for field, empty in fields.items()
    )


def _in_base64(size: int) -> int:
    """Returns the length of `size` bytes in base64: CEL sees the object's JSON."""
    return 4 * math.ceil(size / 3)


def _ours(which: str, guarded: Guarded) -> str:
    ours = f"{which}.spec.signerName in {literal(guarded.signer_names)}"
    if guarded.reserved is None:
        return ours
    # The size limit comes first: matching a very long name would exceed CEL's cost limit.
    name = f"{which}.metadata.name"
    return f"{ours} || size({name}) <= {LONGEST_NAME} && {name}.matches({literal(guarded.reserved)})"
