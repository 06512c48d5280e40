"""What to do about a refusal, by code; docs/refusals.md shows this table."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """The usual cause of a refusal.

    Attributes:
        cause: The cause.
        remedy: What to do about it.
        is_configuration: Whether the operator's own configuration is the usual cause, so that the operator acts.
    """

    cause: str
    remedy: str
    is_configuration: bool = False


_CLUSTER_DOMAIN: Final = Remedy(
    cause="the cluster's domain is not the configured one", remedy="set `cluster_domain`", is_configuration=True
)
REMEDIES: Final[Mapping[str, Remedy]] = MappingProxyType(
    {
        "requester.service_account": Remedy(
            cause="the configured release, or its namespaces, is not the one in the cluster",
            remedy="if the pod belongs to the profile's software, set `profile.release` and `profile.namespaces`",
            is_configuration=True,
        ),
        "requester.unbound": Remedy(
            cause="a token created by hand, or from a Secret; or Kubernetes before 1.32, whose tokens have no"
            " credential ID",
            remedy="let the pod use its projected token; before 1.32 set `credential_id: waived` for that cluster",
        ),
        "request_name.not_allowed": Remedy(
            cause="Calico before 3.28 uses other CSR names; or the requester used another pod's name",
            remedy="if the CSR has another pod's name, treat it as an attack; if not, set `profile.release`",
            is_configuration=True,
        ),
        "san.dns.not_allowed": _CLUSTER_DOMAIN,
        "san.dns.missing": _CLUSTER_DOMAIN,
        "san.ip.not_allowed": Remedy(
            cause="`address_ranges` leaves out a network of nodes or pods",
            remedy="if the address is the pod's or its node's own, add the network to `address_ranges`",
            is_configuration=True,
        ),
        "pod.gone": Remedy(
            cause="the pod was replaced while its request waited", remedy="nothing: the new pod asks for itself"
        ),
        "pod.address_missing": Remedy(
            cause="a profile certifies addresses and the kubelet never reported this one",
            remedy="check the pod's status (on the host's network: the node's status)",
        ),
        "lifetime.too_late": Remedy(
            cause="the event came too late, or the CA expires before half of the lifetime has passed",
            remedy="check the exporter; rotate the CA",
        ),
    }
)


def of_configuration(code: str) -> str:
    """Returns the remedy of a code whose usual cause is the operator's configuration; empty for another code."""
    found = REMEDIES.get(code)
    return found.remedy if found is not None and found.is_configuration else ""
