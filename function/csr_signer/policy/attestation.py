"""Step 5, attest: identifies the pod behind the requester.

The chain of proof: the username names namespace and service account, the token's extras name the pod and its uid, and
the API server's pod of that name has that uid and service account. This proves that the requester is the pod, or a
principal with power over it: one that can create pods, exec into pods or mint tokens in its namespace, can impersonate
it, or owns its node. It proves nothing about `pod.status`, which kubelets and Calico's service accounts can write.
"""

import re
from dataclasses import dataclass
from typing import Final, Protocol

from csr_signer import field_error
from csr_signer.objects.csr import Requester
from csr_signer.objects.pod import Address, Node, Pod, PodIdentity
from csr_signer.policy.signer import Signer
from csr_signer.rfc1123 import IS_LABEL, IS_SUBDOMAIN
from csr_signer.violation import Violation, quote

_EXTRA: Final = "authentication.kubernetes.io/"
POD_NAME: Final = _EXTRA + "pod-name"
POD_UID: Final = _EXTRA + "pod-uid"
NODE_NAME: Final = _EXTRA + "node-name"
CREDENTIAL_ID: Final = _EXTRA + "credential-id"
EXTRAS: Final = (POD_NAME, POD_UID, NODE_NAME, CREDENTIAL_ID)
"""All extras that `identify` reads."""

