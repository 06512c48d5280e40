"""What is asked for: each kind of key with each hash, by the pods of Calico in turn, parsed and attested once."""

import base64
import itertools
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from csr_signer import profile as profiles
from csr_signer.attestation import CREDENTIAL_ID, NODE_NAME, POD_NAME, POD_UID, Attestation, Pod, attest, identify
from csr_signer.csr import CertificateSigningRequest
from csr_signer.pkcs10 import CertificationRequest, parse
from csr_signer.profile import Profile
from csr_signer.violation import Violation
from sandbox.calico.client import USAGES
from sandbox.calico.components import Component, components
from sandbox.calico.request import Content, certification_request, pem
from sandbox.derived_keys import PrivateKey, key

KEYS: Final = ("RSA-2048", "RSA-3072", "RSA-4096", "RSA-8192", "P-256", "P-384", "P-521")
DIGESTS: Final = ("SHA256", "SHA384", "SHA512")
RELEASE: Final = "3.31"
SIGNER_NAME: Final = "csr-signer.example.com/calico"
_NODE: Final = "node-1"
_ADDRESSES: Final = ("10.244.7.12", "fd00:10:244:7::c")
_NAMESPACE: Final = uuid.UUID("6f1b7a52-4c1e-4f0e-9d53-0d1b6f7a2c11")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """A pod and its request: all that the decision needs but the signer.

    Attributes:
        kind, digest: of the key and of the request's signature.
        key: whose certificate it will be.
        csr, request, attestation: as the pipeline has them.
    """

    kind: str
    digest: str
    key: PrivateKey
    csr: CertificateSigningRequest
    request: CertificationRequest | Violation
    attestation: Attestation

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.kind} {self.digest}"

    def earlier(self, created: datetime, *, expiration_seconds: int) -> "Requester":
        """The same, created at another time for a bounded lifetime."""
        return replace(self, csr=replace(self.csr, created=created, expiration_seconds=expiration_seconds))


def profile() -> Profile:
    """Calico's shipped rows; those of the pod network certify addresses, so that stacks see iPAddress too."""
    shipped = profiles.load("calico", release=RELEASE, folder=profiles.SHIPPED)
    on_host = {each.workload: each.host_network for each in components(RELEASE)}
    rows = tuple(row if on_host[row.name] else replace(row, addresses="pod") for row in shipped.components)
    return replace(shipped, components=rows)


def requesters(created: datetime) -> Iterator[Requester]:
    """Every key with every hash; the components and the kinds of address take turns."""
    rows = components(RELEASE)
    for number, (kind, digest) in enumerate(itertools.product(KEYS, DIGESTS)):
        # One step further for each key, so that no hash is always the same component's.
        component = rows[(number + number // len(DIGESTS)) % len(rows)]
        yield _requester(kind, digest, component, _ADDRESSES[number % len(_ADDRESSES)], created)


def _requester(kind: str, digest: str, component: Component, address: str, created: datetime) -> Requester:
    pod = f"{component.workload}-{kind}-{digest}".lower()
    content = Content(common_name=component.common_name, dns_names=component.dns_names, address=address)
    algorithm = f"{digest}WithRSA" if kind.startswith("RSA") else f"ECDSAWith{digest}"
    text = pem(certification_request(content, key(kind), algorithm))
    csr = CertificateSigningRequest.from_api(
        json.dumps(_csr(component, pod, text, created)).encode(), name=component.request_name(pod)
    )
    identity = identify(csr.requester)
    if isinstance(identity, tuple):
        raise TypeError(f"{pod} is no requester: {identity}")
    live = json.dumps(_pod(component, pod, address)).encode()
    return Requester(
        kind=kind,
        digest=digest,
        key=key(kind),
        csr=csr,
        request=parse(csr.request),
        attestation=attest(identity, Pod.from_api(live, name=pod, namespace=component.namespace)),
    )


def _csr(component: Component, pod: str, request: bytes, created: datetime) -> dict[str, Any]:
    """As kube-apiserver would return it."""
    accounts = "system:serviceaccounts"
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {
            "name": component.request_name(pod),
            "uid": _uid(f"csr of {pod}"),
            "resourceVersion": "1",
            "creationTimestamp": f"{created:%Y-%m-%dT%H:%M:%SZ}",
        },
        "spec": {
            "request": base64.b64encode(request).decode(),
            "signerName": SIGNER_NAME,
            "usages": list(USAGES),
            "username": f"system:serviceaccount:{component.namespace}:{component.service_account}",
            "uid": _uid(component.service_account),
            "groups": [accounts, f"{accounts}:{component.namespace}", "system:authenticated"],
            "extra": {
                CREDENTIAL_ID: [f"JTI={_uid(f'token of {pod}')}"],
                NODE_NAME: [_NODE],
                POD_NAME: [pod],
                POD_UID: [_uid(pod)],
            },
        },
    }


def _pod(component: Component, pod: str, address: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod, "namespace": component.namespace, "uid": _uid(pod)},
        "spec": {
            "serviceAccountName": component.service_account,
            "nodeName": _NODE,
            "hostNetwork": component.host_network,
        },
        "status": {"phase": "Pending", "podIPs": [{"ip": address}]},
    }


def _uid(name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, name))
