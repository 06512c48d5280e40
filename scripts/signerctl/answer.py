"""A corporate CA's answer: the way from the issuing CA up to its root, out of certificates in any order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509

from csr_signer import authority
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
    for complaint in filter(None, map(unreadable_names, pool)):
        raise CommandError(complaint)
    chain = [_issuing(pool, public_key, key_version)]
    while not authority.self_signed(chain[-1]):
        above = [each for each in pool if each not in chain and authority.issued_by(chain[-1], each)]
        if not above:
            raise CommandError(
                f"the certificate that issued {authority.name_of(chain[-1])} is missing, its subject is"
                f" {quote(chain[-1].issuer.rfc4514_string())}: give its file, too, up to the self-signed root"
            )
        chain.append(max(above, key=lambda each: each.not_valid_after_utc))
    left_out = tuple(each for each in pool if each not in chain)
    return Chain(certificates=tuple(chain[:-1]), root=chain[-1], left_out=left_out)


def _issuing(pool: Sequence[x509.Certificate], public_key: bytes, key_version: str) -> x509.Certificate:
    holders = [each for each in pool if key_of(each) == public_key]
    signed = [each for each in holders if not authority.self_signed(each)]
    if len(signed) == 1:
        return signed[0]
    names = ", ".join(map(authority.name_of, pool))
    if not holders:
        raise CommandError(
            f"none of the certificates holds the key of {key_version}: got {names}; is it the answer to the request"
            " that was made with this key version"
        )
    if not signed:
        raise CommandError(
            f"{authority.name_of(holders[0])} is self-signed: a root as `ca create` makes it needs no import"
        )
    raise CommandError(
        f"{len(signed)} certificates hold the key of {key_version}, wanted is one: leave out all but the newest answer"
    )
