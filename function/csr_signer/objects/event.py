"""A Kubernetes Event: a warning of the function about a CSR or about its pod."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from csr_signer.objects.csr import CertificateSigningRequest
from csr_signer.objects.pod import PodIdentity

COMPONENT: Final = "kms-csr-signer"
LONGEST_NOTE: Final = 1000
"""Characters of a message; the API server accepts 1,024 in its newer API for Events."""
_OF_CLUSTER_SCOPED: Final = "default"
"""The namespace of Events about objects without a namespace (kube-apiserver, ValidateEvent)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A warning about one object, at most once per CSR, object and reason.

    Attributes:
        name: follows from the CSR's uid, the kind and the reason, so that the API server stores a repetition once.
        namespace: the Event's namespace.
        involved: the involved object.
        reason: CamelCase.
        message: escaped and bounded.
        moment: when.
    """

    name: str
    namespace: str
    involved: dict[str, str]
    reason: str
    message: str
    moment: datetime

    @property
    def kind(self) -> str:
        """Returns the kind of the involved object."""
        return self.involved["kind"]

    def to_api(self) -> dict[str, Any]:
        """Returns the API server's JSON."""
        moment = f"{self.moment:%Y-%m-%dT%H:%M:%SZ}"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "involvedObject": self.involved,
            "type": "Warning",
            "reason": self.reason,
            "message": self.message,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": COMPONENT,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }


def on_csr(csr: CertificateSigningRequest, *, about: str, reason: str, message: str, moment: datetime) -> Event:
    """Returns an Event on a CSR; `kubectl describe csr` shows Events, but no messages of conditions.

    Args:
        csr: the CSR.
        about: the last part of the Event's name: what it reports once per CSR.
        reason: CamelCase.
        message: the message, escaped.
        moment: when.
    """
    involved = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "name": csr.name,
        "uid": csr.uid,
    }
    return Event(
        name=f"{csr.uid}.csr.{about}",
        namespace=_OF_CLUSTER_SCOPED,
        involved=involved,
        reason=reason,
        message=message[:LONGEST_NOTE],
        moment=moment,
    )


def on_pod(event: Event, identity: PodIdentity) -> Event:
    """Returns the same Event on the CSR's pod, because Calico's client reports nothing to the pod's operator."""
    involved = {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": identity.namespace,
        "name": identity.pod_name,
        "uid": identity.pod_uid,
    }
    return Event(
        name=event.name.replace(".csr.", ".pod.", 1),
        namespace=identity.namespace,
        involved=involved,
        reason=event.reason,
        message=event.message,
        moment=event.moment,
    )
