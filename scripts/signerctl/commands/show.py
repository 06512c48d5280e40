"""`signerctl ca show`: prints CA certificates, requests and a key version."""

from pathlib import Path

import click
from cryptography import x509

from signerctl import files
from signerctl.description import described, key_described, request_described, rows
from signerctl.interface import clock
from signerctl.interface.output import Form, print_document, report_options
from signerctl.interface.program import Command
from signerctl.interface.text import table
from signerctl.key import KmsOptions
from signerctl.options import INPUT, key_version, kms_options


@click.command(cls=Command)
@click.argument(
    "paths",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=INPUT,
    help="Certificates or requests; - is standard input.",
)
@click.option(
    "--key-version", callback=key_version, help="Also show this key version, and the certificates that hold it."
)
@report_options
@kms_options
def show(*, paths: tuple[Path, ...], key_version: str | None, form: Form, kms: KmsOptions) -> None:
    r"""Show CA certificates, requests, and the KMS key.

    You need it to see when a CA expires, to compare fingerprints, and to inspect a certificate that you received or a
    request that you made. A file may hold several certificates, as PEM, DER or PKCS #7, or requests (PKCS #10) as PEM
    or DER; - is standard input. The extensions of a request are what it asks for; the CA decides what it grants.

    KMS returns a public key only if the key version is enabled; otherwise the command shows KMS's error.

    \b
    Example:
      signerctl ca show calico-2026.pem \
        --key-version projects/p/locations/l/keyRings/r/cryptoKeys/calico/cryptoKeyVersions/1

    Next: `ca verify` checks whether everything fits together.
    """
    now = clock.now()
    found = [(path, each) for path in paths for each in files.read_certificates_and_requests(path)]
    certificates = [(path, each) for path, each in found if isinstance(each, x509.Certificate)]
    requests = [(path, each) for path, each in found if isinstance(each, x509.CertificateSigningRequest)]
    shown = {
        "certificates": [{"file": str(path), **described(each, now)} for path, each in certificates],
        "requests": [{"file": str(path), **request_described(each)} for path, each in requests],
    }
    key = key_described(kms, key_version, [each for _, each in found]) if key_version else None
    if not form.is_for_people:
        print_document({**shown, "key": key} if key else shown, form=form)
        return
    for kind, each in ((kind, each) for kind, group in shown.items() for each in group):
        name = [("kind", "certification request (PKCS #10)")] if kind == "requests" else []
        table(str(each.pop("file")), [*name, *rows(each)])
        click.echo()
    if key:
        table("key in Cloud KMS", rows(key))
