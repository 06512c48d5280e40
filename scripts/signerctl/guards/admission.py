"""Kubernetes ValidatingAdmissionPolicies and their parts.

The expressions are CEL. In CEL, reading an absent field is an error, and the API server then refuses the request. So
the expressions read every optional field with `?`.
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
    variables: Sequence[Mapping[str, str]] = (),
    validations: Sequence[Validation],
    namespace: str | None = None,
) -> Policy:
    """Returns a policy; if the API server cannot evaluate it, the API server refuses the request.

    Args:
        name: The policy's name without our prefix.
        rules: The requests that the API server matches.
        conditions: CEL by name: the policy applies to a matched request if all of them are true.
        variables: CEL that the validations use; each variable may use the variables before it.
        validations: CEL that must be true of the request.
        namespace: The only namespace that the policy applies to; None: all namespaces, and cluster-scoped resources.
    """
    constraints: dict[str, Any] = {"resourceRules": list(rules)}
    if namespace is not None:
        constraints["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    spec: dict[str, Any] = {"failurePolicy": "Fail", "matchConstraints": constraints}
    if conditions:
        spec["matchConditions"] = [{"name": key, "expression": text} for key, text in conditions.items()]
    if variables:
        spec["variables"] = list(variables)
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": f"{PREFIX}-{name}"},
        "spec": {**spec, "validations": list(validations)},
    }


def rule(
    group: str, resources: Sequence[str], operations: Sequence[str], *, versions: Sequence[str] = ("v1",)
) -> dict[str, Any]:
    """Returns a resource rule of `matchConstraints`."""
    return {
        "apiGroups": [group],
        "apiVersions": list(versions),
        "operations": list(operations),
        "resources": list(resources),
    }


def forbid(unless: str, message: str) -> Validation:
    """Returns a validation that refuses the request with the message, unless the expression is true."""
    return {"expression": unless, "reason": "Forbidden", "message": message}


def literal(value: object) -> str:
    """Encodes strings, lists and mappings as a CEL literal."""
    return json.dumps(value, sort_keys=True, default=dict)


def binding(document: Policy, *, actions: Sequence[str]) -> dict[str, Any]:
    """Returns the binding that enforces a policy.

    Args:
        document: The policy.
        actions: What the API server does with a request that the policy refuses: `Deny`, `Audit`, `Warn`.
    """
    name = document["metadata"]["name"]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": list(actions)},
    }
