"""`signerctl`: see `python -m signerctl --help`."""

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from csr_signer import kms
from csr_signer.audit import Audit, AuditRecord
from csr_signer.configuration import KEY_VERSION, is_loopback
from csr_signer.errors import SignerError
from csr_signer.issuer import PROTECTION_LEVELS
from csr_signer.kms import CloudKmsKey
from csr_signer.lint import TBSCertificate
from signerctl import root

COMMON_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:-]{0,63}")


def _key_version(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not KEY_VERSION.fullmatch(value):
        raise click.BadParameter(
            f"got {value!r}, allowed is projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N"
        )
    return value


def _common_name(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not COMMON_NAME.fullmatch(value):
        raise click.BadParameter(f"got {value!r}, allowed are 1 to 64 letters, digits, spaces and . _ : -")
    if value.startswith(("system:", "tigera-operator-signer")):
        raise click.BadParameter(
            "system: is Kubernetes' own, and CAs named tigera-operator-signer… the tigera operator takes for its own"
        )
    return value


def _loopback(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_loopback(value):
        raise click.BadParameter(f"got {value!r}, allowed is a loopback HOST:PORT")
    return value


@click.group()
@click.version_option("0.1.0", prog_name="signerctl")
def main() -> None:
    """Look after the issuing CA of kms-csr-signer."""


@main.group()
def ca() -> None:
    """Make and inspect CA certificates on Cloud KMS keys."""


@ca.command()
@click.option("--key-version", required=True, callback=_key_version, help="The KMS key version that signs.")
@click.option(
    "--common-name",
    required=True,
    callback=_common_name,
    help="Subject of the CA; another one at each rotation. Calico needs one.",
)
@click.option("--organization", default="", help="Organization in the subject.")
@click.option("--days", default=3650, show_default=True, type=click.IntRange(1, 7300), help="Validity.")
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the certificate goes, PEM. An existing file is kept unless --force.",
)
@click.option(
    "--protection-level",
    default="HSM",
    show_default=True,
    type=click.Choice(PROTECTION_LEVELS),
    help="The least that is accepted of the key.",
)
@click.option("--force", is_flag=True, help="Overwrite --out.")
@click.option("--kms-endpoint", help="Another TLS endpoint of Cloud KMS, for example a regional one.")
@click.option(
    "--unsafe-plaintext-kms-endpoint",
    hidden=True,
    callback=_loopback,
    help="HOST:PORT of a double on the loopback address.",
)
def create(
    key_version: str,
    common_name: str,
    organization: str,
    days: int,
    out: Path,
    *,
    protection_level: str,
    force: bool,
    kms_endpoint: str | None,
    unsafe_plaintext_kms_endpoint: str | None,
) -> None:
    """Make a root CA certificate whose key stays in Cloud KMS.

    The root issues leaf certificates only (path length 0), for server and client authentication only. The intent is
    recorded on standard error before the key is used, and the outcome after.

    Your own credentials need roles/cloudkms.signer and roles/cloudkms.publicKeyViewer on the key.
    """
    if out.exists() and not force:
        raise click.ClickException(f"{out} exists; --force overwrites it")
    partial = out.with_name(f"{out.name}.partial")
    try:
        partial.touch()  # before the key is used: a root that cannot be kept must not be signed
    except OSError as error:
        raise click.ClickException(f"{out} cannot be written: {error.strerror}") from error
    try:
        certificate = _create(
            CloudKmsKey(
                client=kms.connect(endpoint=kms_endpoint, unsafe_plaintext_endpoint=unsafe_plaintext_kms_endpoint),
                key_version=key_version,
                protection_level=protection_level,
            ),
            common_name=common_name,
            organization=organization,
            lifetime=timedelta(days=days),
        )
        partial.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        partial.replace(out)
    except SignerError as error:
        raise click.ClickException(str(error)) from error
    finally:
        partial.unlink(missing_ok=True)
    _show(certificate, key_version, out)


def _create(key: CloudKmsKey, *, common_name: str, organization: str, lifetime: timedelta) -> x509.Certificate:
    not_before = datetime.now(UTC).replace(microsecond=0) - root.BACKDATE
    request = root.RootRequest(
        common_name=common_name,
        organization=organization,
        not_before=not_before,
        not_after=not_before + lifetime,
        public_key=key.public_key(),
    )
    tbs = root.lint(root.build(request), request)
    audit = Audit(write=_to_standard_error)
    _record(audit, "intent", f"about to sign the root {common_name!r}", tbs, key)
    signature = key.sign(tbs, root.algorithm_of(request))
    certificate = root.assemble(tbs, signature.value, request)
    _record(audit, "issued", f"signed the root {common_name!r}", tbs, key)
    return certificate


def _record(audit: Audit, event: str, message: str, tbs: TBSCertificate, key: CloudKmsKey) -> None:
    facts = {
        "tbs_sha256": tbs.sha256,
        "serial_number": f"{tbs.serial_number:x}",
        "key_version": key.key_version,
        "purpose": tbs.purpose,
    }
    audit.record(AuditRecord(event=event, severity="NOTICE", message=message, csr_uid="", facts=facts))


def _to_standard_error(line: bytes) -> None:
    sys.stderr.buffer.write(line)
    sys.stderr.buffer.flush()


def _show(certificate: x509.Certificate, key_version: str, out: Path) -> None:
    for name, value in (
        ("subject", certificate.subject.rfc4514_string()),
        ("valid", f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}"),
        ("sha256", certificate.fingerprint(hashes.SHA256()).hex()),
        ("key version", key_version),
        ("written to", str(out)),
    ):
        click.echo(f"{name:<12} {value}")


if __name__ == "__main__":
    main()
