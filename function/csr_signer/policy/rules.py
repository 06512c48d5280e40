"""The rules that `decision.decide` runs, one function each: what may be asked for, by whom, under which name.

Three tables, by what a rule may look at. All rules of a table run, each gives every violation that it finds, and none
reads another's result. A new rule is a function here, an entry in its table, and its code in `violation.CODES`.
What a rule must never look at, because requesters or other parties can write it: the CSR's labels, annotations and
conditions, the pod's labels and annotations, and, to refuse anybody, the addresses in the pod's and the node's status.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Final

from csr_signer.ca import chain
from csr_signer.der import COMMON_NAME
from csr_signer.objects.csr import CertificateSigningRequest
from csr_signer.objects.pod import Address, PodIdentity
from csr_signer.policy.profile import PLACEHOLDER, Component, Profile
from csr_signer.policy.signer import Signer
from csr_signer.request.pkcs10 import CertificationRequest
from csr_signer.violation import Violation, quote

LARGEST_OBJECT: Final = 1 << 20
"""Bytes. etcd stores 1.5 MiB by default; conditions and certificate take at most 70 KiB of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """A request with the row of the profile that it is judged by, and the requester whom the row's names are for."""

    request: CertificationRequest
    row: Component
    identity: PodIdentity
    signer: Signer

    def filled(self, pattern: str) -> str:
        """A pattern of the row with the requester's names in it."""
        return _filled(pattern, self.identity, self.signer.cluster_domain)

    def dns_names(self) -> dict[str, bool]:
        """The row's DNS names, and whether each is required; a name that two patterns give is if one says so."""
        names: dict[str, bool] = {}
        for rule in self.row.dns_names:
            name = self.filled(rule.name)
            names[name] = names.get(name, False) or not rule.optional
        return names


# Rules about spec.


def object_size(csr: CertificateSigningRequest, signer: Signer) -> Iterator[Violation]:
    """The whole object: if only the certificate did not fit into etcd, every retry would cost a signature.

    Whoever may make another requester's CSR larger, an approver for example, could as well deny it.
    """
    del signer
    if csr.size > LARGEST_OBJECT:
        yield Violation(code="object.size", message=f"Too long: must have at most {LARGEST_OBJECT} bytes")


def spec_usages(csr: CertificateSigningRequest, signer: Signer) -> Iterator[Violation]:
    """`spec.usages`: at least one, and none beyond the profile's."""
    beyond = sorted(set(csr.usages) - set(signer.profile.usages))
    if beyond or not csr.usages:
        yield _not_allowed("usages.not_allowed", beyond or "none", *signer.profile.usages)


# Rules about a request, whoever asks.


def end_entity(request: CertificationRequest, signer: Signer) -> Iterator[Violation]:
    """Basic constraints: no CA is ever certified, whatever a profile says."""
    del signer
    if request.extensions.ca:
        yield Violation(code="basic_constraints.ca", message="a CA certificate is requested, allowed is CA:FALSE")


def key_usages(request: CertificationRequest, signer: Signer) -> Iterator[Violation]:
    """Requested key usages: none beyond the profile's."""
    beyond = sorted(set(request.extensions.key_usages) - set(signer.profile.usages))
    if beyond:
        yield _not_allowed("key_usage.not_allowed", beyond, *signer.profile.usages)


def extended_key_usages(request: CertificationRequest, signer: Signer) -> Iterator[Violation]:
    """Requested extended key usages: none beyond the profile's."""
    beyond = sorted(set(request.extensions.extended_key_usages) - set(signer.profile.usages))
    if beyond:
        yield _not_allowed("extended_key_usage.not_allowed", beyond, *signer.profile.usages)


def subject_attributes(request: CertificationRequest, signer: Signer) -> Iterator[Violation]:
    """The subject's other attributes: they prove nothing and are not certified, but the profile must name them."""
    for kind, value in request.subject:
        allowed = signer.profile.subject.get(kind)
        if kind != COMMON_NAME.dotted_string and value != allowed:
            choice = "no such attribute" if allowed is None else f"allowed is {kind}={quote(allowed)}"
            yield Violation(code="subject.attribute", message=f"got {kind}={quote(value)}, {choice}")


