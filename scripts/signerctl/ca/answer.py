"""A corporate CA's answer: finds the chain from the issuing CA to the root among certificates in any order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from csr_signer.ca import checks
from csr_signer.violation import quote
from signerctl.ca.trust import unreadable_names
from signerctl.interface.program import CommandError
from signerctl.key import key_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The chain of an issuing CA.

    Attributes:
        certificates: The issuing CA first, then its intermediates, without the root.
        root: The self-signed root.
        left_out: Certificates of the answer that are not in the chain.
    """

    certificates: tuple[x509.Certificate, ...]
    root: x509.Certificate
    left_out: tuple[x509.Certificate, ...]


def ordered(certificates: Iterable[x509.Certificate], *, public_key: bytes, key_version: str) -> Chain:
    """Returns the chain of the CA whose key is in KMS.

    Args:
        certificates: In any order; duplicates are allowed.
        public_key: DER of the KMS key's SubjectPublicKeyInfo.
        key_version: The key version that messages name.

    Raises:
        CommandError: A certificate is unreadable, no certificate or several hold the key, or the root is missing.
    """
    pool = list(dict.fromkeys(certificates))
    for violation in filter(None, map(unreadable_names, pool)):
        raise CommandError(violation)
    issuing = _issuing(pool, public_key, key_version)
    chain = _chains_to_a_root(pool).get(issuing)
    if chain is None:
        highest = _highest(pool, issuing)
        raise CommandError(
            f"ANSWER: Required value: the certificate {quote(highest.issuer.rfc4514_string())}, which issued"
            f" {checks.name_of(highest)}: give every certificate up to the self-signed root"
        )
    left_out = tuple(each for each in pool if each not in chain)
    return Chain(certificates=chain[:-1], root=chain[-1], left_out=left_out)


def _chains_to_a_root(pool: Sequence[x509.Certificate]) -> dict[x509.Certificate, tuple[x509.Certificate, ...]]:
    """Returns the best chain to a root for each certificate that has one.

    A CA may have certificates from several issuers. Some of them may lead to no root, or to an expired root. The best
    chain is valid longest; among equals, it is the shortest. The search is Dijkstra's algorithm for widest paths. It
    starts at the roots and always extends the best chain, so the first chain that reaches a certificate is its best.
    """
    found: dict[x509.Certificate, tuple[x509.Certificate, ...]] = {}
    candidates: dict[x509.Certificate, tuple[x509.Certificate, ...]] = {
        each: (each,) for each in pool if checks.self_signed(each)
    }
    while candidates:
        upper = max(candidates, key=lambda each: (_end(candidates[each]), -len(candidates[each])))
        found[upper] = candidates.pop(upper)
        for lower in pool:
            if lower not in found and lower not in candidates and checks.issued_by(lower, upper):
                candidates[lower] = (lower, *found[upper])
    return found


def _end(chain: Iterable[x509.Certificate]) -> datetime:
    return min(each.not_valid_after_utc for each in chain)


def _highest(pool: Sequence[x509.Certificate], lowest: x509.Certificate) -> x509.Certificate:
    """Returns the last certificate above `lowest` in a pool that has no chain to a root."""
    chain = [lowest]
    while above := [each for each in pool if each not in chain and checks.issued_by(chain[-1], each)]:
        chain.append(max(above, key=lambda each: each.not_valid_after_utc))
    return chain[-1]


def _issuing(pool: Sequence[x509.Certificate], public_key: bytes, key_version: str) -> x509.Certificate:
    holders = [each for each in pool if key_of(each) == public_key]
    signed = [each for each in holders if not checks.self_signed(each)]
    if len(signed) == 1:
        return signed[0]
    names = ", ".join(map(checks.name_of, pool))
    if not holders:
        raise CommandError(
            f"ANSWER: Invalid value: {names}: must include a certificate with the key of {key_version}: give the"
            " answer to the request that you made with this key version"
        )
    if not signed:
        raise CommandError(
            f"ANSWER: Invalid value: {checks.name_of(holders[0])}: must not be self-signed: a root from `ca create`"
            " needs no import"
        )
    raise CommandError(
        f"ANSWER: Too many: {len(signed)} certificates with the key of {key_version}: must be one: keep only the newest"
        " answer"
    )
