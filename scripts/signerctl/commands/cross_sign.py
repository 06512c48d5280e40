"""`signerctl ca cross-sign`: signs a new CA's cross-certificate with a trusted root's key."""

from collections.abc import Sequence
from pathlib import Path

import click
from cryptography import x509

from csr_signer.ca import checks, issuer
from csr_signer.ca.algorithm import subject_public_key_info
from signerctl import files, records
from signerctl.ca import certificate as ca_certificate
from signerctl.ca import cross_certificate
from signerctl.ca import lint as ca_lint
from signerctl.description import described, rows
from signerctl.interface import clock
from signerctl.interface.program import Command, CommandError
from signerctl.interface.text import table
from signerctl.key import KmsOptions, held, opened
from signerctl.options import (
    INPUT,
    OUTPUT,
    audit_log_option,
    force_option,
    key_version_option,
    kms_options,
    new_key_version_option,
)


@click.command("cross-sign", cls=Command)
@key_version_option
@new_key_version_option
@click.option("--signing-certificate", required=True, type=INPUT, help="The root that is trusted now: its key signs.")
@click.option("--certificate", required=True, type=INPUT, help="The new CA's self-signed certificate.")
@click.option("--out", required=True, type=OUTPUT, help="The file for the cross-certificate, PEM.")
@force_option
@audit_log_option
@kms_options
def cross_sign(
    *,
    key_version: str,
    new_key_version: str,
    signing_certificate: Path,
    certificate: Path,
    out: Path,
    force: bool,
    audit_log: Path | None,
    kms: KmsOptions,
) -> None:
    r"""Certify a new CA with a trusted root.

    You need it to put a new issuing CA below a root of your own that peers trust already: they then accept the new CA.
    The cross-certificate has the new CA's subject, key and key identifier, and the root as its issuer. If you configure
    it as issuer.certificate, the function sends it after every leaf, and caCert does not change.

    The trusted root must have a path length of 1 (`ca create --path-length 1`). A root with path length 0 must not have
    a CA below it (RFC 5280, 4.2.1.9): OpenSSL and Go refuse such a chain, and so does this command. To rotate a root
    that signs leaves, publish both roots in caCert before you switch (`ca bundle`).

    --key-version is the trusted root's key, which signs. --new-key-version is the new CA's key, which does not sign.
    Both must be in KMS with the required protection level. The new certificate must hold the public key of
    --new-key-version, and that key must have signed it. You need roles/cloudkms.publicKeyViewer on both keys, and
    roles/cloudkms.signer on the root's key.

    \b
    Example:
      signerctl ca cross-sign \
        --key-version projects/p/locations/l/keyRings/r/cryptoKeys/root/cryptoKeyVersions/1 \
        --new-key-version projects/p/locations/l/keyRings/r/cryptoKeys/calico/cryptoKeyVersions/2 \
        --signing-certificate root.pem --certificate calico-2027.pem --out calico-2027-cross.pem

    Next: name the cross-certificate as issuer.certificate, the root as issuer.trust_bundle and the new key version as
    issuer.key_version in the function's configuration, and check them with `ca verify`.
    """
    now = clock.now().replace(microsecond=0)
    signing, new = _only(signing_certificate), _only(certificate)
    _refuse(signing_certificate, cross_certificate.signing_violations(signing, now))
    _refuse(certificate, cross_certificate.new_violations(new, signing, now))
    inputs = (signing_certificate, certificate)
    with files.outputs(out, force=force, inputs=inputs, audit_log=audit_log) as outputs:
        key = opened(key_version, kms)
        _refuse_another_key(signing_certificate, signing, key_version, key.subject_public_key_info)
        _refuse_another_key(certificate, new, new_key_version, held(new_key_version, kms))
        template = cross_certificate.template(signing, new, key.algorithm, now)
        with records.signed(
            ca_lint.lint_certificate(ca_certificate.build(template), template),
            key,
            records.audit(audit_log),
            what=f"the cross-certificate of {checks.name_of(new)}",
            facts=ca_certificate.facts(template),
            assemble=ca_certificate.assemble,
        ) as crossed:
            # signerctl keeps no cross-certificate that the function would refuse.
            issuer.load(
                key_version=new_key_version,
                certificate=files.pem([crossed]),
                trust_bundle=files.pem([signing]),
                protection_level=kms.protection_level,
            )
            outputs.write({out: files.pem([crossed])})
    table(
        "created a cross-certificate",
        [*rows(described(crossed, now)), ("signed with", key_version), ("written to", str(out))],
    )


def _only(path: Path) -> x509.Certificate:
    certificates = files.read_certificates(path)
    if len(certificates) != 1:
        raise CommandError(f"{path}: Invalid value: {len(certificates)} certificates: must be one")
    return certificates[0]


def _refuse_another_key(path: Path, certificate: x509.Certificate, key_version: str, public_key: bytes) -> None:
    if subject_public_key_info(certificate.public_key()) != public_key:
        raise CommandError(f"{path}: Invalid value: another key: must hold the public key of {key_version}")


def _refuse(path: Path, violations: Sequence[str]) -> None:
    if violations:
        raise CommandError(f"{path}: {'; '.join(violations)}")
