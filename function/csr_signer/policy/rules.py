"""The rules of `decision.decide`, one function each.

There are three tables, by the input of a rule. All rules of a table run, each returns all its violations, and none uses
another rule's result. A new rule is a function here, an entry in its table, and its code in `violation.CODES`. A rule
must never read data that requesters or other parties can write: the CSR's labels, annotations and conditions, the pod's
labels and annotations, and, for a refusal, the addresses in the status of pod and node.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Final, TypeVar

from csr_signer import field_error
from csr_signer.ca import chain
from csr_signer.der import COMMON_NAME
from csr_signer.objects.csr import CertificateSigningRequest
from csr_signer.objects.pod import Address, PodIdentity
from csr_signer.policy.profile import PLACEHOLDER, Component, Profile
from csr_signer.policy.signer import Signer
from csr_signer.request.pkcs10 import CertificationRequest
from csr_signer.rfc1123 import IS_LABEL
from csr_signer.violation import Violation, quote

T = TypeVar("T")

LARGEST_OBJECT: Final = 1 << 20
"""Bytes. etcd stores 1.5 MiB by default; conditions and certificate need at most 70 KiB of that."""

MAX_USAGES: Final = 32
"""Kubernetes has 23 usages (certificates.k8s.io/v1 KeyUsage), and its API server stores each at most once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """A request with the profile's row for it, and the requester whose names fill the row's placeholders."""

    request: CertificationRequest
    row: Component
    identity: PodIdentity
    signer: Signer

    def filled(self, pattern: str) -> str:
        """Replaces the placeholders of a pattern with the requester's names."""
        return _filled(pattern, self.identity, self.signer.cluster_domain)

    def dns_names(self) -> dict[str, bool]:
        """Tells for each of the row's DNS names whether it is required; one pattern that requires it is enough."""
        names: dict[str, bool] = {}
        for rule in self.row.dns_names:
            name = self.filled(rule.name)
            names[name] = names.get(name, False) or not rule.optional
        return names


# Rules about spec.


def object_size(csr: CertificateSigningRequest, signer: Signer) -> Iterator[Violation]:
    """Refuses a large object: if the certificate did not fit into etcd, every retry would cost a signature.

    A principal that can make another requester's CSR larger, for example an approver, can also deny it.
    """
    del signer
    if csr.size > LARGEST_OBJECT:
        yield Violation(code="object.size", message=field_error.too_long("the CSR", LARGEST_OBJECT))


def spec_usages(csr: CertificateSigningRequest, signer: Signer) -> Iterator[Violation]:
    """Refuses `spec.usages` without a usage, with one beyond the profile's, or with more than Kubernetes has.

    Of a long list, `objects` keeps only the beginning, and the rest may hold other usages.
    """
    if not csr.usages:
        message = field_error.required("spec.usages", f"must be among {_listed(signer.profile.usages)}")
        yield Violation(code="usages.not_allowed", message=message)
    if len(csr.usages) > MAX_USAGES:
        message = field_error.too_many("spec.usages", len(csr.usages), MAX_USAGES)
        yield Violation(code="usages.not_allowed", message=message)
    beyond = sorted(set(csr.usages) - set(signer.profile.usages))
    if beyond:
        yield Violation(code="usages.not_allowed", message=_unsupported_usages("spec.usages", beyond, signer))


# Rules about a request of any requester.


def end_entity(request: CertificationRequest, signer: Signer) -> Iterator[Violation]:
    """Refuses basic constraints of a CA: no profile can allow a CA."""
    del signer
    if request.extensions.ca:
        message = field_error.invalid("spec.request.basicConstraints", "CA:TRUE", "must be CA:FALSE or absent")
        yield Violation(code="basic_constraints.ca", message=message)


def key_usages(request: CertificationRequest, signer: Signer) -> Iterator[Violation]:
    """Refuses key usages beyond the profile's."""
    beyond = sorted(set(request.extensions.key_usages) - set(signer.profile.usages))
    if beyond:
        message = _unsupported_usages("spec.request.keyUsage", beyond, signer)
        yield Violation(code="key_usage.not_allowed", message=message)


def extended_key_usages(request: CertificationRequest, signer: Signer) -> Iterator[Violation]:
    """Refuses extended key usages beyond the profile's."""
    beyond = sorted(set(request.extensions.extended_key_usages) - set(signer.profile.usages))
    if beyond:
        message = _unsupported_usages("spec.request.extendedKeyUsage", beyond, signer)
        yield Violation(code="extended_key_usage.not_allowed", message=message)


