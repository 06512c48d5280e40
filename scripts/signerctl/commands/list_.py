"""`signerctl list`: the certificates that the function issued."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final

import click

from signerctl.durations import age
from signerctl.output import Column, Form, Json, output_options, print_list
from signerctl.program import Command, CommandError
from signerctl.recorded import Certificate, certificates
from signerctl.recorded.source import Records, record_options

COLUMNS: Final = (
    Column(title="cluster", wide=True),
    Column(title="pod"),
    Column(title="component"),
    Column(title="name"),
    Column(title="key"),
    Column(title="age"),
    Column(title="expires in"),
    Column(title="node", wide=True),
    Column(title="signer", wide=True),
    Column(title="csr", wide=True),
    Column(title="names", wide=True),
    Column(title="serial number", wide=True),
)
"""The columns of lists of certificates."""
EVENTS: Final = ("intent", "issued", "ignored")
"""The events that tell about certificates."""


@click.command("list", cls=Command)
@record_options
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
    print_certificates(issued(records), form=form)


def issued(records: Records) -> list[Certificate]:
    """Returns the certificates in the records, the newest first.

    Raises:
        CommandError: A record cannot be read.
    """
    try:
        return certificates(records.of(*EVENTS))
    except ValueError as error:
        raise CommandError(f"--records: Invalid value: {error}") from error


def print_certificates(found: Sequence[Certificate], *, form: Form) -> None:
    """Prints certificates."""
    now = datetime.now(UTC)
    print_list(COLUMNS, [_row(each, now) for each in found], [_item(each) for each in found], form=form)


def _row(certificate: Certificate, now: datetime) -> tuple[str, ...]:
    left = certificate.not_after - now
    return (
        certificate.cluster,
        certificate.pod,
        certificate.component,
        certificate.common_name,
        certificate.public_key,
        age(now - certificate.issued),
        age(left) if left.total_seconds() > 0 else "expired",
        certificate.node,
        certificate.signer_name,
        certificate.csr_name,
        ", ".join((*certificate.dns_names, *certificate.ip_addresses)),
        certificate.serial_number,
    )


def _item(certificate: Certificate) -> Json:
    return {each.name: _value(getattr(certificate, each.name)) for each in fields(certificate)}


def _value(value: Any) -> object:  # noqa: ANN401 - a field of a Certificate
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value
