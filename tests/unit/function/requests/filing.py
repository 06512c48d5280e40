"""The rows at an API server: a pod that is really there files each CSR, and what the server keeps is read back."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from csr_signer.policy.attestation import POD_NAME
from sandbox.api import CSRS, NAMESPACES, NODES, Api, ApiError, Json, csr_path
from tests.unit.function.builders import NODE, POD, Case

_USERNAME: Final = re.compile(r"system:serviceaccount:([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?):([a-z0-9][a-z0-9-]{0,62})")
_POD: Final = re.compile(r"(?=.{1,200}\Z)(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_CONFLICT: Final = 409
_INVALID: Final = 422
_RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
# Pods may file CSRs.
_ROLE: Final = {
    "metadata": {"name": "requester"},
    "rules": [{"apiGroups": ["certificates.k8s.io"], "resources": ["certificatesigningrequests"], "verbs": ["create"]}],
}
_BINDING: Final = {
    "metadata": {"name": "requester"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "requester"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:serviceaccounts"}],
}


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Requester:
    """A pod and its service account."""

    namespace: str = "calico-system"
    service_account: str = "calico-node"
    pod: str = POD


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """What an API server made of a row's CSR.

    Attributes:
        requester: the pod that filed it.
        invalid: the fields that the API server found invalid, as `Case.invalid` has them.
        csr, pod: as read back; None if the CSR is invalid.
    """

    requester: Requester
    invalid: str
    csr: Json | None = None
    pod: Json | None = None


def requester_of(csr: Json) -> Requester:
    """Returns the pod that a CSR claims to be of, if such a pod can exist; else the honest one files it."""
    spec = csr["spec"]
    username = _USERNAME.fullmatch(spec["username"])
    pods = spec["extra"].get(POD_NAME) or []
    if username is None or len(pods) != 1 or not _POD.fullmatch(pods[0]):
        return Requester()
    return Requester(namespace=username[1], service_account=username[2], pod=pods[0])


def file_all(api: Api, rows: Iterable[Case]) -> Mapping[str, Filed]:
    """Files the CSR of every row as its pod, and deletes it again; returns by sentence what became of each."""
    api.post(f"{_RBAC}/clusterroles", _ROLE)
    api.post(f"{_RBAC}/clusterrolebindings", _BINDING)
    _ensure(api, NODES, NODE)
    by_requester: dict[Requester, list[tuple[str, Json]]] = {}
    for row in rows:
        csr = row.objects()["csr"]
        by_requester.setdefault(requester_of(csr), []).append((row.sentence, csr))
    filed: dict[str, Filed] = {}
    for requester, csrs in by_requester.items():
        pod = _make_pod(api, requester)
        own = api.with_token(_token(api, requester, pod))
        filed |= {sentence: _file(api, own, requester, csr, pod) for sentence, csr in csrs}
        api.delete(f"{NAMESPACES}/{requester.namespace}/pods/{requester.pod}", {"gracePeriodSeconds": 0})
    return filed


def _file(administrator: Api, own: Api, requester: Requester, csr: Json, pod: Json) -> Filed:
    sent = {
        key: value for key, value in csr["metadata"].items() if key in {"name", "generateName", "labels", "annotations"}
    }
    try:
        created = own.post(CSRS, {**csr, "metadata": sent})
    except ApiError as error:
        if error.status != _INVALID or isinstance(error.body, str):
            raise
        fields = sorted({cause["field"] for cause in error.body["details"]["causes"]})
        return Filed(requester=requester, invalid=" ".join(fields))
    path = csr_path(created["metadata"]["name"])
    stored = administrator.get(path)
    administrator.delete(path)
    return Filed(requester=requester, invalid="", csr=stored, pod=pod)


def _make_pod(api: Api, requester: Requester) -> Json:
    namespace = f"{NAMESPACES}/{requester.namespace}"
    _ensure(api, NAMESPACES, requester.namespace)
    _ensure(api, f"{namespace}/serviceaccounts", requester.service_account)
    spec: dict[str, Any] = {
        "serviceAccountName": requester.service_account,
        "nodeName": NODE,
        "containers": [{"name": "c", "image": "image"}],
    }
    return api.post(f"{namespace}/pods", {"metadata": {"name": requester.pod}, "spec": spec})


def _token(api: Api, requester: Requester, pod: Json) -> str:
    reference = {"kind": "Pod", "apiVersion": "v1", "name": requester.pod, "uid": pod["metadata"]["uid"]}
    path = f"{NAMESPACES}/{requester.namespace}/serviceaccounts/{requester.service_account}/token"
    return str(api.post(path, {"spec": {"boundObjectRef": reference}})["status"]["token"])


def _ensure(api: Api, path: str, name: str) -> None:
    try:
        api.post(path, {"metadata": {"name": name}})
    except ApiError as error:
        if error.status != _CONFLICT:
            raise
