"""Profiles: the data that requests are judged by, and how one becomes the rows of one cluster and release.

A profile is a YAML file, shipped in `profiles/` or written by a user. What is not written is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Final, Literal

from csr_signer.document import STRICT, Duration, read
from csr_signer.errors import ConfigurationError

SHIPPED: Final = Path(__file__).parent / "profiles"

ALLOWED_USAGES: Final = frozenset(
    {"digital signature", "key encipherment", "key agreement", "server auth", "client auth"}
)
"""The most that any profile may allow: cert sign, crl sign, any, ocsp signing and the like never."""

CEILING: Final = timedelta(days=825)
FLOOR: Final = timedelta(minutes=10)
_RELEASE: Final = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}")
PLACEHOLDER: Final = re.compile(r"\{[^}]*\}")
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


def load(name: str, *, release: str | None, folder: Path) -> Profile:
    """A shipped profile by its name, or a user's by its file name beside the configuration document.

    Raises:
        ConfigurationError: no such profile, or it breaks a rule; names the key, what was got and what is allowed.
    """
    path = folder / name if name.endswith((".yaml", ".yml")) else SHIPPED / f"{name}.yaml"
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.yaml")))
        raise ConfigurationError(f"profile {name!r}: no such profile, shipped are {shipped}; a file name ends in .yaml")
    profile = read(Profile, path)
    for complaint in _complaints(profile):
        raise ConfigurationError(f"{path.name}: {complaint}")
    return profile.of_release(release)


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
    if row.common_name.startswith("system:") or any("*" in text for text in texts):
        complaints.append("common_name, dns_names: no name starts with system:, no name has a wildcard")
    if not row.service_accounts or not row.request_names or not row.extended_key_usage or not row.dns_names:
        complaints.append(
            "service_accounts, request_names, dns_names, extended_key_usage: each needs at least one entry"
        )
    if any(account.count("/") != 1 for account in row.service_accounts):
        complaints.append(f"service_accounts: got {list(row.service_accounts)}, allowed are NAMESPACE/NAME")
    if row.dns_names and all(rule.optional for rule in row.dns_names):
        complaints.append("dns_names: all are optional, at least one must be required")
    bounds = [bound for span in row.spans() for bound in (span.since, span.until)]
    if any(bound is not None and not _RELEASE.fullmatch(bound) for bound in bounds):
        complaints.append("since, until: allowed is MAJOR.MINOR in quotes")
    return complaints


def _order(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))
