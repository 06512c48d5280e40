"""Who asks: usernames, groups, extras, and the CSR's name."""

from typing import Any, Final

from csr_signer.policy.attestation import CREDENTIAL_ID, NODE_NAME, POD_NAME, POD_UID
from tests.unit.function.builders import CSR_UID, NODE, POD, POD_IDENTIFIER, Case, case, make_extra
from tests.unit.function.requests.table import cases, permitted, refused, row, table

_OPERATOR: Final = "operator csr_controller_test.go"
_ACCOUNT: Final = "system:serviceaccount:calico-system:calico-node"
_GROUPS: Final = ("system:serviceaccounts", "system:serviceaccounts:calico-system", "system:authenticated")
_COMPONENTS: Final[dict[str, dict[str, Any]]] = {
    "calico-node": {"prefix": "node-certs", "names": ("typha-client",)},
    "calico-typha": {"prefix": "typha-certs", "names": ("typha-server",)},
    "calico-apiserver": {
        "prefix": "calico-apiserver-certs",
        "names": ("calico-api", "calico-api.calico-system", "calico-api.calico-system.svc"),
    },
}


_STRANGERS: Final = (*("default", "csi-node-driver", "tigera-operator", "calico-cni-plugin"),)
_LABELS: Final = {"k8s-app": "kube-system", "operator.tigera.io/csr": None}
_ANNOTATIONS: Final = {
    "experimental.cert-manager.io/request-is-ca": "true",
    "experimental.cert-manager.io/request-duration": "87600h",
}


def _user(name: str, *groups: str) -> dict[str, Any]:
    return {"username": name, "groups": groups}


def _stranger(sentence: str, service_account: str, namespace: str = "calico-system", **signer: str) -> Case:
    """A pod whose service account no row of the profile names."""
    csr, pod = {"service_account": service_account, "namespace": namespace}, {"service_account": service_account}
    return case(sentence, "requester.service_account", csr=csr, pod=pod, signer=signer)


def _posing(requester: str, victim: str) -> Case:
    names = _COMPONENTS[victim]["names"]
    return case(
        f"{requester} that asks for the names of {victim}",
        *("subject.common_name", "san.dns.not_allowed", "san.dns.missing"),
        request={"common_name": names[0], "dns_names": names},
        csr={"name": f"{_COMPONENTS[requester]['prefix']}:{POD}", "service_account": requester},
        pod={"service_account": requester},
    )


