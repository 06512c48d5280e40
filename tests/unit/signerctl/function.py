"""The function's side: loads a CA, and issues a certificate to calico-node."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from csr_signer.ca import issuer
from csr_signer.ca.issuer import Issuer
from csr_signer.issuance import certificate as leaves
from csr_signer.issuance import lint
from csr_signer.kms.client import connect
from csr_signer.kms.key import Attempts, CloudKmsKey
from signerctl.ca import certificate as ca_certificates
from signerctl.ca import lint as ca_lint
from signerctl.ca.certificate import CaTemplate
from signerctl.key import KmsOptions, opened
from tests.unit.function.builders import make_permit
from tests.unit.signerctl.authorities import write
from tests.unit.signerctl.stage import Stage


def leaf_of(stage: Stage, ca: Issuer) -> bytes:
    """Issues a certificate to calico-node with all of the function's checks: leaf and intermediates, PEM."""
    return asyncio.run(_leaf_of(stage, ca))


async def _leaf_of(stage: Stage, ca: Issuer) -> bytes:
    connection = await connect(endpoint=None, unsafe_plaintext_endpoint=stage.server.endpoint)
    key = CloudKmsKey(connection=connection, key_version=ca.key_version, protection_level=ca.protection_level)
    public_key = await key.public_key()
    algorithm = issuer.confirm(ca, public_key)
    now = datetime.now(UTC).replace(microsecond=0)
    permit = make_permit(
        not_before=max(now - timedelta(minutes=5), ca.not_before),
        not_after=min(now + timedelta(days=365), ca.not_after),
    )
    tbs = lint.lint(leaves.build(permit, ca, algorithm), permit, ca, algorithm)
    signature = await key.sign(tbs, algorithm, public_key, Attempts())
    await connection.close()
    return leaves.assemble(tbs, signature.value, ca, algorithm).pem


def loaded(key_version: str, certificate: Path, trust_bundle: Path) -> Issuer:
    """Loads an issuer as the function does."""
    return issuer.load(
        key_version=key_version,
        certificate=certificate.read_bytes(),
        trust_bundle=trust_bundle.read_bytes(),
        protection_level="HSM",
    )


def root_of(stage: Stage, out: Path, not_before: datetime, not_after: datetime, name: str = "Calico CA") -> Path:
    """Makes a root for the stage's key with any validity, from the command's own parts."""
    options = KmsOptions(
        endpoint=None,
        unsafe_plaintext_endpoint=stage.server.endpoint,
        protection_level="HSM",
        signature_hash=None,
    )
    key = opened(stage.key(), options)
    template = CaTemplate(
        purpose="signerctl=ca-create",
        subject=ca_certificates.name(name, ""),
        issuer=ca_certificates.name(name, ""),
        not_before=not_before.replace(microsecond=0),
        not_after=not_after.replace(microsecond=0),
        subject_public_key_info=key.subject_public_key_info,
        algorithm=key.algorithm,
        path_length=0,
        permitted_dns_names=(),
        subject_key_identifier=ca_certificates.identifier_of(key.subject_public_key_info),
        authority_key_identifier=None,
    )
    tbs = ca_lint.lint_certificate(ca_certificates.build(template), template)
    return write(out, ca_certificates.assemble(tbs, key.sign(tbs, Attempts()).value, key))
