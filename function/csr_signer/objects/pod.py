"""A pod and its node at the API server, and the identity of a pod in a token."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

from csr_signer.errors import ItemError
from csr_signer.objects import json_fields
from csr_signer.objects.json_fields import METADATA, OF_OBJECT, Bounds, Mask
from csr_signer.violation import quote

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
# No name, uid, phase or address is longer. So a writer of a status cannot make the fields exceed OF_OBJECT.whole, and a
# request fail.
_BOUNDS: Final = Bounds(items=OF_OBJECT.items, text=512, whole=OF_OBJECT.whole)

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class PodIdentity:
    """The pod in the requester's token, as the API server recorded it; the names are safe in a URL.

    Attributes:
        namespace, service_account: from the username.
        pod_name, pod_uid: the pod that the token is bound to.
        node_name: the token's node; None before Kubernetes 1.30.
    """

    namespace: str
    service_account: str
    pod_name: str
    pod_uid: str
    node_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """The current state of a pod.

    Attributes:
        uid, service_account, node_name: from metadata and spec.
        terminating: whether a deletionTimestamp is set.
        finished: whether its phase is Succeeded or Failed.
        host_network: whether it uses the host network.
        addresses: its podIPs, and its hostIPs on the host network: claims, not proofs.
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
        """Parses the API server's JSON.

        Args:
            document: the API server's answer.
            name: the requested name.
            namespace: the requested namespace.

        Raises:
            UnavailableError: the answer is another object.
            ItemError: the object is unreadable.
        """
        api = json_fields.read(document, "Pod", _POD_FIELDS, name=name, namespace=namespace, bounds=_BOUNDS)
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
    """The node of a pod on the host network.

    Attributes:
        addresses: its internal and external addresses; empty if the node is missing. Claims, not proofs.
    """

    addresses: frozenset[Address] = frozenset()

    @classmethod
    def from_api(cls, document: bytes, *, name: str) -> "Node":
        """Parses the API server's JSON.

        Args:
            document: the API server's answer.
            name: the requested name.

        Raises:
            UnavailableError: the answer is another object.
            ItemError: the object is unreadable.
        """
        api = json_fields.read(document, "Node", _NODE_FIELDS, name=name, bounds=_BOUNDS)
        try:
            entries = (api.get("status") or {}).get("addresses") or ()
            found = [entry for entry in entries if entry.get("type") in _NODE_KINDS]
            return cls(addresses=_addresses(entry.get("address") for entry in found))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ItemError(f"the Node cannot be read: {quote(str(error))}") from error


def _pod_addresses(status: dict[str, Any], *, host_network: bool) -> frozenset[Address]:
    entries = [*(status.get("podIPs") or ()), *((status.get("hostIPs") or ()) if host_network else ())]
    return _addresses(entry.get("ip") for entry in entries)


def _addresses(texts: Iterable[str | None]) -> frozenset[Address]:
    """Parses addresses, and skips other values, so that a writer of a status cannot make a request fail.

    The API server accepts entries without an address, and omits the empty text from its answer.
    """
    return frozenset(address for address in map(_address, texts) if address is not None)


def _address(text: str | None) -> Address | None:
    try:
        return ip_address(text or "")
    except ValueError:
        return None
