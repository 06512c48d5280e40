"""Step 5, attest: the pod behind the requester, as far as it can be proved.

Chain of proof: the username names namespace and service account; the token's extras name the pod and its uid; the API
server's pod of that name has that uid and runs as that service account. What that proves: the requester is the pod, or
someone who can create, exec into or mint tokens for pods in its namespace, impersonate, or owns its node. What it
does not: `pod.status`, which the kubelet and Calico's own service accounts may write.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

from csr_signer import api_object
from csr_signer.api_object import METADATA, Mask
from csr_signer.csr import Requester
from csr_signer.errors import ItemError
from csr_signer.violation import Violation, quote

_EXTRA: Final = "authentication.kubernetes.io/"
POD_NAME: Final = _EXTRA + "pod-name"
POD_UID: Final = _EXTRA + "pod-uid"
NODE_NAME: Final = _EXTRA + "node-name"
CREDENTIAL_ID: Final = _EXTRA + "credential-id"

# Names go into a URL, so they are matched in full before: RFC 1123 label and subdomain, as Kubernetes validates them.
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_UID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_TEXT: Final = re.compile(r".+", re.DOTALL)
_MOST_ADDRESSES: Final = 64  # of a node: whoever may write its status could name tens of thousands
_NODE_KINDS: Final = ("InternalIP", "ExternalIP")
_POD_FIELDS: Final[dict[str, Mask]] = {
    "metadata": METADATA,
    "spec": dict.fromkeys(("hostNetwork", "serviceAccountName", "nodeName")),
    "status": {"phase": None, "podIPs": [{"ip": None}], "hostIPs": [{"ip": None}]},
}
_NODE_FIELDS: Final[dict[str, Mask]] = {
    "metadata": METADATA,
    "status": {"addresses": [{"type": None, "address": None}]},
}

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class PodIdentity:
    """What the API server recorded about the requester's token: names that are safe in a URL.

    Attributes:
        namespace, service_account: of the username.
        pod_name, pod_uid: the pod that the token is bound to.
        node_name: the node that the token names, None before Kubernetes 1.30.
    """

    namespace: str
    service_account: str
    pod_name: str
    pod_uid: str
    node_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod as the API server has it now.

    Attributes:
        uid, service_account, node_name: of metadata and spec.
        terminating: a deletionTimestamp is set.
        finished: phase Succeeded or Failed.
        host_network: it has its node's addresses.
        addresses: its podIPs, and its hostIPs where it is on the host's network: claims, not proofs.
    """

    uid: str
    service_account: str
    node_name: str
    terminating: bool
    finished: bool
    host_network: bool
    addresses: frozenset[Address]

    @classmethod
    def from_api(cls, document: bytes, *, name: str, namespace: str) -> "Pod":
        """The API server's JSON as a value.

        Args:
            document: the answer.
            name: that was asked for.
            namespace: that was asked for.

        Raises:
            UnavailableError: the answer is no such pod.
            ItemError: it is one that cannot be read.
        """
        api = api_object.read(document, "Pod", _POD_FIELDS, name=name, namespace=namespace)
        try:
            spec, status = api["spec"], api.get("status") or {}
            host_network = bool(spec.get("hostNetwork"))
            return cls(
                uid=api["metadata"]["uid"],
                service_account=spec.get("serviceAccountName", ""),
                node_name=spec.get("nodeName", ""),
                terminating=api["metadata"].get("deletionTimestamp") is not None,
                finished=status.get("phase") in ("Succeeded", "Failed"),
                host_network=host_network,
                addresses=_pod_addresses(status, host_network=host_network),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ItemError(f"the Pod cannot be read: {quote(str(error))}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The node of a pod on the host's network.

    Attributes:
        addresses: its internal and external addresses; none where there is no such node. Claims, not proofs.
    """

    addresses: frozenset[Address] = frozenset()

    @classmethod
    def from_api(cls, document: bytes, *, name: str) -> "Node":
        """The API server's JSON as a value.

        Args:
            document: the answer.
            name: that was asked for.

        Raises:
            UnavailableError: the answer is no such node.
            ItemError: it is one that cannot be read.
        """
        api = api_object.read(document, "Node", _NODE_FIELDS, name=name)
        try:
            entries = (api.get("status") or {}).get("addresses") or ()
            found = [entry for entry in entries[:_MOST_ADDRESSES] if entry.get("type") in _NODE_KINDS]
            return cls(addresses=_addresses(entry.get("address") for entry in found))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ItemError(f"the Node cannot be read: {quote(str(error))}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """What is known of the pod behind the requester.

    Attributes:
        identity: what the token says; None where it says too little.
        pod: the live pod with the token's uid; None where there is none.
        addresses: those that are visible as the pod's: its node's where that was read, else its own.
        violations: links of the chain of proof that do not hold.
    """

    identity: PodIdentity | None
    pod: Pod | None
    violations: tuple[Violation, ...]
    addresses: frozenset[Address] = frozenset()


def identify(requester: Requester, *, credential_id: bool = True) -> PodIdentity | tuple[Violation, ...]:
    """The pod that the requester's token is bound to, or every reason why there is none.

    Args:
        requester: whom the API server saw.
        credential_id: whether the token's own identifier is required; Kubernetes records it since 1.32 (KEP-4193).
    """
    violations: list[Violation] = []
    prefix, _, rest = requester.username.partition("system:serviceaccount:")
    namespace, _, service_account = rest.partition(":")
    if prefix or not _LABEL.fullmatch(namespace) or not _SUBDOMAIN.fullmatch(service_account) or not requester.uid:
        got = quote(requester.username)
        violations.append(Violation(code="requester.not_a_pod", message=f"{got} with a uid is no service account"))
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
    """The chain of proof's last links: the live pod against the token.

    Args:
        identity: of the token.
        pod: a consistent read of the pod of that name; None where there is none. The pod existed when its token was
            validated, so an absent one is gone, not late.
        node: the pod's node, where its addresses are to be certified; None where nobody asked for it.
    """
    if pod is None or pod.uid != identity.pod_uid:
        got = "no pod of that name" if pod is None else f"a pod with uid {quote(pod.uid)}"
        gone = _violation("gone", f"pod {identity.pod_name!r} with uid {identity.pod_uid!r} is gone: got {got}")
        return Attestation(identity=identity, pod=None, violations=(gone,))
    violations: list[Violation] = []
    if pod.service_account != identity.service_account:
        violations.append(
            _violation(
                "service_account",
                f"got {quote(pod.service_account)}, the token's is {identity.service_account!r}",
            )
        )
    if identity.node_name is not None and pod.node_name != identity.node_name:
        violations.append(_violation("node", f"got {quote(pod.node_name)}, the token's is {quote(identity.node_name)}"))
    if pod.terminating:
        violations.append(_violation("terminating", f"pod {identity.pod_name!r} is being deleted"))
    if pod.finished:
        violations.append(_violation("finished", f"pod {identity.pod_name!r} has finished"))
    visible = pod.addresses if node is None else node.addresses
    return Attestation(identity=identity, pod=pod, addresses=visible, violations=tuple(violations))


def _check_groups(requester: Requester, namespace: str) -> list[Violation]:
    allowed = {"system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"}
    if set(requester.groups) == allowed and len(requester.groups) == len(allowed):
        return []
    message = f"got {quote(', '.join(requester.groups))}, allowed are exactly {', '.join(sorted(allowed))}"
    return [Violation(code="requester.groups", message=message)]


def _check_extra(requester: Requester, *, credential_id: bool) -> list[Violation]:
    # What a token must say has exactly one value; what an older API server does not record yet, at most one.
    violations = []
    forms = {POD_NAME: _SUBDOMAIN, POD_UID: _UID, CREDENTIAL_ID: _TEXT, NODE_NAME: _TEXT}
    optional = {NODE_NAME} if credential_id else {NODE_NAME, CREDENTIAL_ID}
    for key, form in forms.items():
        values = requester.extra.get(key, ())
        if key in optional and not values:
            continue
        if len(values) != 1 or not form.fullmatch(values[0]):
            message = f"got {len(values)} values of {key}, allowed is one: use the pod's own projected token"
            violations.append(Violation(code="requester.unbound", message=message))
    return violations


def _pod_addresses(status: dict[str, Any], *, host_network: bool) -> frozenset[Address]:
    entries = [*(status.get("podIPs") or ()), *((status.get("hostIPs") or ()) if host_network else ())]
    return _addresses(entry.get("ip") for entry in entries)


def _addresses(texts: Iterable[str | None]) -> frozenset[Address]:
    """Leaves out what is no address to us: whoever writes a status must not be able to fail a request.

    The API server lets entries without an address be written, and leaves the empty text out of its answer.
    """
    return frozenset(address for address in map(_address, texts) if address is not None)


def _address(text: str | None) -> Address | None:
    try:
        return ip_address(text or "")
    except ValueError:
        return None


def _violation(rule: str, message: str) -> Violation:
    return Violation(code=f"pod.{rule}", message=message)
