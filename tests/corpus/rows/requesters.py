"""Who asks: usernames, groups, extras, and the CSR's name."""

from typing import Any, Final

from csr_signer.attestation import CREDENTIAL_ID, NODE_NAME, POD_NAME, POD_UID
from tests.corpus.entry import patched, permitted, refused
from tests.function.builders import CSR_UID, NODE, POD, POD_IDENTIFIER, Case, case, make_extra

_ACCOUNT: Final = "system:serviceaccount:calico-system:calico-node"
_GROUPS: Final = ("system:serviceaccounts", "system:serviceaccounts:calico-system", "system:authenticated")
_COMPONENTS: Final[dict[str, dict[str, Any]]] = {
    "calico-node": {"prefix": "node-certs", "common_name": "typha-client", "dns_names": ("typha-client",)},
    "calico-typha": {"prefix": "typha-certs", "common_name": "typha-server", "dns_names": ("typha-server",)},
    "calico-apiserver": {
        "prefix": "calico-apiserver-certs",
        "common_name": "calico-api",
        "dns_names": ("calico-api", "calico-api.calico-system", "calico-api.calico-system.svc"),
    },
}


def _user(sentence: str, username: str, **csr: Any) -> Case:
    return case(sentence, "requester.not_a_pod", csr={"username": username, **csr})


def _groups(sentence: str, *groups: str) -> Case:
    return case(sentence, "requester.groups", csr={"groups": groups})


def _extra(sentence: str, **values: list[str]) -> Case:
    keys = {"pod_name": POD_NAME, "pod_uid": POD_UID, "node_name": NODE_NAME, "credential_id": CREDENTIAL_ID}
    return case(sentence, "requester.unbound", csr={"further_extra": {keys[key]: got for key, got in values.items()}})


def _account(sentence: str, service_account: str, namespace: str = "calico-system", **signer: str) -> Case:
    return case(
        sentence,
        "requester.service_account",
        csr={"service_account": service_account, "namespace": namespace},
        pod={"service_account": service_account},
        signer=signer,
    )


def _posing(requester: str, victim: str) -> Case:
    asked = {key: value for key, value in _COMPONENTS[victim].items() if key != "prefix"}
    return case(
        f"{requester} that asks for the names of {victim}",
        "subject.common_name",
        "san.dns.not_allowed",
        "san.dns.missing",
        request=asked,
        csr={"name": f"{_COMPONENTS[requester]['prefix']}:{POD}", "service_account": requester},
        pod={"service_account": requester},
    )


def _named(sentence: str, name: str) -> Case:
    return case(sentence, "request_name.not_allowed", csr={"name": name})


