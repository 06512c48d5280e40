"""Every component of every release: what must become a certificate.

tests/unit/function/policy/component_tables.py says who asks for what. It follows the operator's
source, not the profiles.
"""

from collections.abc import Iterator
from typing import Final

from csr_signer.policy.profile import Profile
from tests.unit.function.builders import Case, case
from tests.unit.function.policy.component_tables import (
    CALICO_RELEASES,
    DOMAIN,
    ENTERPRISE_RELEASES,
    Asked,
    loaded,
    rows,
)
from tests.unit.function.requests.table import cases, table

_ON_THE_HOST: Final = ("calico-node", "calico-typha", "tigera-dpi")


def _component(profile: str, release: str, asked: Asked) -> Case:
    names = (*asked.names, *asked.optional_names)
    host = asked.service_account in _ON_THE_HOST
    address = "10.132.0.7" if host else "10.244.1.9"
    account = {"namespace": asked.namespace, "service_account": asked.service_account}
    return case(
        f"{profile} {release}, {asked.prefix} of {asked.service_account}",
        outcome="permitted",
        request={"common_name": asked.common_name, "dns_names": names, "addresses": (address,)},
        csr={"name": asked.request_name, "pod": asked.pod, **account},
        pod={"service_account": asked.service_account, "host_network": host, "pod_ips": (address,)},
        signer={"profile": loaded(profile, release), "cluster_domain": DOMAIN},
        certified={
            "component": _name(loaded(profile, release), asked),
            "common_name": asked.common_name,
            "dns_names": names,
            "extended_key_usage": asked.extended_key_usage,
        },
    )


def _name(profile: Profile, asked: Asked) -> str:
    """The name of the profile's row for a component; it is for people, so the profile alone has it."""
    found = [
        component.name
        for component in profile.components
        for rule in component.request_names
        if asked.account in component.service_accounts
        and rule.name.replace("{namespace}", asked.namespace) == f"{asked.prefix}:{{pod}}"
    ]
    (name,) = found
    return name


def _enterprise() -> Iterator[Case]:
    """All of the newest release, and of each older one what the next one does not have."""
    newer: list[Asked] = []
    for release in reversed(ENTERPRISE_RELEASES):
        asked = rows("calico-enterprise", release)
        yield from (_component("calico-enterprise", release, each) for each in asked if each not in newer)
        newer = list(asked)


CASES: Final = table(
    cases("key-cert-provisioner pkg/tls and pkg/k8s"),
    case("the honest request", outcome="permitted"),
    cases("operator pkg/render: components, namespaces and CSR names of each release"),
    *(_component("calico", release, asked) for release in CALICO_RELEASES for asked in rows("calico", release)),
    cases("operator pkg/render and pkg/controller: components of Calico Enterprise"),
    *_enterprise(),
)
