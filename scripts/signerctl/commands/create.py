"""`signerctl ca create`: makes a root CA certificate."""

import contextlib
from datetime import timedelta
from pathlib import Path
from typing import Final

import click
from cryptography import x509
from cryptography.x509.oid import NameOID

from csr_signer.ca import issuer
from csr_signer.violation import quote
from signerctl import files, records
from signerctl.ca import certificate as ca_certificate
from signerctl.ca import lint as ca_lint
from signerctl.ca.certificate import CaTemplate
from signerctl.description import described, rows
from signerctl.interface import clock
from signerctl.interface.program import Command, CommandError
from signerctl.interface.text import table, warn
from signerctl.key import KmsOptions, SigningKey, opened
from signerctl.options import (
    INPUT,
    OUTPUT,
    audit_log_option,
    force_option,
    key_version_option,
    kms_options,
    permit_dns_option,
    subject_options,
)

PURPOSE: Final = "signerctl=ca-create"


@click.command(cls=Command)
@key_version_option
@subject_options
@click.option("--days", default=3650, show_default=True, type=click.IntRange(1, 7300), help="Validity.")
@click.option(
    "--path-length",
    default=0,
    show_default=True,
    type=click.IntRange(0, 1),
    help="How many levels of CAs may be below it. The function needs 0; 1 is for a root that signs issuing CAs.",
)
@permit_dns_option
@click.option(
    "--existing",
    multiple=True,
    type=INPUT,
    help="CA certificates in use: warns if one has the same common name. May be given several times.",
)
@click.option("--out", required=True, type=OUTPUT, help="The file for the certificate, PEM.")
@force_option
@audit_log_option
@kms_options
def create(
    *,
    key_version: str,
    common_name: str,
    organization: str,
    days: int,
    path_length: int,
    permitted_dns_names: tuple[str, ...],
    existing: tuple[Path, ...],
    out: Path,
    force: bool,
    audit_log: Path | None,
    kms: KmsOptions,
) -> None:
    r"""Create a root CA whose key stays in KMS.

    You need it once at the start, and once for each rotation with a new key version and a new common name. If a
    corporate CA issues your CA certificate, use `ca request` instead.

    The root is for server and client authentication only. With path length 0 it issues leaves but no CAs; the function
    signs with such a root. With --path-length 1 it is above issuing CAs, which `ca cross-sign` puts below it. Do not
    give such a key to the function.

    --permit-dns limits the DNS names that a thief of the key can certify: OpenSSL, Go and pyca refuse all others. It
    does not limit addresses or the common name, and Typha and Felix check the common name. (OpenSSL limits the common
    name if there is no DNS name.) Java does not apply a root's own constraints. Give every DNS name that your profile
    certifies, including Calico's short names (typha-client): docs/profiles.md says what the function does otherwise.

    The command records the intent before it uses the key, and the outcome afterwards. Your own credentials need
    roles/cloudkms.signer and roles/cloudkms.publicKeyViewer on the key.

    \b
    Example:
      signerctl ca create \
        --key-version projects/p/locations/l/keyRings/r/cryptoKeys/calico/cryptoKeyVersions/1 \
        --common-name 'Calico CA 2026' --out calico-2026.pem

    Next: `ca bundle` prints the Installation's patch, `ca verify` checks your configuration.
    """
    _warn_of_reuse(common_name, existing, out if force and out.is_file() else None)
    with files.outputs(out, force=force, inputs=existing, audit_log=audit_log) as outputs:
        key = opened(key_version, kms)
        template = _template(
            key,
            subject=ca_certificate.name(common_name, organization),
            lifetime=timedelta(days=days),
            path_length=path_length,
            permitted_dns_names=permitted_dns_names,
        )
        with records.signed(
            ca_lint.lint_certificate(ca_certificate.build(template), template),
            key,
            records.audit(audit_log),
            what=f"the root {quote(common_name)}",
            facts=ca_certificate.facts(template),
            assemble=ca_certificate.assemble,
        ) as root:
            pem = files.pem([root])
            if path_length == 0:
                _check_as_issuer(pem, key_version, kms)
            outputs.write({out: pem})
    described_root = rows(described(root, clock.now()))
    table("created a root CA certificate", [*described_root, ("key version", key_version), ("written to", str(out))])


def _check_as_issuer(pem: bytes, key_version: str, kms: KmsOptions) -> None:
    """Loads the root as the function does: signerctl keeps no root that the function would refuse."""
    issuer.load(
        key_version=key_version,
        certificate=pem,
        trust_bundle=pem,
        protection_level=kms.protection_level,
        signature_hash=kms.signature_hash,
    )


def _template(
    key: SigningKey,
    *,
    subject: x509.Name,
    lifetime: timedelta,
    path_length: int,
    permitted_dns_names: tuple[str, ...],
) -> CaTemplate:
    not_before = clock.now().replace(microsecond=0) - ca_certificate.BACKDATE
    return CaTemplate(
        purpose=PURPOSE,
        subject=subject,
        issuer=subject,
        not_before=not_before,
        not_after=not_before + lifetime,
        subject_public_key_info=key.subject_public_key_info,
        algorithm=key.algorithm,
        path_length=path_length,
        permitted_dns_names=permitted_dns_names,
        subject_key_identifier=ca_certificate.identifier_of(key.subject_public_key_info),
        authority_key_identifier=None,
    )


def _warn_of_reuse(common_name: str, existing: tuple[Path, ...], replaced: Path | None) -> None:
    certificates = [(path, each) for path in existing for each in files.read_certificates(path)]
    if replaced is not None:
        with contextlib.suppress(CommandError):  # --force replaces any file, also one that holds no certificates
            certificates += [(replaced, each) for each in files.read_certificates(replaced)]
    for path, certificate in certificates:
        if common_name in _common_names(certificate):
            warn(
                f"--common-name: Duplicate value: {quote(common_name)}: the CA in {path} has it, and peers may"
                " confuse the two: use a new common name for a new key"
            )


def _common_names(certificate: x509.Certificate) -> list[str]:
    try:
        return [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except ValueError:
        return []