def subject_attributes(request: CertificationRequest, signer: Signer) -> Iterator[Violation]:
    """Refuses other subject attributes than the profile's: they prove nothing and are not certified."""
    for kind, value in request.subject:
        allowed = signer.profile.subject.get(kind)
        if kind != COMMON_NAME.dotted_string and value != allowed:
            must = "must be absent" if allowed is None else f"must be {quote(allowed)}"
            message = field_error.invalid(f"spec.request.subject[{kind}]", value, must)
            yield Violation(code="subject.attribute", message=message)


def foreign_key(request: CertificationRequest, signer: Signer) -> Iterator[Violation]:
    """Refuses a CA's own key, because its holder could impersonate the CA."""
    key = request.public_key
    if key is not None and key.subject_public_key_info in signer.issuer.public_keys:
        message = field_error.forbidden("spec.request.publicKey", "it is the key of an issuer")
        yield Violation(code="public_key.issuer", message=message)


def reserved_names(request: CertificationRequest, signer: Signer) -> Iterator[Violation]:
    """Refuses names of Kubernetes' own users, and wildcards: no profile can allow them."""
    del signer
    names = (*request.common_names, *request.extensions.dns_names)
    reserved = [name for name in names if name.startswith("system:") or "*" in name]
    if reserved:
        must = "a name must not start with system: and must not have a wildcard"
        message = field_error.invalid("spec.request", reserved, must)
        yield Violation(code="name.reserved", message=message)


# Rules about a request of a component.


def common_name(context: RequestContext) -> Iterator[Violation]:
    """Requires exactly one common name: the component's."""
    allowed = context.filled(context.row.common_name)
    requested = context.request.common_names
    if requested != (allowed,):
        path, must = "spec.request.subject.commonName", f"must be {quote(allowed)}"
        shown = requested[0] if len(requested) == 1 else requested
        message = field_error.invalid(path, shown, must) if requested else field_error.required(path, must)
        yield Violation(code="subject.common_name", message=message)


def dns_names_allowed(context: RequestContext) -> Iterator[Violation]:
    """Refuses DNS names other than the component's, and duplicates."""
    allowed, requested = context.dns_names(), context.request.extensions.dns_names
    foreign = sorted(set(requested) - set(allowed))
    if foreign:
        message = field_error.unsupported("spec.request.dnsNames", foreign, allowed)
        yield Violation(code="san.dns.not_allowed", message=message)
    for name in _repeated(requested):
        yield Violation(code="san.dns.not_allowed", message=field_error.duplicate("spec.request.dnsNames", name))


def dns_names_complete(context: RequestContext) -> Iterator[Violation]:
    """Requires every DNS name that the component must have."""
    requested = context.request.extensions.dns_names
    absent = [name for name, required in context.dns_names().items() if required and name not in requested]
    if absent:
        message = field_error.required("spec.request.dnsNames", f"must also have {_listed(absent)}")
        yield Violation(code="san.dns.missing", message=message)


def pod_name(context: RequestContext) -> Iterator[Violation]:
    """Requires a pod name of one label if the row's names contain it: a pod's creator may choose a name with dots."""
    patterns = (context.row.common_name, *(rule.name for rule in context.row.dns_names))
    name = context.identity.pod_name
    if any("{pod}" in pattern for pattern in patterns) and not IS_LABEL.fullmatch(name):
        must = f"must be one DNS label, because the names of component {quote(context.row.name)} contain it"
        yield Violation(code="name.pod", message=field_error.invalid("pod.metadata.name", name, must))


def host_names(context: RequestContext) -> Iterator[Violation]:
    """Refuses a name that is an address: with a numeric namespace, a pattern may become one (RFC 1123 §2.1)."""
    names = context.dns_names()
    odd = [name for name in context.request.extensions.dns_names if name in names and not _is_host(name)]
    if odd:
        message = field_error.invalid("spec.request.dnsNames", odd, "the last label must have a letter")
        yield Violation(code="san.dns.not_allowed", message=message)


def name_constraints(context: RequestContext) -> Iterator[Violation]:
    """Refuses names that the issuer's CAs may not certify, as relying parties do (RFC 5280 §4.2.1.10)."""
    extensions = context.request.extensions
    certified = extensions.ip_addresses if context.row.addresses == "pod" else ()
    outside = chain.not_permitted(context.signer.issuer.path, dns_names=extensions.dns_names, ip_addresses=certified)
    if outside:
        why = f"the name constraints of the issuer do not permit {_listed(outside)}"
        yield Violation(code="name.constrained", message=field_error.forbidden("spec.request", why))


