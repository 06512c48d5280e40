"""Every component of every release: what must become a certificate.

Who asks for what is tests/function/component_tables.py's, written from the operator's source and not from the profiles.
"""

from typing import Final

from csr_signer.profile import SHIPPED, load
from tests.corpus.entry import Patched, patched, permitted
from tests.function.builders import case
from tests.function.component_tables import CALICO_RELEASES, DOMAIN, ENTERPRISE_RELEASES, Asked, configured, rows

_ON_THE_HOST: Final = ("calico-node", "calico-typha", "tigera-dpi")


def _component(profile: str, release: str, asked: Asked) -> Patched:
    namespaces = configured(profile, release)
    host = asked.service_account in _ON_THE_HOST
    address = "10.132.0.7" if host else "10.244.1.9"
    row = case(
        f"{profile} {release}, {asked.prefix} of {asked.service_account}",
        request={
            "common_name": asked.common_name,
            "dns_names": (*asked.names, *asked.domain_names),
            "addresses": (address,),
        },
        csr={
            "name": asked.request_name,
            "namespace": asked.namespace,
            "service_account": asked.service_account,
            "pod": asked.pod,
        },
        pod={"service_account": asked.service_account, "host_network": host, "pod_ips": (address,)},
        signer={
            "profile": load(profile, release=release, namespaces=namespaces, folder=SHIPPED),
            "cluster_domain": DOMAIN,
        },
    )
    described = {"name": profile, "release": release} | ({"namespaces": namespaces} if namespaces else {})
    return patched(row, profile=described)


def _enterprise() -> list[Patched]:
    """All of the newest release, and of each older one what the next does not have."""
    newer: list[Asked] = []
    found = []
    for release in reversed(ENTERPRISE_RELEASES):
        asked = rows("calico-enterprise", release)
        found += [_component("calico-enterprise", release, each) for each in asked if each not in newer]
        newer = list(asked)
    return found


ROWS: Final = (
    *permitted("projectcalico/calico key-cert-provisioner pkg/tls and pkg/k8s", case("the honest request")),
    *permitted(
        "tigera/operator pkg/render: components, namespaces and CSR names of each release",
        *(_component("calico", release, asked) for release in CALICO_RELEASES for asked in rows("calico", release)),
    ),
    *permitted("tigera/operator pkg/render and pkg/controller: components of Calico Enterprise", *_enterprise()),
)