CASES: Final = table(
    refused(f"{_OPERATOR}: requesters that are no pod", "csr", "requester.not_a_pod"),
    row("the anonymous user", _user("system:anonymous", "system:unauthenticated") | {"extra": {}}, "requester.unbound"),
    row("an administrator with a pod's extras", _user("kubernetes-admin", "system:masters", "system:authenticated")),
    row("a kubelet with its groups", _user(f"system:node:{NODE}", "system:nodes", "system:authenticated")),
    row("a kubelet without a name", _user("system:node:", "system:nodes", "system:authenticated")),
    refused(f"{_OPERATOR}: requesters that are no pod", "csr.username", "requester.not_a_pod"),
    row("a user of an identity provider", "https://accounts.example.com#calico-node"),
    row("a user of Google Cloud", "calico-node@example.iam.gserviceaccount.com"),
    row("the controller manager", "system:kube-controller-manager"),
    row("an empty username", ""),
    row("a service account's prefix alone", "system:serviceaccount:"),
    row("a service account without a name", "system:serviceaccount:calico-system:"),
    row("a service account without a namespace", "system:serviceaccount::calico-node"),
    row("a service account in capitals", _ACCOUNT.upper()),
    row("a namespace in capitals", "system:serviceaccount:Calico-System:calico-node"),
    row("a namespace of 64 characters", f"system:serviceaccount:{'n' * 64}:calico-node"),
    row("a namespace with a dot", "system:serviceaccount:calico.system:calico-node"),
    row("a service account with a blank before it", f" {_ACCOUNT}"),
    row("a service account with NUL after it", f"{_ACCOUNT}\0"),
    row("a service account with a Cyrillic letter", "system:serviceaccount:c\u0430lico-system:calico-node"),
    row("a service account that leads elsewhere in a URL", "system:serviceaccount:calico-system:../../secrets"),
    row("a username of 4000 characters", "system:serviceaccount:calico-system:" + "x" * 4000),
    row("a username of terminal codes", "\x1b]0;owned\x07\x1b[2J"),
    refused("cluster-machine-approver csr_check_test.go: groups", "csr.groups", "requester.groups"),
    row("the group of authenticated users alone", ("system:authenticated",)),
    row("a group in another case", (_GROUPS[0], "system:serviceaccounts:Calico-System", _GROUPS[2])),
    row("a group replaced by the masters", (*_GROUPS[:2], "system:masters")),
    row("a group replaced by another one twice", (*_GROUPS[:2], _GROUPS[0])),
    row("the group of the nodes beside its own", (*_GROUPS, "system:nodes")),
    row("an empty group beside its own", (*_GROUPS, "")),
    row("the group of unauthenticated users", (*_GROUPS[:2], "system:unauthenticated")),
    refused(f"{_OPERATOR}: tokens that are not exactly one pod's", "csr.further_extra", "requester.unbound"),
    row("no pod name", {POD_NAME: []}),
    row("no pod uid", {POD_UID: []}),
    row("an empty pod uid", {POD_UID: [""]}),
    row("the same pod name twice", {POD_NAME: [POD, POD]}),
    row("the same pod uid twice", {POD_UID: [POD_IDENTIFIER, POD_IDENTIFIER]}),
    row("two credential ids", {CREDENTIAL_ID: ["JTI=1", "JTI=2"]}),
    row("a pod name in capitals", {POD_NAME: [POD.upper()]}),
    row("a pod name with a query", {POD_NAME: [f"{POD}?fieldManager=x"]}),
    row("a pod name with a percent sign", {POD_NAME: [f"{POD}%2fstatus"]}),
    row("a pod name of 254 characters", {POD_NAME: ["p" * 254]}),
    row("a pod name that is a dot", {POD_NAME: ["."]}),
    row("a pod uid with a blank", {POD_UID: [f"{POD_IDENTIFIER} "]}),
    row("a pod uid of 65 characters", {POD_UID: ["a" * 65]}),
    refused(f"{_OPERATOR}: extras that are not a token's", "csr.extra", "requester.unbound"),
    row("the extras of a token that an administrator impersonates in part", {POD_NAME: [POD]}),
    row("extras whose keys are in capitals", {key.upper(): value for key, value in make_extra().items()}),
    cases("operator pkg/render: service accounts that no row of the release names"),
    *(_stranger(f"the service account {name}", name) for name in _STRANGERS),
    _stranger("the operator in its own namespace", "tigera-operator", "tigera-operator"),
    _stranger("calico-node in the namespace of a manifest install", "calico-node", "kube-system"),
    _stranger("a namespace of Enterprise that any tenant may create", "tigera-dpi", "tigera-dpi"),
    _stranger("calico-node in a tenant's namespace", "calico-node", "tenant-a"),
    _stranger("the API server in the namespace of newer releases", "calico-apiserver", release="3.30"),
    cases("operator pkg/render: each component that asks for each other one's names"),
    *(_posing(requester, victim) for requester in _COMPONENTS for victim in _COMPONENTS if requester != victim),
    refused("operator pkg/tls/certificatemanagement/csr.go: CSR names", "csr.name", "request_name.not_allowed"),
    row("the CSR name of the documentation", f"calico-system:{POD}:{CSR_UID[:6]}"),
    row("a CSR name without a prefix", POD),
    row("a CSR name without a pod", "node-certs:"),
    row("a CSR name with a part after it", f"node-certs:{POD}:1"),
    row("a CSR name with a part before it", f"x:node-certs:{POD}"),
    row("a CSR name whose pod only starts as its own", f"node-certs:{POD}x"),
    row("a CSR name whose pod is the start of its own", f"node-certs:{POD[:-1]}"),
    row("a CSR name in capitals", f"NODE-CERTS:{POD}"),
    row("a CSR name with a dash for the colon", f"node-certs-{POD}"),
    row("a CSR name with a full width colon", f"node-certs\uff1a{POD}"),
    row("a CSR name with a blank after it", f"node-certs:{POD} "),
    row("a CSR name with a new line", f"node-certs:{POD}\n"),
    row("a CSR name of terminal codes", "\x1b[2J\x1b[31mnode-certs"),
    row("a CSR name of 4000 characters", "node-certs:" + "p" * 4000),
    row("a placeholder as CSR name", "node-certs:{pod}"),
    row("the CSR name of the node's metrics, of Enterprise", f"calico-node-prometheus-server-tls:{POD}"),
    row("the CSR name of a host without a pod", "node-certs-noncluster-host:host-1"),
    row("the CSR name of a kubelet", "csr-x7k2p"),
    permitted("kubernetes registry/certificates strategy.go: what the API server records and no rule needs", "csr"),
    row("groups in another order", {"groups": tuple(reversed(_GROUPS))}),
    row("an unknown further extra", {"further_extra": {"example.com/tenant": ["a", "b"]}}),
    row("a token without a node", {"further_extra": {NODE_NAME: [], "authentication.kubernetes.io/node-uid": []}}),
    row(
        "a token of Kubernetes 1.31, where the configuration waives the credential id",
        {"further_extra": {CREDENTIAL_ID: []}},
        signer={"credential_id": False},
    ),
    row("labels of another component", {"metadata": {"labels": _LABELS}}),
    row("annotations that ask for a CA", {"metadata": {"annotations": _ANNOTATIONS}}),
)
