"""Profiles: the data that requests are judged by, and how one becomes the rows of one cluster and release.

A profile is a YAML file, shipped in `profiles/` or written by a user. What is not written is refused.
"""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Final, Literal

from csr_signer.document import STRICT, Duration, read
from csr_signer.errors import ConfigurationError
from csr_signer.violation import quote

SHIPPED: Final = Path(__file__).parent / "profiles"

ALLOWED_USAGES: Final = frozenset(
    {"digital signature", "key encipherment", "key agreement", "server auth", "client auth"}
)
"""The most that any profile may allow: cert sign, crl sign, any, ocsp signing and the like never."""

CEILING: Final = timedelta(days=825)
COMMON_NAME: Final = "2.5.4.3"
_OID: Final = re.compile(r"[0-2](?:\.[0-9]{1,9}){1,15}")
FLOOR: Final = timedelta(minutes=10)
_LONGEST_NAME: Final = 100
_RELEASE: Final = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}")
PLACEHOLDER: Final = re.compile(r"\{[^}]*\}")
_COMMON_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:-]{0,63}")
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# The last label has a letter, so that no address passes for a name.
_DNS_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*(?=[0-9-]*[a-z]){_LABEL}")
_ACCOUNT: Final = re.compile(rf"{_LABEL}/{_LABEL}(?:\.{_LABEL})*")
_PLACEHOLDERS: Final = frozenset({"{pod}", "{namespace}", "{cluster_domain}"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Releases from `since` to `until`, both inclusive; an absent end is open."""

    __pydantic_config__: ClassVar = STRICT
    since: str | None = None
    until: str | None = None

    def includes(self, release: str) -> bool:
        """Whether a release lies within."""
        return (self.since is None or _order(self.since) <= _order(release)) and (
            self.until is None or _order(release) <= _order(self.until)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRule(Span):
    """A name with placeholders, and the releases that use it. Optional: a request may leave it out."""

    name: str
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """How long certificates last.

    Attributes:
        default: where a request names no `expirationSeconds`.
        minimum, maximum: bounds of what a request may name.
        floor: the least part of the lifetime that must be left when a certificate is issued.
    """

    __pydantic_config__: ClassVar = STRICT
    default: Duration
    minimum: Duration = FLOOR
    maximum: Duration = CEILING
    floor: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Component(Span):
    """One row: who may ask for what.

    Attributes:
        name: for people and audit records.
        service_accounts: `NAMESPACE/NAME` of the requesters.
        request_names: names of the CSR object.
        common_name, dns_names: what is certified.
        extended_key_usage: of the certificate.
        addresses: `omit`: requested addresses are compared where visible and never certified; `pod`: certified, once
            they are visible as the pod's.
    """

    name: str
    service_accounts: tuple[str, ...]
    request_names: tuple[NameRule, ...]
    common_name: str
    dns_names: tuple[NameRule, ...]
    extended_key_usage: tuple[Literal["serverAuth", "clientAuth"], ...]
    addresses: Literal["omit", "pod"] = "omit"

    def spans(self) -> tuple[Span, ...]:
        """Its own and those of its names."""
        return (self, *self.request_names, *self.dns_names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A profile as written, or after `of_release` the rows of one release.

    Attributes:
        name: for people and audit records.
        usages: the most that `spec.usages` and the requested usages may hold.
        lifetime: how long certificates last.
        components: the rows.
        subject: attributes other than the common name that a request may carry, and their values; not certified.
        releases: which releases of the software the profile knows.
    """

    __pydantic_config__: ClassVar = STRICT
    name: str
    usages: tuple[str, ...]
    lifetime: Lifetime
    components: tuple[Component, ...]
    subject: Mapping[str, str] = field(default_factory=dict)
    releases: Span = field(default_factory=Span)

    def names(self, namespace: str, service_account: str) -> bool:
        """Whether any row is for this service account."""
        return any(f"{namespace}/{service_account}" in row.service_accounts for row in self.components)

    def of_release(self, release: str | None) -> "Profile":
        """The rows, names and addresses that hold in one release; without a release, only rows without bounds.

        Raises:
            ConfigurationError: the release is malformed or unknown to the profile, or needed and absent.
        """
        if release is None:
            spans = [self.releases, *(span for row in self.components for span in row.spans())]
            if any(span.since or span.until for span in spans):
                raise ConfigurationError(f'profile {self.name!r}: needs a release, for example release: "3.31"')
            return self
        if not _RELEASE.fullmatch(release):
            raise ConfigurationError(f"profile {self.name!r}: release: got {release!r}, allowed is MAJOR.MINOR")
        if not self.releases.includes(release):
            raise ConfigurationError(
                f"profile {self.name!r}: release {release} is not known, allowed are"
                f" {self.releases.since or 'any'} to {self.releases.until or 'any later'}"
            )
        rows = [
            replace(
                row,
                request_names=tuple(rule for rule in row.request_names if rule.includes(release)),
                dns_names=tuple(rule for rule in row.dns_names if rule.includes(release)),
            )
            for row in self.components
            if row.includes(release)
        ]
        for row in rows:
            if not row.request_names or all(rule.optional for rule in row.dns_names):
                raise ConfigurationError(
                    f"profile {self.name!r}: component {row.name!r} has no request name or no required DNS name in"
                    f" release {release}"
                )
        return replace(self, components=tuple(rows))

    def ambiguity(self) -> str | None:
        """A service account and request name that two rows of one release share, so that neither is meant for sure."""
        seen: set[tuple[str, str]] = set()
        for row in self.components:
            for key in itertools.product(row.service_accounts, (rule.name for rule in row.request_names)):
                if key in seen:
                    return f"{key[0]} with request name {key[1]!r}"
                seen.add(key)
        return None


def load(name: str, *, release: str | None, folder: Path) -> Profile:
    """A shipped profile by its name, or a user's by its file name beside the configuration document.

    Raises:
        ConfigurationError: no such profile, or it breaks a rule; names the key, what was got and what is allowed.
    """
    path = folder / name if name.endswith((".yaml", ".yml")) else SHIPPED / f"{name}.yaml"
    if "\0" in name or len(name) > _LONGEST_NAME or "/" in name or not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.yaml")))
        raise ConfigurationError(
            f"profile {quote(name)}: no such profile, shipped are {shipped}; a file name ends in .yaml"
        )
    profile = read(Profile, path)
    for complaint in _complaints(profile):
        raise ConfigurationError(f"{path.name}: {complaint}")
    resolved = profile.of_release(release)
    twice = resolved.ambiguity()
    if twice is not None:
        raise ConfigurationError(f"{path.name}: components: two rows are for {twice}")
    return resolved


def _complaints(profile: Profile) -> list[str]:
    """What the types cannot say; ceilings live here, whatever a profile says."""
    complaints = []
    beyond = sorted(set(profile.usages) - ALLOWED_USAGES)
    if beyond or not profile.usages:
        complaints.append(f"usages: got {beyond or 'none'}, allowed are {sorted(ALLOWED_USAGES)}")
    life = profile.lifetime
    if not FLOOR <= life.minimum <= life.default <= life.maximum <= CEILING or not 0 < life.floor < 1:
        complaints.append(
            "lifetime: allowed is 10m <= minimum <= default <= maximum <= 825d and a floor between 0 and 1"
        )
    if not all(_OID.fullmatch(kind) for kind in profile.subject) or COMMON_NAME in profile.subject:
        complaints.append(f"subject: got {quote(sorted(profile.subject))}, allowed are OIDs other than {COMMON_NAME}")
    if not profile.components:
        complaints.append("components: got none, so every request would be refused")
    for index, row in enumerate(profile.components):
        complaints += [f"components.{index}.{complaint}" for complaint in _row_complaints(row)]
    return complaints


def _row_complaints(row: Component) -> list[str]:
    complaints = []
    texts = [row.common_name, *(rule.name for rule in (*row.request_names, *row.dns_names))]
    unknown = sorted({hole for text in texts for hole in PLACEHOLDER.findall(text)} - _PLACEHOLDERS)
    if unknown:
        complaints.append(f"name: placeholder {unknown[0]} is not known, allowed are {sorted(_PLACEHOLDERS)}")
    if row.common_name.startswith("system:") or not _COMMON_NAME.fullmatch(PLACEHOLDER.sub("x", row.common_name)):
        complaints.append(
            f"common_name: got {quote(row.common_name)}, allowed are 1 to 64 letters, digits, spaces and . _ : -,"
            " not starting with system:"
        )
    odd = [rule.name for rule in row.dns_names if not _DNS_NAME.fullmatch(PLACEHOLDER.sub("x", rule.name))]
    if odd:
        complaints.append(f"dns_names: got {quote(odd)}, allowed are DNS names in lower case, without a wildcard")
    if not row.service_accounts or not row.request_names or not row.extended_key_usage or not row.dns_names:
        complaints.append(
            "service_accounts, request_names, dns_names, extended_key_usage: each needs at least one entry"
        )
    if not all(_ACCOUNT.fullmatch(account) for account in row.service_accounts):
        complaints.append(f"service_accounts: got {list(row.service_accounts)}, allowed are NAMESPACE/NAME")
    if len(set(row.extended_key_usage)) != len(row.extended_key_usage):
        complaints.append("extended_key_usage: got one twice")
    if row.dns_names and all(rule.optional for rule in row.dns_names):
        complaints.append("dns_names: all are optional, at least one must be required")
    bounds = [bound for span in row.spans() for bound in (span.since, span.until)]
    if any(bound is not None and not _RELEASE.fullmatch(bound) for bound in bounds):
        complaints.append("since, until: allowed is MAJOR.MINOR in quotes")
    elif any(span.since and span.until and _order(span.since) > _order(span.until) for span in row.spans()):
        complaints.append("since, until: got a span that ends before it begins")
    return complaints


def _order(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))
