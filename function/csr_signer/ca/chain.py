"""A chain of CAs from the issuing CA to the relying parties' trust anchor (RFC 5280 §6.1)."""

import itertools
import re
from collections.abc import Collection, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from cryptography import x509

from csr_signer import der, field_error
from csr_signer.ca import checks
from csr_signer.errors import ConfigurationError

PRIVATE_KEY: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")


def certificates(key: str, pem: bytes) -> tuple[x509.Certificate, ...]:
    """Parses the certificates of a PEM text; refuses duplicates.

    Args:
        key: the configuration key, for messages.
        pem: the text.

    Raises:
        ConfigurationError: the text has no certificate, an unreadable or duplicate one, or a private key.
    """
    if PRIVATE_KEY.search(pem):
        raise ConfigurationError(
            field_error.forbidden(f"issuer.{key}", "it holds a private key; give certificates only")
        )
    try:
        found = der.attempt(lambda: _loaded(pem))
    except ValueError as error:
        raise ConfigurationError(
            field_error.malformed(f"issuer.{key}", f"must be PEM certificates: {error}")
        ) from error
    twice = next((ca for index, ca in enumerate(found) if ca in found[:index]), None)
    if twice is not None:
        raise ConfigurationError(f"issuer.{key}: Duplicate value: {checks.name_of(twice)}")
    return found


def _loaded(pem: bytes) -> tuple[x509.Certificate, ...]:
    found = tuple(x509.load_pem_x509_certificates(pem))
    for each in found:
        each.not_valid_before_utc, each.not_valid_after_utc  # noqa: B018 - pyca parses times lazily, and not every time is a date
    return found


def path_of(
    chain: tuple[x509.Certificate, ...], anchors: tuple[x509.Certificate, ...], *, purposes: Collection[str]
) -> tuple[x509.Certificate, ...]:
    """Returns the chain up to its best anchor: an anchor without violations, and among these the longest valid.

    If the chain ends with a self-signed certificate that is no anchor, and an anchor issued the certificate below it,
    the path leaves the self-signed one out. This happens with a renewed root. It does not count among the CAs below the
    anchor (RFC 5280 §6.1.4 l).

    Args:
        chain: the issuing CA first.
        anchors: the relying parties' trust anchors.
        purposes: as `violations`.

    Raises:
        ConfigurationError: the chain is out of order, or no anchor is above it.
    """
    for lower, upper in itertools.pairwise(chain):
        if not checks.issued_by(lower, upper):
            why = checks.weak_signature(lower) or "put the issuing CA first, then its chain"
            raise ConfigurationError(
                f"issuer.certificate: Invalid value: {checks.name_of(lower)}: must be issued by the next in the file,"
                f" {checks.name_of(upper)}; {why}"
            )
    last = chain[-1]
    if last in anchors:
        return chain
    paths = [(*chain, anchor) for anchor in anchors if checks.issued_by(last, anchor)]
    below = chain[:-1]
    if below and checks.self_signed(last):
        paths = [(*below, anchor) for anchor in anchors if checks.issued_by(below[-1], anchor)] or paths
    if not paths:
        why = checks.weak_signature(last) or "otherwise relying parties refuse the certificates"
        raise ConfigurationError(
            f"issuer.trust_bundle: Invalid value: must hold {checks.name_of(last)} or its issuer; {why}"
        )
    return max(paths, key=lambda path: (not violations(path, purposes=purposes), path[-1].not_valid_after_utc))


def violations(path: Sequence[x509.Certificate], *, purposes: Collection[str]) -> list[str]:
    """Returns all violations of a path; each names the certificate and the rule.

    Args:
        path: from the issuing CA to the trust anchor; the next certificate issued each one.
        purposes: extended key usages that leaves will have: `serverAuth`, `clientAuth`.
    """
    found = [
        violation
        for below, ca in enumerate(path)
        for violation in checks.violations(ca, below=below, purposes=purposes)
    ]
    if found:
        return found
    for lower, upper in itertools.pairwise(path):
        if checks.named_key(lower) != checks.own_key(upper):
            names = checks.name_of(lower), checks.name_of(upper)
            found.append("{}: its authority key identifier must be the subject key identifier of {}".format(*names))
    late, early = max(path, key=lambda ca: ca.not_valid_before_utc), min(path, key=lambda ca: ca.not_valid_after_utc)
    if late.not_valid_before_utc >= early.not_valid_after_utc:
        found.append(
            f"{checks.name_of(late)}: must begin before {checks.name_of(early)} ends; begins"
            f" {late.not_valid_before_utc:%Y-%m-%d}, the other ends {early.not_valid_after_utc:%Y-%m-%d}"
        )
    return found


def not_permitted(
    path: Iterable[x509.Certificate],
    *,
    dns_names: Iterable[str],
    ip_addresses: Iterable[IPv4Address | IPv6Address] = (),
) -> list[str]:
    """Returns names that a path's name constraints do not permit, each with the CA (RFC 5280 §4.2.1.10)."""
    names: list[str | IPv4Address | IPv6Address] = [*dns_names, *ip_addresses]
    refused = []
    for ca in path:
        constraints = checks.extension(ca, x509.NameConstraints)
        if constraints is None:
            continue
        for name in names:
            permitted, excluded = (
                [_within(name, subtree.value) for subtree in subtrees or () if isinstance(subtree, _kind(name))]
                for subtrees in (constraints.permitted_subtrees, constraints.excluded_subtrees)
            )
            if (permitted and not any(permitted)) or any(excluded):
                refused.append(f"{name} by {checks.name_of(ca)}")
    return refused


def _kind(name: str | IPv4Address | IPv6Address) -> type[x509.DNSName | x509.IPAddress]:
    return x509.DNSName if isinstance(name, str) else x509.IPAddress


def _within(name: str | IPv4Address | IPv6Address, base: Any) -> bool:  # noqa: ANN401 - the value type of the name's kind
    """Tells whether a name is a base or below it; after a leading dot, only names below it match (Go, OpenSSL)."""
    if not isinstance(name, str):
        return name in base
    host, base = name.lower(), base.lower()
    return not base or host == base or host.endswith(base if base.startswith(".") else f".{base}")
