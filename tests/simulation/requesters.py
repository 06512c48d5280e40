"""The CSRs of a world and their pods: honest ones as Calico's client files them, and hostile ones."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from csr_signer.policy.attestation import NODE_NAME, POD_UID
from tests.simulation.plan import Files, Plan
from tests.unit.function import builders

SIGNERS: Final = (builders.SIGNER_NAME, "csr-signer.example.com/other")
NAMESPACE: Final = "calico-system"
TOO_LARGE: Final = 1 << 20
LONG: Final = 3

_REQUESTS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "wrong names": {"common_name": "kubernetes", "dns_names": ("kubernetes",)},
        "a CA": {"authority": True},
        "hidden address": {"addresses": ("10.132.9.9",)},
    }
)
"""What the request of a kind has in place of the honest one's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Csr:
    """A CSR that is about to be filed.

    Attributes:
        filed: why.
        document: the API object, without what the API server adds.
        names: what its certificate must have.
    """

    filed: Files
    document: Mapping[str, Any]
    names: frozenset[str]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.document["metadata"]["name"])


def make(plan: Plan, filed: Files) -> Csr:
    """Returns the CSR that a pod files."""
    pod, kind = pod_name(filed.pod), filed.kind
    extra = builders.make_extra(pod) | {POD_UID: [pod_uid(filed.pod)], NODE_NAME: [node_name(filed.pod)]}
    document = builders.make_csr_object(
        name=_name(filed),
        uid=str(uuid.UUID(bytes=hashlib.sha256(f"{plan.seed} {filed.csr}".encode()).digest()[:16], version=4)),
        signer_name="example.com/unknown" if kind == "other signer" else SIGNERS[filed.pod % plan.signers],
        request=_request(kind, filed.csr, filed.pod),
        pod=pod,
        extra={} if kind == "no pod" else extra,
        namespace="default" if kind == "other namespace" else NAMESPACE,
        metadata={"annotations": {"text": "x" * TOO_LARGE}} if kind == "large" else None,
    )
    names = {"DNS:typha-client", *(f"IP:{each}" for each in addresses(filed.pod) if plan.addresses)}
    return Csr(filed=filed, document=document, names=frozenset(names))


def pod_name(number: int) -> str:
    """Returns the name of a pod; some have a label that is longer than a host's may be."""
    return f"calico-node-{'long' * 16 if number % 4 == LONG else ''}{number:05}"


def pod_uid(number: int) -> str:
    """Returns the uid of a pod."""
    return f"{number:08}-55a3-4d7e-8f4b-6a1d0c2e9f10"


def node_name(number: int) -> str:
    """Returns the name of a pod's node."""
    return f"node-{number}"


def addresses(number: int) -> tuple[str, str]:
    """Returns the addresses of a pod's node."""
    return f"10.132.0.{number + 1}", f"fd00::{number + 1}"


@cache
def pod_document(number: int) -> bytes:
    """Returns a pod as the API server has it."""
    at = addresses(number)
    values: dict[str, Any] = {"node": node_name(number), "pod_ips": at, "host_ips": at}
    return json.dumps(builders.make_pod_object(name=pod_name(number), uid=pod_uid(number), **values)).encode()


@cache
def node_document(number: int, visible: int) -> bytes:
    """Returns a pod's node with the addresses that kubelet has reported so far."""
    reported = [("InternalIP", each) for each in addresses(number)[:visible]]
    return json.dumps(builders.make_node_object(name=node_name(number), addresses=reported)).encode()


def _name(filed: Files) -> str:
    own = f"node-certs:{pod_name(filed.pod)}"
    match filed.kind:
        case "another pod's name":
            return f"node-certs:{pod_name(90_000 + filed.csr)}"
        case "poison":  # the exporter sends it, and the function refuses the event
            return f"{own}\u200b"
        case "unsendable":
            return f"{own}\x01"
        case "flood":
            return f"{own}-{filed.csr}"
        case _:
            return own


@cache
def _request(kind: str, csr: int, pod: int) -> bytes:
    key = builders.rsa_key(2048) if kind == "RSA" else builders.ec_key(number=1000 + csr)
    return builders.make_request(**{"key": key, "addresses": addresses(pod), **_REQUESTS.get(kind, {})})
