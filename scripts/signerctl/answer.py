"""A corporate CA's answer: the way from the issuing CA up to its root, out of certificates in any order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from csr_signer.ca import checks
from csr_signer.violation import quote
from signerctl.key import key_of
from signerctl.program import CommandError
from signerctl.trust import unreadable_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A CA certificate, what stands above it, and what had no place.

    Attributes:
        certificates: the issuing CA first, then its chain, without the root.
        root: self-signed.
        left_out: certificates that are on no way from the one to the other.
    """

    certificates: tuple[x509.Certificate, ...]
    root: x509.Certificate
    left_out: tuple[x509.Certificate, ...]


def ordered(certificates: Iterable[x509.Certificate], *, public_key: bytes, key_version: str) -> Chain:
    """The chain of the CA whose key is in KMS.

    Args:
        certificates: in any order, each any number of times.
        public_key: DER of the KMS key's SubjectPublicKeyInfo.
        key_version: for messages.

    Raises:
        CommandError: a certificate cannot be read, none or several hold the key, or the root is not among them.
    """
    pool = list(dict.fromkeys(certificates))
    for violation in filter(None, map(unreadable_names, pool)):
        raise CommandError(violation)
    issuing = _issuing(pool, public_key, key_version)
    chain = _ways_to_a_root(pool).get(issuing)
    if chain is None:
        highest = _highest(pool, issuing)
        raise CommandError(
            f"the certificate that issued {checks.name_of(highest)} is missing; its subject is"
            f" {quote(highest.issuer.rfc4514_string())}: also give that file, and so on up to the self-signed root"
        )
    left_out = tuple(each for each in pool if each not in chain)
    return Chain(certificates=chain[:-1], root=chain[-1], left_out=left_out)


def _ways_to_a_root(pool: Sequence[x509.Certificate]) -> dict[x509.Certificate, tuple[x509.Certificate, ...]]:
    """By each certificate from which a way leads to a root the one that lasts longest, of these the shortest.

    A CA may have certificates of several issuers, of which some lead nowhere, or to a root that has ended. The widest
    paths, from the roots down: whichever issuer is looked at first is the best that a certificate has.
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


def _end(way: Iterable[x509.Certificate]) -> datetime:
    return min(each.not_valid_after_utc for each in way)


def _highest(pool: Sequence[x509.Certificate], lowest: x509.Certificate) -> x509.Certificate:
    """Where the way from a certificate ends, that leads to no root."""
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
            f"none of the certificates holds the key of {key_version}: got {names}; give the answer to the request"
            " that you made with this key version"
        )
    if not signed:
        raise CommandError(f"{checks.name_of(holders[0])} is self-signed: a root from `ca create` needs no import")
    raise CommandError(
        f"{len(signed)} certificates hold the key of {key_version}: must be one: keep only the newest answer"
    )