def foreign_key(request: CertificationRequest, signer: Signer) -> Iterator[Violation]:
    """A CA's own key is never certified again: its holder could pose as the CA."""
    key = request.public_key
    if key is not None and key.subject_public_key_info in signer.issuer.public_keys:
        yield Violation(code="public_key.issuer", message="the requested key is an issuer's own")


def reserved_names(request: CertificationRequest, signer: Signer) -> Iterator[Violation]:
    """Kubernetes' own users, and wildcards, whatever a profile says."""
    del signer
    names = (*request.common_names, *request.extensions.dns_names)
    reserved = [name for name in names if name.startswith("system:") or "*" in name]
    if reserved:
        message = f"got {quote(reserved)}, allowed is no name that starts with system: and no wildcard"
        yield Violation(code="name.reserved", message=message)


# Rules about a request of a component.


def common_name(context: RequestContext) -> Iterator[Violation]:
    """Exactly one common name, the component's."""
    allowed = context.filled(context.row.common_name)
    if context.request.common_names != (allowed,):
        yield _not_allowed("subject.common_name", list(context.request.common_names), allowed)


def dns_names_allowed(context: RequestContext) -> Iterator[Violation]:
    """No DNS name but the component's, each once."""
    allowed, requested = context.dns_names(), context.request.extensions.dns_names
    foreign = sorted(set(requested) - set(allowed))
    if foreign:
        yield _not_allowed("san.dns.not_allowed", foreign, *allowed)
    if len(set(requested)) != len(requested):
        yield Violation(code="san.dns.not_allowed", message="got a DNS name twice, allowed is each once")


def dns_names_complete(context: RequestContext) -> Iterator[Violation]:
    """Every DNS name that the component must have."""
    requested = context.request.extensions.dns_names
    absent = [name for name, required in context.dns_names().items() if required and name not in requested]
    if absent:
        yield Violation(code="san.dns.missing", message=f"required are also {_listed(absent)}")


def pod_name(context: RequestContext) -> Iterator[Violation]:
    """Where names hold the pod's, it is one label: pods' names may have dots, and whoever creates a pod chooses one."""
    patterns = (context.row.common_name, *(rule.name for rule in context.row.dns_names))
    name = context.identity.pod_name
    if any("{pod}" in pattern for pattern in patterns) and not _LABEL.fullmatch(name):
        message = f"got pod name {name!r}, allowed is one DNS label: names of component {context.row.name!r} hold it"
        yield Violation(code="name.pod", message=message)


def host_names(context: RequestContext) -> Iterator[Violation]:
    """A row's pattern may become an address by its requester's namespace, which can be a number (RFC 1123 §2.1)."""
    names = context.dns_names()
    odd = [name for name in context.request.extensions.dns_names if name in names and not _is_host(name)]
    if odd:
        message = f"got {quote(odd)}, allowed are names whose last label has a letter"
        yield Violation(code="san.dns.not_allowed", message=message)


def name_constraints(context: RequestContext) -> Iterator[Violation]:
    """Names outside what the issuer's CAs may certify (RFC 5280 §4.2.1.10): relying parties would refuse them."""
    extensions = context.request.extensions
    certified = extensions.ip_addresses if context.row.addresses == "pod" else ()
    outside = chain.not_permitted(context.signer.issuer.path, dns_names=extensions.dns_names, ip_addresses=certified)
    if outside:
        yield Violation(code="name.constrained", message=f"got names not permitted to the issuer: {_listed(outside)}")


