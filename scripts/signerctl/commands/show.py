"""`signerctl ca show`: prints CA certificates and a key version."""

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from signerctl import files
from signerctl.description import described, key_described, rows
from signerctl.key import KmsOptions
from signerctl.options import INPUT, key_version, kms_options
from signerctl.program import Command
from signerctl.text import table


@click.command(cls=Command)
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=INPUT)
@click.option(
    "--key-version", callback=key_version, help="Also show this key version, and the certificates that hold it."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@kms_options
def show(*, paths: tuple[Path, ...], key_version: str | None, as_json: bool, kms: KmsOptions) -> None:
    r"""Show CA certificates, and the KMS key.

    You need it to see when a CA ends, to compare fingerprints, and to inspect a certificate that you received. A file
    may hold several certificates, as PEM, DER or PKCS #7; - is standard input.

    KMS returns a public key only if the key version is enabled; otherwise the command shows KMS's error.

    \b
    Example:
      signerctl ca show calico-2026.pem \
        --key-version projects/p/locations/l/keyRings/r/cryptoKeys/calico/cryptoKeyVersions/1

    Next: `ca verify` checks whether everything fits together.
    """
    now = datetime.now(UTC)
    certificates = [(path, each) for path in paths for each in files.read_certificates(path)]
    shown = [{"file": str(path), **described(each, now)} for path, each in certificates]
    key = key_described(kms, key_version, [each for _, each in certificates]) if key_version else None
    if as_json:
        click.echo(json.dumps({"certificates": shown, "key": key} if key else {"certificates": shown}, indent=2))
        return
    for facts in shown:
        table(str(facts.pop("file")), rows(facts))
        click.echo()
    if key:
        table("key in Cloud KMS", rows(key))