def addresses(context: RequestContext) -> Iterator[Violation]:
    """Refuses addresses that no pod of this cluster can have, and duplicates.

    It does not compare them with the pod's status: calico-node's token can rewrite every pod's status, and after a
    node's reboot it is late. If the profile certifies addresses, `decision` waits until they are visible.
    """
    requested = context.request.extensions.ip_addresses
    path = "spec.request.ipAddresses"
    impossible = [str(address) for address in requested if not _possible(address)]
    if impossible:
        must = "must not be a loopback, link-local, multicast, unspecified, broadcast or reserved address"
        yield Violation(code="san.ip.not_allowed", message=field_error.invalid(path, impossible, must))
    for ranges in (context.row.address_ranges, context.signer.address_ranges):
        outside = [
            str(address) for address in requested if ranges and not any(address in network for network in ranges)
        ]
        if outside:
            message = field_error.invalid(path, outside, f"must be within {_listed(ranges)}")
            yield Violation(code="san.ip.not_allowed", message=message)
    for address in _repeated(requested):
        yield Violation(code="san.ip.not_allowed", message=field_error.duplicate(path, str(address)))


SPEC_RULES: Final[tuple[Callable[[CertificateSigningRequest, Signer], Iterator[Violation]], ...]] = (
    object_size,
    spec_usages,
)
"""Rules about the object's spec; they run even if `spec.request` is unreadable."""

REQUEST_RULES: Final[tuple[Callable[[CertificationRequest, Signer], Iterator[Violation]], ...]] = (
    end_entity,
    key_usages,
    extended_key_usages,
    subject_attributes,
    foreign_key,
    reserved_names,
)
"""Rules about a readable request of any requester."""

COMPONENT_RULES: Final[tuple[Callable[[RequestContext], Iterator[Violation]], ...]] = (
    common_name,
    dns_names_allowed,
    dns_names_complete,
    pod_name,
    host_names,
    name_constraints,
    addresses,
)
"""Rules about a request whose requester has a row."""


def find_row(csr_name: str, identity: PodIdentity, profile: Profile) -> tuple[Component | None, tuple[Violation, ...]]:
    """Returns the row for the requester's service account and CSR name, and the violations of both.

    If the account has one row, that row judges the rest of the request even if the CSR name is wrong. With several
    rows, the intended row is unknown.
    """
    rows = profile.rows_of(identity.namespace, identity.service_account)
    if not rows:
        account = f"{identity.namespace}/{identity.service_account}"
        known = sorted({known for row in profile.components for known in row.service_accounts})
        message = field_error.unsupported("spec.username", [account], known)
        return None, (Violation(code="requester.service_account", message=message),)
    allowed = {_filled(rule.name, identity): row for row in reversed(rows) for rule in row.request_names}
    row = allowed.get(csr_name)
    if row is not None:
        return row, ()
    meant = rows[0] if len(rows) == 1 else None
    message = field_error.unsupported("metadata.name", [csr_name], sorted(allowed))
    return meant, (Violation(code="request_name.not_allowed", message=message),)


_THIS_NETWORK: Final = IPv4Network("0.0.0.0/8")
_BROADCAST: Final = IPv4Address("255.255.255.255")


def _possible(address: Address) -> bool:
    return not (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address in _THIS_NETWORK
        or address == _BROADCAST
        # Deprecated and unassigned space; ::/8 also contains all forms of IPv4 addresses. IPv4's 240.0.0.0/4 is
        # "reserved" too, but clusters do use it for pods.
        or (isinstance(address, IPv6Address) and (address.is_reserved or address.is_site_local))
        or (isinstance(address, IPv6Address) and address.sixtofour is not None)
    )


def _is_host(name: str) -> bool:
    return any(map(str.isalpha, name.rpartition(".")[2]))


def _filled(pattern: str, identity: PodIdentity, cluster_domain: str = "") -> str:
    # One pass, so that no value can introduce another placeholder; `identify` has checked the values' characters.
    values = {
        "{pod}": identity.pod_name,
        "{namespace}": identity.namespace,
        "{cluster_domain}": cluster_domain,
    }
    return PLACEHOLDER.sub(lambda hole: values[hole[0]], pattern)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(quote(str(value)) for value in values)


def _repeated(values: Iterable[T]) -> list[T]:
    return [value for value, count in Counter(values).items() if count > 1]


def _unsupported_usages(path: str, beyond: Iterable[str], signer: Signer) -> str:
    return field_error.unsupported(path, beyond, signer.profile.usages)
