"""One request judged, built, linted and signed as the function's pipeline does it, without an API server."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from csr_signer.certificate import assemble, build
from csr_signer.lint import lint
from csr_signer.policy import Permit, Signer, decide
from csr_signer.profile import Profile
from development.matrix.authorities import Authority
from development.matrix.requesters import SIGNER_NAME, Requester

_LIFETIME: Final = timedelta(days=365)
_SOON: Final = timedelta(seconds=1)


class NotPermittedError(Exception):
    """The request is not permitted, which here is a fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """What came of one request.

    Attributes:
        hosts: every DNS name and address that was certified.
        chain: the leaf, then intermediates, PEM.
    """

    hosts: tuple[str, ...]
    chain: bytes


def certify(requester: Requester, authority: Authority, profile: Profile) -> Certified:
    """The certificate, signed through KMS and verified with the pinned CA key.

    Raises:
        NotPermittedError: the decision is another than a permit.
        SignerError: lint, KMS or the finished certificate's check says no.
    """
    permit = _permit(requester, authority, profile)
    cleared = lint(build(permit, authority.issuer, authority.algorithm), permit, authority.issuer, authority.algorithm)
    signature = authority.key.sign(cleared, authority.algorithm, authority.key.public_key())
    issued = assemble(cleared, signature.value, authority.issuer, authority.algorithm)
    return Certified(hosts=(*permit.dns_names, *map(str, permit.ip_addresses)), chain=issued.pem)


def _permit(requester: Requester, authority: Authority, profile: Profile) -> Permit:
    signer = Signer(
        cluster="matrix",
        cluster_domain="cluster.local",
        address_ranges=(),
        credential_id=True,
        signer_name=SIGNER_NAME,
        approve=True,
        profile=profile,
        lifetime=_LIFETIME,
        deferral_limit=_LIFETIME,
        issuer=authority.issuer,
        configuration_digest="",
    )
    decision = decide(
        csr=requester.csr,
        request=requester.request,
        attestation=requester.attestation,
        signer=signer,
        now=requester.csr.created + _SOON,
    )
    if not isinstance(decision, Permit):
        raise NotPermittedError(f"{requester.name} under {authority.name}: {decision}")
    return decision
