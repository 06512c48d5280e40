"""`signerctl ca import`: turns a corporate CA's answer into the two files of the function's configuration."""

from datetime import datetime
from pathlib import Path

import click
from cryptography import x509

from csr_signer.ca import checks, issuer
from signerctl import files
from signerctl.ca import answer
from signerctl.description import described, rows
from signerctl.interface import clock
from signerctl.interface.program import Command, CommandError
from signerctl.interface.text import table, warn
from signerctl.key import KmsOptions, opened
from signerctl.options import INPUT, OUTPUT, force_option, key_version_option, kms_options


@click.command("import", cls=Command)
@key_version_option
@click.argument(
    "paths",
    metavar="ANSWER...",
    nargs=-1,
    required=True,
    type=INPUT,
    help="Every file that the corporate CA sent, and its root.",
)
@click.option(
    "--out-certificate", required=True, type=OUTPUT, help="The file for the issuing CA and its intermediates, PEM."
)
@click.option("--out-trust-bundle", required=True, type=OUTPUT, help="The file for the corporate root, PEM.")
@force_option
@kms_options
def import_(
    *,
    key_version: str,
    paths: tuple[Path, ...],
    out_certificate: Path,
    out_trust_bundle: Path,
    force: bool,
    kms: KmsOptions,
) -> None:
    r"""Check a corporate CA's answer.

    You need it after `ca request`: it makes the function's two files from the corporate CA's answer. ANSWER is every
    file that you received: certificate, chain and root, in any order, as PEM, DER or PKCS #7. The root must be among
    them. Compare its fingerprint with the one that your organisation publishes, because the cluster will trust it.

    The command checks that the key is the one in KMS, that the chain is complete, and everything that the function
    requires of its issuer.

    \b
    Example:
      signerctl ca import \
        --key-version projects/p/locations/l/keyRings/r/cryptoKeys/calico/cryptoKeyVersions/1 \
        --out-certificate calico-ca.pem --out-trust-bundle calico-trust.pem answer.p7b corporate-root.pem

    Next: name the files in the function's configuration (issuer.certificate and issuer.trust_bundle), make the
    Installation's caCert from the trust bundle with `ca bundle`, and check everything with `ca verify`.
    """
    certificates = [each for path in paths for each in files.read_certificates(path)]
    with files.outputs(out_certificate, out_trust_bundle, force=force, inputs=paths) as outputs:
        key = opened(key_version, kms)
        found = answer.ordered(certificates, public_key=key.subject_public_key_info, key_version=key_version)
        certificate, trust_bundle = files.pem(found.certificates), files.pem([found.root])
        loaded = issuer.load(
            key_version=key_version,
            certificate=certificate,
            trust_bundle=trust_bundle,
            protection_level=kms.protection_level,
            signature_hash=kms.signature_hash,
        )
        now = clock.now()
        _check_dates(loaded, now)
        _warn(found)
        outputs.write({out_certificate: certificate, out_trust_bundle: trust_bundle})
    for title, each, path in (
        ("the issuing CA", found.certificates[0], out_certificate),
        ("the root that relying parties will trust: compare its fingerprint", found.root, out_trust_bundle),
    ):
        table(title, [*rows(described(each, now)), ("written to", str(path))])


def _check_dates(loaded: issuer.Issuer, now: datetime) -> None:
    if not loaded.not_before <= now <= loaded.not_after:
        raise CommandError(
            f"ANSWER: Invalid value: the chain is valid from {loaded.not_before:%Y-%m-%d} to"
            f" {loaded.not_after:%Y-%m-%d}: must be valid now"
        )
    for expiry in issuer.warnings(loaded, now):
        warn(expiry.message)


def _warn(found: answer.Chain) -> None:
    for certificate in found.left_out:
        warn(f"ANSWER: skipped {checks.name_of(certificate)}: not in the chain from the issuing CA to the root")
    if checks.extension(found.certificates[0], x509.ExtendedKeyUsage) is None:
        warn(
            "the corporate CA did not grant the requested extended key usage: a thief of the key could also sign"
            " certificates for other purposes than TLS"
        )
