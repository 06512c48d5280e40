"""The API server: whether it answers, the function's rights, and the pods that the function attests."""

from collections.abc import Iterator
from typing import Final

import yaml

from csr_signer.violation import quote
from signerctl import objects
from signerctl.api_server import ApiServer, Json
from signerctl.cluster import rendering
from signerctl.doctor import result
from signerctl.doctor.examination import Examination
from signerctl.doctor.result import Result
from signerctl.objects import User

_MAX_SHOWN: Final = 4
_NO_RIGHT: Final = (403, 404)
"""Without a right to /version, the API server still answers."""
_LARGE_SKEW: Final = 60.0
_LARGEST_SKEW: Final = 300.0
"""Seconds: notBefore is this long before the CSR's creation; a peer whose clock is further behind refuses it."""


def reached(examination: Examination) -> Result:
    """Checks that the API server answers the operator."""
    version = examination.api.request("GET", "/version")
    if version.date is not None:
        examination.dates["API server"] = version.date
    release = f", Kubernetes {version.body['gitVersion']}" if version.ok and "gitVersion" in version.body else ""
    if version.status == 401:  # noqa: PLR2004 - HTTP's Unauthorized
        return result.unknown(
            f"{examination.api.server} does not accept your credentials", "log in again, or use another context"
        )
    if not version.ok and version.status not in _NO_RIGHT:
        return result.error(
            f"{examination.api.server} answers {version.status} to GET /version: {version.message}",
            "check that it is the API server, and its state: kubectl get --raw /readyz?verbose",
        )
    return result.ok(f"{examination.api.server} answers{release}")


def rights(examination: Examination) -> Result:
    """Checks each right of function.yaml, for the user as which the function authenticates."""
    user = examination.function_user
    if user is None:
        return result.unknown(
            "the configuration does not tell the function's username at the API server",
            "give --function-user; terraform output -json manifests has it as function_user",
        )
    wanted = list(_wanted(examination, user))
    missing = [_text(each) for each in wanted if not objects.allows(examination.api, user, each)]
    if not missing:
        return result.ok(f"{user.name} has all {len(wanted)} rights of function.yaml")
    shown = "; ".join(missing[:_MAX_SHOWN])
    more = f"; and {len(missing) - _MAX_SHOWN} more" if len(missing) > _MAX_SHOWN else ""
    bound = [name for name in _bound(examination.api) if name != user.name]
    others = f"; ClusterRoleBinding kms-csr-signer:sign names {', '.join(map(quote, bound))}" if bound else ""
    return result.error(
        f"{user.name} lacks {len(missing)} of {len(wanted)} rights: {shown}{more}{others}",
        "write function.yaml again with `signerctl cluster manifests`, and kubectl apply -k the cluster's folder",
    )


def pods(examination: Examination) -> Result:
    """Checks that the profile's components have pods, and that the function may read them."""
    user = examination.function_user
    components = {
        row.name: {tuple(account.split("/")) for account in row.service_accounts}
        for signer in examination.signers
        for row in signer.profile.components
    }
    namespaces = sorted({namespace for accounts in components.values() for namespace, _ in accounts})
    absent = [
        each
        for each in namespaces
        if examination.api.get(f"/api/v1/namespaces/{each}", {"metadata": {"name": None}}) is None
    ]
    present = [each for each in namespaces if each not in absent]
    if user is not None:
        unread = [each for each in present if not objects.allows(examination.api, user, _get_pods(each))]
        if unread:
            return result.error(
                f"{user.name} may not read pods in {', '.join(unread)}",
                "kubectl apply -k the cluster's folder: Role and RoleBinding kms-csr-signer:attest give the right",
            )
    accounts = {
        (namespace, pod["spec"].get("serviceAccountName", "default"))
        for namespace in present
        for pod in examination.api.list(f"/api/v1/namespaces/{namespace}/pods", objects.POD)
    }
    running = [name for name, owners in components.items() if owners & accounts]
    if not running:
        return result.warning(
            f"no pod of the profile's components in {', '.join(namespaces)}",
            "install the software, or correct the profile's release and namespaces",
        )
    absent_pods = [name for name in components if name not in running]
    none = f"; none: {', '.join(absent_pods)}" if absent_pods else ""
    return result.ok(f"{len(running)} of {len(components)} components have pods: {', '.join(running)}{none}")


def clock(examination: Examination) -> Result:
    """Compares the servers' clocks with this machine's."""
    if not examination.dates:
        return result.unknown("no server gave its time")
    skews = {name: (theirs - ours).total_seconds() for name, (theirs, ours) in examination.dates.items()}
    text = ", ".join(f"{name} {round(skew):+d} s" for name, skew in skews.items())
    largest = max(map(abs, (*skews.values(), max(skews.values()) - min(skews.values()))))
    remedy = "synchronize the clocks (NTP): of this machine if all servers differ, otherwise of the server that differs"
    if largest > _LARGEST_SKEW:
        return result.error(f"compared with this machine: {text}", remedy)
    if largest > _LARGE_SKEW:
        return result.warning(f"compared with this machine: {text}", remedy)
    return result.ok(f"compared with this machine: {text}")


def _wanted(examination: Examination, user: User) -> Iterator[Json]:
    """Yields the resource attributes of all rights in function.yaml."""
    for document in yaml.safe_load_all(rendering.function_rights(examination.guarded(user))):
        for rule in document.get("rules") or ():
            for resource in rule["resources"]:
                name, _, subresource = resource.partition("/")
                base = {
                    "group": rule["apiGroups"][0],
                    "resource": name,
                    "subresource": subresource,
                    "namespace": document["metadata"].get("namespace", ""),
                }
                for verb in rule["verbs"]:
                    for each in rule.get("resourceNames") or ("",):
                        yield {key: value for key, value in {**base, "verb": verb, "name": each}.items() if value}


def _get_pods(namespace: str) -> Json:
    return {"verb": "get", "resource": "pods", "namespace": namespace}


def _text(right: Json) -> str:
    resource = right["resource"] + (f"/{right['subresource']}" if "subresource" in right else "")
    name = f" {quote(right['name'])}" if "name" in right else ""
    namespace = f" in {right['namespace']}" if "namespace" in right else ""
    return f"{right['verb']} {resource}{name}{namespace}"


def _bound(api: ApiServer) -> list[str]:
    binding = api.request("GET", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kms-csr-signer:sign")
    return [str(each.get("name", "")) for each in binding.body.get("subjects") or ()] if binding.ok else []
