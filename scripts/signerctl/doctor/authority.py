"""The CA: the key in Cloud KMS, the issuer's certificate, and the trust bundle, by the checks of `ca verify`."""

from collections.abc import Iterable
from typing import Final

from csr_signer.policy.signer import Signer
from signerctl import verification
from signerctl.doctor import result
from signerctl.doctor.examination import Examination
from signerctl.doctor.result import Result
from signerctl.verification import CheckResult

_ROTATE: Final = "rotate the CA: docs/rotation.md, step by step"


def key(found: Examination) -> Result:
    """Checks each signer's key version: enabled, protected as required, and the issuer's own."""
    return result.worst([_key(found, signer) for signer in found.signers])


def _key(found: Examination, signer: Signer) -> Result:
    check = verification.check_key(signer.issuer, found.kms_options(signer))
    if check.level == "ok":
        return result.ok(check.message)
    if "roles/cloudkms.publicKeyViewer" in check.message or "credentials" in check.message:
        return result.unknown(
            f"you may not read the key: {check.message}", "run doctor with roles/cloudkms.publicKeyViewer on the key"
        )
    return result.error(check.message, "do what it says; until then, no certificate is signed")


def issuer(found: Examination) -> Result:
    """Checks how long the issuer's chain lasts."""
    return result.worst(
        [
            each
            for signer in found.signers
            for each in _of(
                verification.check_dates(
                    signer.issuer, found.now, min(signer.lifetime, signer.profile.lifetime.default)
                ),
                _ROTATE,
            )
        ]
    )


def trust_bundle(found: Examination) -> Result:
    """Checks that relying parties can use the configured trust bundle."""
    remedies = "write it again with `signerctl ca bundle`, and apply"
    every = [
        each
        for signer in found.signers
        for each in _of(
            verification.check_bundle("trust bundle", signer.issuer.trust_bundle, signer.issuer, found.now), remedies
        )
    ]
    chains = [result.ok(verification.show_chain(signer.issuer).message) for signer in found.signers]
    return result.worst([*every, *chains])


def _of(checks: Iterable[CheckResult], remedy: str) -> list[Result]:
    """Returns the results of `ca verify`, with what to do."""
    return [
        result.ok(check.message)
        if check.level == "ok"
        else Result(level=check.level, found=check.message, remedy=remedy)
        for check in checks
    ]