def addresses(context: RequestContext) -> Iterator[Violation]:
    """Addresses that a pod of this cluster can have, each once.

    They are not compared with the pod's status here: calico-node's token may rewrite that for every pod, and after a
    node's reboot it is late. Where addresses are certified, `decision` waits until they are visible.
    """
    requested = context.request.extensions.ip_addresses
    impossible = [address for address in requested if not _possible(address)]
    if impossible:
        kinds = "no loopback, link-local, multicast, unspecified, broadcast or reserved address"
        yield Violation(code="san.ip.not_allowed", message=f"got {_listed(impossible)}, allowed is {kinds}")
    for ranges in (context.row.address_ranges, context.signer.address_ranges):
        outside = [address for address in requested if ranges and not any(address in network for network in ranges)]
        if outside:
            yield _not_allowed("san.ip.not_allowed", list(map(str, outside)), *map(str, ranges))
    if len(set(requested)) != len(requested):
        yield Violation(code="san.ip.not_allowed", message="got an address twice, allowed is each once")


SPEC_RULES: Final[tuple[Callable[[CertificateSigningRequest, Signer], Iterator[Violation]], ...]] = (
    object_size,
    spec_usages,
)
"""About the object's spec; they run even where `spec.request` cannot be read."""

REQUEST_RULES: Final[tuple[Callable[[CertificationRequest, Signer], Iterator[Violation]], ...]] = (
    end_entity,
    key_usages,
    extended_key_usages,
    subject_attributes,
    foreign_key,
    reserved_names,
)
"""About a request that can be read, whoever asks."""

COMPONENT_RULES: Final[tuple[Callable[[RequestContext], Iterator[Violation]], ...]] = (
    common_name,
    dns_names_allowed,
    dns_names_complete,
    pod_name,
    host_names,
    name_constraints,
    addresses,
)
"""About a request whose requester has a row."""


def find_row(csr_name: str, identity: PodIdentity, profile: Profile) -> tuple[Component | None, tuple[Violation, ...]]:
    """The row of the requester's service account and CSR name, and what is wrong with these two.

    Where the account has one row and the name is not that one's, the row still judges the rest of the request; of
    several rows none is meant for sure.
    """
    rows = profile.rows_of(identity.namespace, identity.service_account)
    if not rows:
        account = f"{identity.namespace}/{identity.service_account}"
        known = sorted({known for row in profile.components for known in row.service_accounts})
        return None, (_not_allowed("requester.service_account", account, *known),)
    allowed = {_filled(rule.name, identity): row for row in reversed(rows) for rule in row.request_names}
    row = allowed.get(csr_name)
    if row is not None:
        return row, ()
    meant = rows[0] if len(rows) == 1 else None
    return meant, (_not_allowed("request_name.not_allowed", csr_name, *sorted(allowed)),)


_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_THIS_NETWORK: Final = IPv4Network("0.0.0.0/8")
_BROADCAST: Final = IPv4Address("255.255.255.255")


def _possible(address: Address) -> bool:
    return not (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address in _THIS_NETWORK
        or address == _BROADCAST
        # Deprecated and unassigned space, and with ::/8 whatever stands for an IPv4 address. IPv4's 240.0.0.0/4 is
        # "reserved" too, but clusters do use it for pods.
        or (isinstance(address, IPv6Address) and (address.is_reserved or address.is_site_local))
        or (isinstance(address, IPv6Address) and address.sixtofour is not None)
    )


def _is_host(name: str) -> bool:
    return any(map(str.isalpha, name.rpartition(".")[2]))


def _filled(pattern: str, identity: PodIdentity, cluster_domain: str = "") -> str:
    # One pass, so that no value can bring another placeholder; the values' characters are checked by `identify`.
    values = {
        "{pod}": identity.pod_name,
        "{namespace}": identity.namespace,
        "{cluster_domain}": cluster_domain,
    }
    return PLACEHOLDER.sub(lambda hole: values[hole[0]], pattern)


def _listed(values: Iterable[object]) -> str:
    return quote(", ".join(map(str, values)))


def _not_allowed(code: str, got: object, *allowed: str) -> Violation:
    return Violation(code=code, message=f"got {quote(got)}, allowed {', '.join(map(repr, allowed))}")
