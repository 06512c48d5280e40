"""ValidatingAdmissionPolicies of Kubernetes, and how their parts are written.

The expressions are CEL. A missing field is an error in CEL, which refuses the request, so every optional one is asked
for with `?`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

PREFIX: Final = "kms-csr-signer"

Policy = dict[str, Any]
Validation = dict[str, str]


def policy(
    name: str,
    *,
    rules: Sequence[Mapping[str, Any]],
    conditions: Mapping[str, str],
    variables: Sequence[Mapping[str, str]],
    validations: Sequence[Validation],
    namespace: str | None = None,
) -> Policy:
    """A policy that refuses what it cannot judge.

    Args:
        name: without our prefix.
        rules: the requests that the API server asks it about.
        conditions: which of them it judges, by a name.
        variables: for the validations, each may use those before it.
        validations: all must hold.
        namespace: the only one; None: all, and what is in none.
    """
    constraints: dict[str, Any] = {"resourceRules": list(rules)}
    if namespace is not None:
        constraints["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    spec: dict[str, Any] = {"failurePolicy": "Fail", "matchConstraints": constraints}
    if conditions:
        spec["matchConditions"] = [{"name": key, "expression": text} for key, text in conditions.items()]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": f"{PREFIX}-{name}"},
        "spec": {**spec, "variables": list(variables), "validations": list(validations)},
    }


def rule(
    group: str, resources: Sequence[str], operations: Sequence[str], *, versions: Sequence[str] = ("v1",)
) -> dict[str, Any]:
    """One resource rule."""
    return {
        "apiGroups": [group],
        "apiVersions": list(versions),
        "operations": list(operations),
        "resources": list(resources),
    }


def forbid(unless: str, message: str) -> Validation:
    """A validation: what must hold, and what is said where it does not."""
    return {"expression": unless, "reason": "Forbidden", "message": message}


def literal(value: object) -> str:
    """A value of texts, lists and mappings as a CEL literal."""
    return json.dumps(value, sort_keys=True, default=dict)


def binding(document: Policy, *, actions: Sequence[str]) -> dict[str, Any]:
    """What puts a policy in force."""
    name = document["metadata"]["name"]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": list(actions)},
    }
