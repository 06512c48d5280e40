"""Profiles: the data that judges requests. Loading a profile selects the rows of one cluster and release.

A profile is a YAML file, shipped in `profiles/` or written by a user. The function refuses everything that it does not
allow. `docs/profiles.md` explains how to write one. `profiles/schema.json` comes from the types here and in `grammar`.
"""

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, get_args

from csr_signer import field_error
from csr_signer.document import EACH_ONCE, NOT_EMPTY, STRICT, Duration, Network, read
from csr_signer.errors import ConfigurationError
from csr_signer.policy import grammar
from csr_signer.policy.grammar import Account, AttributeType, CommonName, DnsName, Part, Purpose, Release, Text, Usage
from csr_signer.violation import quote

SHIPPED: Final = Path(__file__).parents[1] / "profiles"
PLACEHOLDER: Final = grammar.PLACEHOLDER
ALLOWED_USAGES: Final[frozenset[str]] = frozenset(get_args(Usage))
CEILING: Final = timedelta(days=825)
FLOOR: Final = timedelta(minutes=10)
_LONGEST_NAME: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Releases from `since` to `until`, both inclusive; an absent end is open.

    Attributes:
        since: the first release that it applies to.
        until: the last release that it applies to.
    """

    __pydantic_config__: ClassVar = STRICT
    since: Release | None = None
    until: Release | None = None

    def includes(self, release: str) -> bool:
        """Tells whether the span includes a release."""
        return (self.since is None or _order(self.since) <= _order(release)) and (
            self.until is None or _order(release) <= _order(self.until)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Releases(Span):
    """The releases that a profile supports.

    Attributes:
        newest: the newest release that it was written for. The function accepts later minor releases with a warning,
            so that an upgrade of the software breaks no cluster, and refuses later major releases.
    """

    newest: Release | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestName(Span):
    """A name of the CSR object, and the releases that use it.

    Attributes:
        name: with placeholders {pod} and {namespace}.
    """

    name: grammar.RequestName


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRule(Span):
    """A DNS name, and the releases that use it.

    Attributes:
        name: with placeholders {pod}, {namespace} and {cluster_domain}.
        optional: whether a request may leave it out.
    """

    name: DnsName
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """The lifetime of certificates.

    Attributes:
        default: for a request without `expirationSeconds`.
        minimum: the shortest lifetime that a request may ask for; 10m or more.
        maximum: the longest lifetime that a request may ask for; 825d or less. It has no default, because requesters
            may choose it.
        floor: the fraction of the lifetime that must be left when the function issues the certificate.
    """

    __pydantic_config__: ClassVar = STRICT
    default: Duration
    minimum: Duration = FLOOR
    maximum: Duration
    floor: Part = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Component(Span):
    """One row: requesters, and what they may ask for.

    Attributes:
        name: for people and audit records.
        service_accounts: `NAMESPACE/NAME` of the requesters.
        request_names: names of the CSR object.
        common_name: of the certificate's subject; need not be among the DNS names.
        dns_names: a request must have every name that is not optional, and no other names.
        extended_key_usage: of the certificate.
        addresses: `omit`: the function certifies no address; `pod`: it certifies requested addresses when they are
            visible as the pod's.
        address_ranges: networks that must contain the requested addresses; empty: all addresses.
        optional: whether a CA whose name constraints do not permit the row's names may serve the other rows.
    """

    name: Text
    service_accounts: Annotated[tuple[Account, ...], NOT_EMPTY, EACH_ONCE]
    request_names: Annotated[tuple[RequestName, ...], NOT_EMPTY]
    common_name: CommonName
    dns_names: Annotated[tuple[NameRule, ...], NOT_EMPTY]
    extended_key_usage: Annotated[tuple[Purpose, ...], NOT_EMPTY, EACH_ONCE]
    addresses: Literal["omit", "pod"] = "omit"
    address_ranges: tuple[Network, ...] = ()
    optional: bool = False

    def spans(self) -> tuple[Span, ...]:
        """Returns the row's own span and the spans of its names."""
        return (self, *self.request_names, *self.dns_names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A profile as written, or with only the rows of one release and the used namespaces (`load`).

    Attributes:
        name: for people and audit records.
        usages: all usages that `spec.usages` and the requested usages may contain.
        lifetime: the lifetime of certificates.
        components: the rows.
        subject: attributes other than the common name that a request may have, and their values; not certified.
        releases: the releases of the software that the profile supports.
        namespaces: `written`: the profile allows service accounts of all namespaces in the rows, unless the
            configuration names some of them; `configured`: if a release uses several namespaces, the configuration must
            name those that the cluster uses.
    """

    __pydantic_config__: ClassVar = STRICT
    name: Text
    usages: Annotated[tuple[Usage, ...], NOT_EMPTY, EACH_ONCE]
    lifetime: Lifetime
    components: Annotated[tuple[Component, ...], NOT_EMPTY]
    subject: Mapping[AttributeType, str] = field(default_factory=dict)
    releases: Releases = field(default_factory=Releases)
    namespaces: Literal["written", "configured"] = "written"

    def rows_of(self, namespace: str, service_account: str) -> tuple[Component, ...]:
        """Returns the rows for this service account."""
        return tuple(row for row in self.components if f"{namespace}/{service_account}" in row.service_accounts)

    def of_release(self, release: str | None) -> "Profile":
        """Returns the profile of one release; None is only for a profile without releases.

        Raises:
            ConfigurationError: the release is malformed, unknown to the profile, or missing.
        """
        if release is None:
            spans = [self.releases, *(span for row in self.components for span in row.spans())]
            if any(span.since or span.until for span in spans):
                must = f'profile {quote(self.name)} needs it, for example release: "3.31"'
                raise ConfigurationError(field_error.required("profile.release", must))
            return self
        if not re.fullmatch(grammar.RELEASE, release):
            must = "must be MAJOR.MINOR, without a patch release"
            raise ConfigurationError(field_error.invalid("profile.release", release, must))
        newest = self.releases.newest
        known = f"must be a release that profile {quote(self.name)} supports: {self.releases.since or 'any'} to"
        if not self.releases.includes(release):
            must = f"{known} {self.releases.until or 'any later'}"
            raise ConfigurationError(field_error.invalid("profile.release", release, must))
        if newest is not None and _order(release)[0] > _order(newest)[0]:
            must = f"{known} {newest} and its later minor releases; another major release needs another profile"
            raise ConfigurationError(field_error.invalid("profile.release", release, must))
        rows = [
            replace(
                row,
                request_names=tuple(rule for rule in row.request_names if rule.includes(release)),
                dns_names=tuple(rule for rule in row.dns_names if rule.includes(release)),
            )
            for row in self.components
            if row.includes(release)
        ]
        return replace(self, components=tuple(rows))

    def release_warning(self, release: str | None) -> str | None:
        """Returns a warning if the profile was written before this release; the release may request other names."""
        newest = self.releases.newest
        if release is None or newest is None or _order(release) <= _order(newest):
            return None
        return (
            f"profile.release: {quote(release)} is newer than {quote(newest)}, the newest release that profile"
            f" {quote(self.name)} was written for: the function refuses what its components request differently since"
            " then; look for a newer version of kms-csr-signer"
        )

    def within(self, namespaces: Collection[str]) -> "Profile":
        """Returns the profile without service accounts of other namespaces.

        Args:
            namespaces: the only allowed namespaces; empty: all namespaces of the rows, if the profile allows that.

        Raises:
            ConfigurationError: no row uses a namespace, or the profile requires namespaces and there are none.
        """
        used = sorted({_namespace(account) for row in self.components for account in row.service_accounts})
        unused = sorted(set(namespaces) - set(used))
        if unused:
            raise ConfigurationError(field_error.unsupported("profile.namespaces", unused, used))
        # A cluster that uses the profile has its only namespace. With several, one may be missing: an attacker who can
        # create namespaces would create it, and get its certificates.
        if self.namespaces == "configured" and len(used) > 1 and not namespaces:
            must = f"must list the namespaces that this cluster uses, out of {', '.join(used)}"
            raise ConfigurationError(field_error.required("profile.namespaces", must))
        if not namespaces:
            return self
        rows = [
            replace(
                row, service_accounts=tuple(name for name in row.service_accounts if _namespace(name) in namespaces)
            )
            for row in self.components
        ]
        return replace(self, components=tuple(row for row in rows if row.service_accounts))


def load(name: str, *, release: str | None, namespaces: Collection[str] = (), folder: Path) -> Profile:
    """Loads a shipped profile by name, or a user's profile by its file name in the configuration document's folder.

    Args:
        name: name of the profile or file.
        release: release of the software in the cluster; None for a profile without releases.
        namespaces: the only namespaces with allowed service accounts; empty: all namespaces of the rows, if the profile
            allows that.
        folder: the configuration document's folder.

    Raises:
        ConfigurationError: the profile is missing or breaks a rule; the message names the field and the rule.
    """
    path = folder / name if name.endswith((".yaml", ".yml")) else SHIPPED / f"{name}.yaml"
    if len(name) > _LONGEST_NAME or "/" in name or not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.yaml")))
        detail = f"shipped profiles are {shipped}; your own profile's file name must end in .yaml"
        raise ConfigurationError(field_error.not_found("profile.name", name, detail))
    written = read(Profile, path)
    _refuse(path, [*_lifetime_violations(written.lifetime), *_span_violations(written)])
    rows = written.of_release(release)
    numbers = [number for number, row in enumerate(written.components) if release is None or row.includes(release)]
    _refuse(path, list(_row_violations(dict(zip(numbers, rows.components, strict=True)))))
    return rows.within(namespaces)


# Rules that the types cannot express.


def _refuse(path: Path, violations: list[str]) -> None:
    if violations:
        raise ConfigurationError(f"{path.name}: {'; '.join(violations)}")


def _lifetime_violations(lifetime: Lifetime) -> Iterator[str]:
    if not FLOOR <= lifetime.minimum <= lifetime.default <= lifetime.maximum <= CEILING:
        got = f"{lifetime.minimum}, {lifetime.default}, {lifetime.maximum}"
        yield f"lifetime: Invalid value: {got}: must be 10m <= minimum <= default <= maximum <= 825d"


def _span_violations(profile: Profile) -> Iterator[str]:
    spans: dict[str, Span] = {"releases": profile.releases}
    for number, row in enumerate(profile.components):
        where = f"components[{number}]"
        spans[where] = row
        spans |= {f"{where}.request_names[{index}]": rule for index, rule in enumerate(row.request_names)}
        spans |= {f"{where}.dns_names[{index}]": rule for index, rule in enumerate(row.dns_names)}
    for where, span in spans.items():
        if span.since and span.until and _order(span.since) > _order(span.until):
            yield field_error.invalid(f"{where}.until", span.until, f"must not be before since, {quote(span.since)}")
    newest = profile.releases.newest
    if newest is not None and not profile.releases.includes(newest):
        yield field_error.invalid("releases.newest", newest, "must be within since and until")


def _row_violations(rows: Mapping[int, Component]) -> Iterator[str]:
    """Returns the violations of the rows of one release, with their numbers in the file."""
    if not rows:
        yield field_error.required("components", "must have at least one in this release")
    owners: dict[tuple[str, str], int] = {}
    for number, row in rows.items():
        where = f"components[{number}]"
        if not row.request_names:
            yield field_error.required(f"{where}.request_names", "must have at least one in this release")
        if all(rule.optional for rule in row.dns_names):
            yield field_error.required(f"{where}.dns_names", "must have at least one in this release that is required")
        names = [rule.name for rule in row.dns_names]
        for name, count in Counter(names).items():
            if count > 1:
                yield field_error.duplicate(f"{where}.dns_names", name)
        for account, rule in itertools.product(row.service_accounts, row.request_names):
            request_name = rule.name.replace("{namespace}", _namespace(account))
            owner = owners.setdefault((account, request_name), number)
            if owner != number:
                message = field_error.duplicate(f"{where}.request_names", request_name)
                yield f"{message}: components[{owner}] has it already, for service account {quote(account)}"


def _namespace(account: str) -> str:
    return account.partition("/")[0]


def _order(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))
