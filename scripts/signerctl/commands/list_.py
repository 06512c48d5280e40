"""`signerctl list`: the certificates that the function issued."""

import click

from signerctl.interface.output import Form, output_options
from signerctl.interface.program import Command
from signerctl.recorded.certificate_table import print_certificates
from signerctl.recorded.source import Records, record_options


@click.command("list", cls=Command)
@record_options()
@output_options
def list_(*, records: Records, form: Form) -> None:
    r"""List the certificates that the function issued, the newest first.

    The records say which pod got which names and when its certificate expires. They do not say whether the pod still
    exists.

    \b
    Examples:
      signerctl list --records function.log
      signerctl list --records day.json --cluster prod -o wide
      signerctl list --log-bucket projects/example-audit/locations/europe-west1/buckets/csr-signer-audit --since 7d
    """
    print_certificates(records.certificates(), form=form, none="no certificate in the records")
