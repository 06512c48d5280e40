"""Step 5, attest: the pod behind the requester, as far as it can be proved.

Chain of proof: the username names namespace and service account; the token's extras name the pod and its uid; the API
server's pod of that name has that uid and runs as that service account. What that proves: the requester is the pod, or
someone who can create, exec into or mint tokens for pods in its namespace, impersonate, or owns its node. What it
does not: `pod.status`, which the kubelet and Calico's own service accounts may write.
"""

import json
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

from csr_signer.csr import Requester, check_kind
from csr_signer.errors import UnavailableError
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
        addresses: its podIPs, and its node's hostIPs where it is on the host's network: claims, not proofs.
    """

    uid: str
    service_account: str
    node_name: str
    terminating: bool
    finished: bool
    addresses: frozenset[IPv4Address | IPv6Address]

    @classmethod
    def from_api(cls, document: bytes, *, name: str, namespace: str) -> "Pod":
        """The API server's JSON as a value.

        Args:
            document: the answer.
            name: that was asked for.
            namespace: that was asked for.

        Raises:
            UnavailableError: the answer is no pod.
        """
        try:
            api = json.loads(document)
            check_kind(api, "Pod", name=name, namespace=namespace)
            spec, status = api["spec"], api.get("status") or {}
            return cls(
                uid=api["metadata"]["uid"],
                service_account=spec.get("serviceAccountName", ""),
                node_name=spec.get("nodeName", ""),
                terminating=api["metadata"].get("deletionTimestamp") is not None,
                finished=status.get("phase") in ("Succeeded", "Failed"),
                addresses=frozenset(_addresses(status, host_network=bool(spec.get("hostNetwork")))),
            )
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise UnavailableError(f"the API server answered with no Pod: {quote(str(error))}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """What is known of the pod behind the requester.

    Attributes:
        identity: what the token says; None where it says too little.
        pod: the live pod with the token's uid; None where there is none.
        violations: links of the chain of proof that do not hold.
    """

    identity: PodIdentity | None
    pod: Pod | None
    violations: tuple[Violation, ...]


def identify(requester: Requester) -> PodIdentity | tuple[Violation, ...]:
    """The pod that the requester's token is bound to, or every reason why there is none."""
    violations: list[Violation] = []
    prefix, _, rest = requester.username.partition("system:serviceaccount:")
    namespace, _, service_account = rest.partition(":")
    if prefix or not _LABEL.fullmatch(namespace) or not _SUBDOMAIN.fullmatch(service_account) or not requester.uid:
        got = quote(requester.username)
        violations.append(Violation(code="requester.not_a_pod", message=f"{got} with a uid is no service account"))
    else:
        violations += _check_groups(requester, namespace)
    violations += _check_extra(requester)
    if violations:
        return tuple(violations)
    return PodIdentity(
        namespace=namespace,
        service_account=service_account,
        pod_name=requester.extra[POD_NAME][0],
        pod_uid=requester.extra[POD_UID][0],
        node_name=next(iter(requester.extra.get(NODE_NAME, ())), None),
    )


def attest(identity: PodIdentity, pod: Pod | None) -> Attestation:
    """The chain of proof's last links: the live pod against the token.

    Args:
        identity: of the token.
        pod: a consistent read of the pod of that name; None where there is none. The pod existed when its token was
            validated, so an absent one is gone, not late.
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
    return Attestation(identity=identity, pod=pod, violations=tuple(violations))


def _check_groups(requester: Requester, namespace: str) -> list[Violation]:
    allowed = {"system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"}
    if set(requester.groups) == allowed and len(requester.groups) == len(allowed):
        return []
    message = f"got {quote(', '.join(requester.groups))}, allowed are exactly {', '.join(sorted(allowed))}"
    return [Violation(code="requester.groups", message=message)]


def _check_extra(requester: Requester) -> list[Violation]:
    violations = []
    if len(requester.extra.get(NODE_NAME, ())) > 1:
        message = f"got several values of {NODE_NAME}, allowed is one or none"
        violations.append(Violation(code="requester.unbound", message=message))
    forms = {POD_NAME: _SUBDOMAIN, POD_UID: _UID, CREDENTIAL_ID: None}
    for key, form in forms.items():
        values = requester.extra.get(key, ())
        if len(values) != 1 or not values[0] or (form is not None and not form.fullmatch(values[0])):
            message = f"got {len(values)} usable values of {key}, allowed is one: use the pod's own projected token"
            violations.append(Violation(code="requester.unbound", message=message))
    return violations


def _addresses(status: dict[str, Any], *, host_network: bool) -> list[IPv4Address | IPv6Address]:
    found = [entry["ip"] for entry in status.get("podIPs") or ()]
    if host_network:
        found += [entry["ip"] for entry in status.get("hostIPs") or ()]
    return [address for address in map(_address, found) if address is not None]


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """None for what is no address to us: whoever writes a pod's status must not be able to fail its request."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def _violation(rule: str, message: str) -> Violation:
    return Violation(code=f"pod.{rule}", message=message)
