"""The CA: the key in Cloud KMS, the issuer's certificate, and the trust bundle, by the checks of `ca verify`."""

from typing import Final

from csr_signer.errors import IntegrityError, SignerError, UnavailableError
from csr_signer.policy.signer import Signer
from signerctl.ca import verification
from signerctl.doctor import result
from signerctl.doctor.examination import Examination
from signerctl.doctor.result import Result

_LOG_IN: Final = (
    "log in with `gcloud auth application-default login`, as a user with roles/cloudkms.publicKeyViewer on the key"
)
_MEND: Final = (
    "first check that --configuration is the deployed document: if it is, the function signs no certificate until the"
    " key version or the configuration is corrected: docs/troubleshooting.md"
)
_ROTATE: Final = "rotate the CA: docs/rotation.md, step by step"


def key(examination: Examination) -> Result:
    """Checks each signer's key version: enabled, protected as required, and the issuer's own."""
    return result.worst([_key(examination, signer) for signer in examination.signers])


def _key(examination: Examination, signer: Signer) -> Result:
    try:
        return result.ok(verification.check_key(signer.issuer, examination.public_key(signer)))
    except IntegrityError as error:
        return result.error(
            str(error), "treat it as an incident: something changes the answers between the key and this machine"
        )
    except UnavailableError as error:
        return result.unknown(
            f"this machine gets no answer from Cloud KMS, and whether the function does is not known: {error}",
            "if CSRs wait, see the check `waiting`, and docs/outages.md; to check the key, run this on a machine that"
            " reaches Cloud KMS",
        )
    except SignerError as error:
        if error.access_denied:
            return result.unknown(f"you may not read the key: {error}", _LOG_IN)
        return result.error(str(error), _MEND)


def issuer(examination: Examination) -> Result:
    """Checks how long the issuer's chain lasts."""
    return result.worst(
        [
            each
            for signer in examination.signers
            for each in result.of_checks(
                verification.check_dates(
                    signer.issuer, examination.now, min(signer.lifetime, signer.profile.lifetime.default)
                ),
                _ROTATE,
            )
        ]
    )


def trust_bundle(examination: Examination) -> Result:
    """Checks that relying parties can use the configured trust bundle."""
    remedies = "write it again with `signerctl ca bundle`, and apply"
    every = [
        each
        for signer in examination.signers
        for each in result.of_checks(
            verification.check_bundle("trust bundle", signer.issuer.trust_bundle, signer.issuer, examination.now),
            remedies,
        )
    ]
    chains = [result.ok(verification.show_chain(signer.issuer).message) for signer in examination.signers]
    return result.worst([*every, *chains])
