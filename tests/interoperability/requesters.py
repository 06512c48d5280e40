"""The pods that ask for certificates, and what the function makes of their requests."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from typing import Any, Final

from csr_signer.issuance.certificate import assemble, build
from csr_signer.issuance.lint import lint
from csr_signer.kms.key import Attempts
from csr_signer.policy.decision import Decision, Permit, decide
from csr_signer.policy.profile import Profile
from csr_signer.request.pkcs10 import parse
from sandbox.calico.components import Component, components
from tests.interoperability.issuers import KmsIssuer
from tests.unit.function.builders import (
    ADDRESS,
    certifying_addresses,
    codes,
    make_attestation,
    make_csr,
    make_issuer,
    make_node,
    make_pod,
    make_signer,
)

parsed: Final = cache(parse)
"""Parsing tests a modulus of 8192 bits for primality, which takes 70 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """A pod of one of Calico's components.

    Attributes:
        component: What the pod asks for.
        address: Of the pod; its node's if the pod is in the host network.
    """

    component: Component
    address: str

    def __str__(self) -> str:
        return self.component.workload

    @property
    def pod(self) -> str:
        """The pod's name."""
        return f"{self.component.workload}-x7k2p"

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every name and address of the certificate."""
        return (*self.component.dns_names, self.address)

    def judge(
        self,
        request: bytes,
        issuer: KmsIssuer | None = None,
        *,
        created: datetime | None = None,
        expiration_seconds: int | None = None,
        profile: Profile | None = None,
    ) -> Decision:
        """Returns the decision on `spec.request`, by a profile that also certifies addresses.

        A CSR is created now unless told otherwise: certtool and Node verify at the machine's time only.
        """
        component = self.component
        created = created or datetime.now(UTC).replace(microsecond=0)
        csr = make_csr(
            name=component.request_name(self.pod),
            namespace=component.namespace,
            service_account=component.service_account,
            pod=self.pod,
            request=request,
            created=f"{created:%Y-%m-%dT%H:%M:%SZ}",
            expiration_seconds=expiration_seconds,
        )
        pod = make_pod(
            name=self.pod,
            namespace=component.namespace,
            service_account=component.service_account,
            host_network=component.host_network,
            pod_ips=[self.address],
        )
        signer = make_signer(
            profile=profile or certifying_addresses(),
            issuer=issuer.issuer if issuer else make_issuer(),
            lifetime=timedelta(days=365),
        )
        node = make_node(addresses=[("InternalIP", self.address)]) if component.host_network else None
        attestation = make_attestation(csr, pod, node)
        return decide(csr=csr, request=parsed(request), attestation=attestation, signer=signer, now=created)

    def certify(self, request: bytes, issuer: KmsIssuer, **changes: Any) -> bytes:
        """Returns the chain that the function issues, PEM; fails unless it is for exactly what the pod asks for."""
        permit = self.judge(request, issuer, **changes)
        assert isinstance(permit, Permit), f"{self} under {issuer.name}: {permit}"
        assert permit.common_name == self.component.common_name
        assert permit.dns_names == self.component.dns_names
        assert permit.ip_addresses == (ip_address(self.address),)
        cleared = lint(build(permit, issuer.issuer, issuer.algorithm), permit, issuer.issuer, issuer.algorithm)
        signature = issuer.key.sign(cleared, issuer.algorithm, issuer.key.public_key(), Attempts())
        return assemble(cleared, signature.value, issuer.issuer, issuer.algorithm).pem

    def refused(self, request: bytes) -> set[str]:
        """Returns the codes of every violation."""
        return set(codes(self.judge(request)))


REQUESTERS: Final = tuple(
    Requester(component=component, address=ADDRESS if component.host_network else "fd00:10:244:1::2a")
    for component in components("3.31")
)
NODE, TYPHA, API_SERVER = REQUESTERS


def relabelled(request: bytes) -> bytes:
    """Replaces the PEM label `NEW CERTIFICATE REQUEST` by `CERTIFICATE REQUEST`, as the pod that files the CSR must.

    kube-apiserver accepts the second label only (RFC 7468 §7 mentions the first as what some programs write).
    """
    text, count = re.subn(
        rb"(?m)^(-----(?:BEGIN|END)) NEW CERTIFICATE REQUEST-----", rb"\1 CERTIFICATE REQUEST-----", request
    )
    assert count == 2
    return text