ROWS: Final = (
    *refused(
        "tigera/operator pkg/controller/csr/csr_controller_test.go: requesters that are no pod",
        case(
            "the anonymous user",
            "requester.not_a_pod",
            "requester.unbound",
            csr={"username": "system:anonymous", "groups": ("system:unauthenticated",), "extra": {}},
        ),
        _user(
            "an administrator with a pod's extras",
            "kubernetes-admin",
            groups=("system:masters", "system:authenticated"),
        ),
        _user("a kubelet with its groups", f"system:node:{NODE}", groups=("system:nodes", "system:authenticated")),
        _user("a kubelet without a name", "system:node:", groups=("system:nodes", "system:authenticated")),
        _user("a user of an identity provider", "https://accounts.example.com#calico-node"),
        _user("a user of Google Cloud", "calico-node@example.iam.gserviceaccount.com"),
        _user("the controller manager", "system:kube-controller-manager"),
        _user("an empty username", ""),
        _user("a service account's prefix alone", "system:serviceaccount:"),
        _user("a service account without a name", "system:serviceaccount:calico-system:"),
        _user("a service account without a namespace", "system:serviceaccount::calico-node"),
        _user("a service account in capitals", _ACCOUNT.upper()),
        _user("a namespace in capitals", "system:serviceaccount:Calico-System:calico-node"),
        _user("a namespace of 64 characters", f"system:serviceaccount:{'n' * 64}:calico-node"),
        _user("a namespace with a dot", "system:serviceaccount:calico.system:calico-node"),
        _user("a service account with a blank before it", f" {_ACCOUNT}"),
        _user("a service account with NUL after it", f"{_ACCOUNT}\0"),
        _user("a service account with a Cyrillic letter", "system:serviceaccount:c\u0430lico-system:calico-node"),
        _user("a service account that leads elsewhere in a URL", "system:serviceaccount:calico-system:../../secrets"),
        _user("a username of 4000 characters", "system:serviceaccount:calico-system:" + "x" * 4000),
        _user("a username of terminal codes", "\x1b]0;owned\x07\x1b[2J"),
    ),
    *refused(
        "openshift/cluster-machine-approver pkg/controller/csr_check_test.go: groups missing, extra, wrong",
        _groups("the group of authenticated users alone", "system:authenticated"),
        _groups(
            "a group in another case",
            "system:serviceaccounts",
            "system:serviceaccounts:Calico-System",
            "system:authenticated",
        ),
        _groups("a group replaced by the masters", *_GROUPS[:2], "system:masters"),
        _groups("a group replaced by another one twice", *_GROUPS[:2], _GROUPS[0]),
        _groups("the group of the nodes beside its own", *_GROUPS, "system:nodes"),
        _groups("an empty group beside its own", *_GROUPS, ""),
        _groups("the group of unauthenticated users", *_GROUPS[:2], "system:unauthenticated"),
    ),
    *refused(
        "tigera/operator pkg/controller/csr/csr_controller_test.go: tokens that are not exactly one pod's",
        _extra("no pod name", pod_name=[]),
        _extra("no pod uid", pod_uid=[]),
        _extra("an empty pod uid", pod_uid=[""]),
        _extra("the same pod name twice", pod_name=[POD, POD]),
        _extra("the same pod uid twice", pod_uid=[POD_IDENTIFIER, POD_IDENTIFIER]),
        _extra("two credential ids", credential_id=["JTI=1", "JTI=2"]),
        _extra("a pod name in capitals", pod_name=[POD.upper()]),
        _extra("a pod name with a query", pod_name=[f"{POD}?fieldManager=x"]),
        _extra("a pod name with a percent sign", pod_name=[f"{POD}%2fstatus"]),
        _extra("a pod name of 254 characters", pod_name=["p" * 254]),
        _extra("a pod name that is a dot", pod_name=["."]),
        _extra("a pod uid with a blank", pod_uid=[f"{POD_IDENTIFIER} "]),
        _extra("a pod uid of 65 characters", pod_uid=["a" * 65]),
        case(
            "the extras of a token that an administrator impersonates in part",
            "requester.unbound",
            csr={"extra": {POD_NAME: [POD]}},
        ),
        case(
            "extras whose keys are in capitals",
            "requester.unbound",
            csr={"extra": {key.upper(): value for key, value in make_extra().items()}},
        ),
    ),
    *refused(
        "tigera/operator pkg/render: service accounts that no row of the release names",
        *(
            _account(f"the service account {name}", name)
            for name in (
                "default",
                "goldmane",
                "whisker",
                "guardian",
                "csi-node-driver",
                "tigera-operator",
                "calico-cni-plugin",
            )
        ),
        _account("the operator in its own namespace", "tigera-operator", "tigera-operator"),
        _account("calico-node in the namespace of a manifest install", "calico-node", "kube-system"),
        _account("a namespace that anyone may create, of Enterprise", "tigera-dpi", "tigera-dpi"),
        _account("calico-node in a tenant's namespace", "calico-node", "tenant-a"),
        _account("the API server in the namespace of newer releases", "calico-apiserver", release="3.30"),
    ),
    *refused(
        "tigera/operator pkg/render: each component that asks for each other one's names",
        *(_posing(requester, victim) for requester in _COMPONENTS for victim in _COMPONENTS if requester != victim),
    ),
    *refused(
        "tigera/operator pkg/tls/certificatemanagement/csr.go: CSR names that are not this pod's and component's",
        _named("the CSR name of the documentation", f"calico-system:{POD}:{CSR_UID[:6]}"),
        _named("a CSR name without a prefix", POD),
        _named("a CSR name without a pod", "node-certs:"),
        _named("a CSR name with a part after it", f"node-certs:{POD}:1"),
        _named("a CSR name with a part before it", f"x:node-certs:{POD}"),
        _named("a CSR name whose pod only starts as its own", f"node-certs:{POD}x"),
        _named("a CSR name whose pod is the start of its own", f"node-certs:{POD[:-1]}"),
        _named("a CSR name in capitals", f"NODE-CERTS:{POD}"),
        _named("a CSR name with a dash for the colon", f"node-certs-{POD}"),
        _named("a CSR name with a full width colon", f"node-certs\uff1a{POD}"),
        _named("a CSR name with a blank after it", f"node-certs:{POD} "),
        _named("a CSR name with a new line", f"node-certs:{POD}\n"),
        _named("a CSR name of terminal codes", "\x1b[2J\x1b[31mnode-certs"),
        _named("a CSR name of 4000 characters", "node-certs:" + "p" * 4000),
        _named("a placeholder as CSR name", "node-certs:{pod}"),
        _named("the CSR name of the node's metrics, of Enterprise", f"calico-node-prometheus-server-tls:{POD}"),
        _named("the CSR name of a host without a pod", "node-certs-noncluster-host:host-1"),
        _named("the CSR name of a kubelet", "csr-x7k2p"),
    ),
    *permitted(
        "kubernetes pkg/registry/certificates/certificates/strategy.go: what the API server records and no rule needs",
        case("groups in another order", csr={"groups": tuple(reversed(_GROUPS))}),
        case("a further extra that nobody knows", csr={"further_extra": {"example.com/tenant": ["a", "b"]}}),
        case(
            "a token without a node",
            csr={"further_extra": {NODE_NAME: [], "authentication.kubernetes.io/node-uid": []}},
        ),
        case(
            "a token of Kubernetes 1.31, where the configuration waives the credential id",
            csr={"further_extra": {CREDENTIAL_ID: []}},
            signer={"credential_id": False},
        ),
        patched(
            case("labels of another component"),
            csr={"metadata": {"labels": {"k8s-app": "kube-system", "operator.tigera.io/csr": None}}},
        ),
        patched(
            case("annotations that ask for a CA"),
            csr={
                "metadata": {
                    "annotations": {
                        "experimental.cert-manager.io/request-is-ca": "true",
                        "experimental.cert-manager.io/request-duration": "87600h",
                    }
                }
            },
        ),
    ),
)