# Names go into a URL, so these patterns match them completely first.
_UID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_TEXT: Final = re.compile(r".+", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the API server said about the pod in the token; all other facts of an attestation are the token's.

    Attributes:
        pod: the pod of that name; None if there is none.
        node: the pod's node; None if the pipeline did not read it.
    """

    pod: Pod | None
    node: Node | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """The facts about the pod behind the requester.

    Attributes:
        identity: the pod in the token; None if the token has too little data.
        pod: the live pod with the token's uid; None if there is none.
        addresses: the pod's visible addresses: its node's if the pipeline read the node, otherwise its own.
        violations: broken links of the chain of proof.
        observation: the inputs of `attest`, for audit records; None if the pipeline did not read the pod.
    """

    identity: PodIdentity | None
    pod: Pod | None
    violations: tuple[Violation, ...]
    addresses: frozenset[Address] = frozenset()
    observation: Observation | None = None


class Pods(Protocol):
    """Where the pipeline reads pods and nodes; `client.KubernetesCluster` implements and documents it."""

    async def get_pod(self, identity: PodIdentity) -> Pod | None: ...  # noqa: D102
    async def get_node(self, name: str) -> Node | None: ...  # noqa: D102


async def attest_requester(requester: Requester, signer: Signer, pods: Pods) -> Attestation:
    """Attests the requester's pod; reads its node only if the profile certifies the node's addresses."""
    identity = identify(requester, credential_id=signer.credential_id)
    if not isinstance(identity, PodIdentity):
        return Attestation(identity=None, pod=None, violations=identity)
    rows = signer.profile.rows_of(identity.namespace, identity.service_account)
    if not rows:
        # `decide` refuses this requester. The pipeline does not read its pod: the function may read pods only in the
        # profile's namespaces, and would treat a forbidden read as the operator's fault, which delays all CSRs.
        return Attestation(identity=identity, pod=None, violations=())
    pod, node = await pods.get_pod(identity), None
    if pod is not None and pod.host_network and any(row.addresses == "pod" for row in rows):
        # A pod that is not scheduled has no node. Without a name, the call would list all nodes, which RBAC forbids.
        node = (await pods.get_node(pod.node_name) if pod.node_name else None) or Node()
    return attest(identity, pod, node)


def identify(requester: Requester, *, credential_id: bool = True) -> PodIdentity | tuple[Violation, ...]:
    """Returns the pod that the requester's token is bound to, or all reasons why there is none.

    Args:
        requester: the requester that the API server recorded.
        credential_id: whether the token's credential ID is required; Kubernetes records it since 1.32 (KEP-4193).
    """
    violations: list[Violation] = []
    prefix, _, rest = requester.username.partition("system:serviceaccount:")
    namespace, _, service_account = rest.partition(":")
    if prefix or not IS_LABEL.fullmatch(namespace) or not IS_SUBDOMAIN.fullmatch(service_account) or not requester.uid:
        must = "must be system:serviceaccount:NAMESPACE:NAME, with a uid"
        message = field_error.invalid("spec.username", requester.username, must)
        violations.append(Violation(code="requester.not_a_pod", message=message))
    else:
        violations += _check_groups(requester, namespace)
    violations += _check_extra(requester, credential_id=credential_id)
    if violations:
        return tuple(violations)
    return PodIdentity(
        namespace=namespace,
        service_account=service_account,
        pod_name=requester.extra[POD_NAME][0],
        pod_uid=requester.extra[POD_UID][0],
        node_name=next(iter(requester.extra.get(NODE_NAME, ())), None),
    )


def attest(identity: PodIdentity, pod: Pod | None, node: Node | None = None) -> Attestation:
    """Compares the live pod with the token, for the last links of the chain of proof.

    Args:
        identity: the pod in the token.
        pod: a consistent read of the pod of that name; None if there is none. The pod existed when the API server
            validated its token, so an absent pod is gone, not late.
        node: the pod's node; None if the pipeline did not read it.
    """
    observation = Observation(pod=pod, node=node)
    if pod is None or pod.uid != identity.pod_uid:
        found = "there is no pod of that name" if pod is None else f"the pod of that name has uid {quote(pod.uid)}"
        detail = f"must exist with uid {quote(identity.pod_uid)}; {found}"
        gone = _violation("gone", field_error.not_found(f"spec.extra[{POD_NAME}]", identity.pod_name, detail))
        return Attestation(identity=identity, pod=None, violations=(gone,), observation=observation)
    violations: list[Violation] = []
    if pod.service_account != identity.service_account:
        must = f"must be the token's, {quote(identity.service_account)}"
        message = field_error.invalid("pod.spec.serviceAccountName", pod.service_account, must)
        violations.append(_violation("service_account", message))
    if identity.node_name is not None and pod.node_name != identity.node_name:
        must = f"must be the token's, {quote(identity.node_name)}"
        violations.append(_violation("node", field_error.invalid("pod.spec.nodeName", pod.node_name, must)))
    if pod.terminating:
        why = f"pod {quote(identity.pod_name)} is being deleted"
        violations.append(_violation("terminating", field_error.forbidden("pod.metadata.deletionTimestamp", why)))
    if pod.finished:
        why = f"pod {quote(identity.pod_name)} has finished"
        violations.append(_violation("finished", field_error.forbidden("pod.status.phase", why)))
    visible = pod.addresses if node is None else node.addresses
    return Attestation(
        identity=identity, pod=pod, addresses=visible, violations=tuple(violations), observation=observation
    )


def _check_groups(requester: Requester, namespace: str) -> list[Violation]:
    allowed = {"system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"}
    if set(requester.groups) == allowed and len(requester.groups) == len(allowed):
        return []
    message = field_error.invalid("spec.groups", requester.groups, f"must be exactly {', '.join(sorted(allowed))}")
    return [Violation(code="requester.groups", message=message)]


def _check_extra(requester: Requester, *, credential_id: bool) -> list[Violation]:
    # Required extras have exactly one value. Extras that older API servers do not record have at most one.
    violations = []
    forms = {POD_NAME: IS_SUBDOMAIN, POD_UID: _UID, CREDENTIAL_ID: _TEXT, NODE_NAME: _TEXT}
    optional = {NODE_NAME} if credential_id else {NODE_NAME, CREDENTIAL_ID}
    for key, form in forms.items():
        values = requester.extra.get(key, ())
        if key in optional and not values:
            continue
        if len(values) != 1 or not form.fullmatch(values[0]):
            path, must = f"spec.extra[{key}]", "must have exactly one value; use the pod's own projected token"
            message = field_error.invalid(path, values, must) if values else field_error.required(path, must)
            violations.append(Violation(code="requester.unbound", message=message))
    return violations


def _violation(rule: str, message: str) -> Violation:
    return Violation(code=f"pod.{rule}", message=message)
