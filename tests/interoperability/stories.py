"""Two honest requesters, and what becomes of their requests: parsed, judged, built, signed."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from ipaddress import ip_address
from typing import Any, Final

from csr_signer.certificate import assemble, build
from csr_signer.lint import lint
from csr_signer.pkcs10 import CertificationRequest, parse
from csr_signer.policy import Decision, Permit
from tests.function.builders import (
    ADDRESS,
    CREATED,
    Authority,
    authority,
    certifying_addresses,
    codes,
    judge,
    make_authority,
    make_issuer,
    rsa_key,
)

KEYS: Final = ("RSA-2048", "RSA-4096", "P-256", "P-384", "P-521")
DIGESTS: Final = ("SHA256", "SHA384", "SHA512")
WHEN: Final = CREATED + timedelta(hours=1)
"""When the tools are asked to verify: the issued certificates are valid, whatever the machine's clock says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A pod of Calico 3.31, and what it asks for.

    Attributes:
        service_account, pod, request_name: who asks, and under which CSR name.
        common_name, dns_names, address: what for.
        host_network: whether the address is its node's.
        chain: whose key signs, and what stands above it up to the root.
    """

    service_account: str
    pod: str
    request_name: str
    common_name: str
    dns_names: tuple[str, ...]
    address: str
    host_network: bool
    chain: tuple[Authority, ...]

    def __str__(self) -> str:
        return self.service_account

    @property
    def root(self) -> bytes:
        """What relying parties trust, PEM."""
        return self.chain[-1].pem

    def judge(self, request: bytes, created: datetime = CREATED) -> Decision:
        """The decision on `spec.request`, where addresses are certified too."""
        return judge(
            request=request,
            csr={
                "name": self.request_name,
                "pod": self.pod,
                "service_account": self.service_account,
                "created": f"{created:%Y-%m-%dT%H:%M:%SZ}",
            },
            pod={
                "name": self.pod,
                "service_account": self.service_account,
                "host_network": self.host_network,
                "pod_ips": [self.address],
            },
            signer=self.signer(),
            now=created,
        )

    def signer(self) -> dict[str, Any]:
        """What is not a test's default."""
        return {"profile": certifying_addresses(), "issuer": make_issuer(self.chain[0], chain=self.chain[1:])}


NODE: Final = Story(
    service_account="calico-node",
    pod="calico-node-x7k2p",
    request_name="node-certs:calico-node-x7k2p",
    common_name="typha-client",
    dns_names=("typha-client",),
    address=ADDRESS,
    host_network=True,
    chain=(authority(),),
)
"""On its node's IPv4 address; a P-256 root signs."""


@cache
def _chain() -> tuple[Authority, ...]:
    root = make_authority(common_name="Calico root", path_length=1)
    intermediate = make_authority(
        common_name="Calico intermediate", key=rsa_key(2048), algorithm="RSA_SIGN_PKCS1_2048_SHA256", above=root
    )
    return intermediate, root


API_SERVER: Final = Story(
    service_account="calico-apiserver",
    pod="calico-apiserver-6c9d5f7b8-h2xqz",
    request_name="calico-apiserver-certs:calico-apiserver-6c9d5f7b8-h2xqz",
    common_name="calico-api",
    dns_names=(
        "calico-api",
        "calico-api.calico-system",
        "calico-api.calico-system.svc",
        "calico-api.calico-system.svc.cluster.local",
    ),
    address="fd00:10:244:1::2a",
    host_network=False,
    chain=_chain(),
)
"""In the pod network, with an IPv6 address; an RSA intermediate below a P-256 root signs."""

HONEST: Final = (
    *[(key, digest, NODE) for key in KEYS for digest in DIGESTS],
    *[(key, "SHA256", API_SERVER) for key in KEYS],
)
"""Every key with every digest, and the other requester with every key."""


def certified(request: bytes, story: Story, created: datetime = CREATED) -> bytes:
    """PEM of what an honest request gets, the leaf first; fails the test where any of it is refused or changed."""
    parsed = parse(request)
    assert isinstance(parsed, CertificationRequest), parsed
    assert parsed.violations == ()
    permit = story.judge(request, created)
    assert isinstance(permit, Permit), permit
    assert permit.common_name == story.common_name
    assert permit.dns_names == story.dns_names
    assert permit.ip_addresses == (ip_address(story.address),)
    signing, issuer = story.chain[0], story.signer()["issuer"]
    cleared = lint(build(permit, issuer, signing.algorithm), permit, issuer, signing.algorithm)
    return assemble(cleared, signing.sign(cleared.der), issuer, signing.algorithm).pem


def refused(request: bytes, story: Story = NODE) -> set[str]:
    """The codes of everything that is wrong with a request."""
    return set(codes(story.judge(request)))


def relabelled(request: bytes) -> bytes:
    """`NEW CERTIFICATE REQUEST` as `CERTIFICATE REQUEST`: what whoever fills `spec.request` must do.

    kube-apiserver takes the second label only (RFC 7468 §7 knows the first one as what some programs write).
    """
    text, count = re.subn(
        rb"(?m)^(-----(?:BEGIN|END)) NEW CERTIFICATE REQUEST-----", rb"\1 CERTIFICATE REQUEST-----", request
    )
    assert count == 2
    return text
