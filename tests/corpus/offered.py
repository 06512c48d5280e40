"""The corpus at an API server: every request is filed by a pod that is really there, and read back."""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from csr_signer.attestation import POD_NAME
from sandbox.api import CSRS, NAMESPACES, NODES, Api, ApiError, Json, csr_path
from tests.corpus.recorded import Recorded
from tests.function.builders import NODE, POD

_USERNAME: Final = re.compile(r"system:serviceaccount:([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?):([a-z0-9][a-z0-9-]{0,62})")
_POD: Final = re.compile(r"(?=.{1,200}\Z)(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_CONFLICT: Final = 409
_RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
_NAME: Final = "corpus-requester"
# The double lets everyone do everything; the real one must be told that pods may ask for certificates.
_ROLE: Final = {
    "metadata": {"name": _NAME},
    "rules": [{"apiGroups": ["certificates.k8s.io"], "resources": ["certificatesigningrequests"], "verbs": ["create"]}],
}
_BINDING: Final = {
    "metadata": {"name": _NAME},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": _NAME},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:serviceaccounts"}],
}


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Requester:
    """A pod and whose it is."""

    namespace: str
    service_account: str
    pod: str


HONEST: Final = Requester(namespace="calico-system", service_account="calico-node", pod=POD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What became of one case.

    Attributes:
        case: what was offered.
        refusal: what the API server said where it did not let it in.
        csr, pod: what it let in and whose it is, as read back.
    """

    case: Recorded
    refusal: ApiError | None = None
    csr: Json | None = None
    pod: Json | None = None

    def __str__(self) -> str:
        return str(self.case)

    @property
    def cause(self) -> str:
        """The fields that the API server complained about."""
        if self.refusal is None:
            return ""
        body = self.refusal.body
        causes = [] if isinstance(body, str) else (body.get("details") or {}).get("causes") or []
        fields = sorted({str(cause.get("field")) for cause in causes})
        return " ".join([str(self.refusal.status), *fields])


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What became of all cases, by place, at an API server that says this version; the double says none."""

    version: str
    by_place: dict[str, Offer]


def requester_of(case: Recorded) -> Requester:
    """The pod that a case is about where it can exist, else the honest one: its identity cannot be claimed."""
    spec = case.csr["spec"]
    username = _USERNAME.fullmatch(spec["username"])
    pods = spec.get("extra", {}).get(POD_NAME) or []
    if username is None or len(pods) != 1 or not _POD.fullmatch(pods[0]):
        return HONEST
    return Requester(namespace=username[1], service_account=username[2], pod=pods[0])


def offer_all(api: Api, cases: Iterable[Recorded], *, version: str) -> Offers:
    """Files every case, as a pod of its own kind, and deletes it again."""
    if version:
        api.post(f"{_RBAC}/clusterroles", _ROLE)
        api.post(f"{_RBAC}/clusterrolebindings", _BINDING)
    _make(api, NODES, {"metadata": {"name": NODE}})
    offers: dict[str, Offer] = {}
    living: dict[tuple[str, str], Json] = {}
    tokens: dict[Requester, Api] = {}
    for case in sorted(cases, key=lambda case: (requester_of(case), case.place)):
        requester = requester_of(case)
        if requester not in tokens:
            living[requester.namespace, requester.pod] = _make_pod(api, requester, living)
            tokens[requester] = api.with_token(_token(api, requester, living[requester.namespace, requester.pod]))
        offers[case.place] = _offer(api, tokens[requester], case, living[requester.namespace, requester.pod])
    return Offers(version=version, by_place=offers)


def document(case: Recorded) -> Json:
    """The CSR as a client sends it, with whatever the case claims about its requester and its state."""
    metadata = {
        key: case.csr["metadata"][key] for key in ("name", "labels", "annotations") if key in case.csr["metadata"]
    }
    spec = {**case.csr["spec"], "request": base64.b64encode(case.request).decode()}
    return {**case.csr, "metadata": metadata, "spec": spec}


def _offer(administrator: Api, requester: Api, case: Recorded, pod: Json) -> Offer:
    try:
        created = requester.post(CSRS, document(case))
    except ApiError as error:
        return Offer(case=case, refusal=error)
    path = csr_path(created["metadata"]["name"])
    stored = administrator.get(path)
    administrator.delete(path)
    return Offer(case=case, csr=stored, pod=pod)


def _make_pod(api: Api, requester: Requester, living: dict[tuple[str, str], Json]) -> Json:
    namespace = f"{NAMESPACES}/{requester.namespace}"
    _make(api, NAMESPACES, {"metadata": {"name": requester.namespace}})
    _make(api, f"{namespace}/serviceaccounts", {"metadata": {"name": requester.service_account}})
    if (requester.namespace, requester.pod) in living:
        api.delete(f"{namespace}/pods/{requester.pod}", {"gracePeriodSeconds": 0})
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


def _make(api: Api, path: str, body: Json) -> None:
    try:
        api.post(path, body)
    except ApiError as error:
        if error.status != _CONFLICT:
            raise
