"""Prints lists of certificates, for `signerctl list` and `signerctl expiring`."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from signerctl.interface import clock
from signerctl.interface.durations import age, expires_in
from signerctl.interface.output import Column, Form, Json, print_list
from signerctl.recorded import Certificate

_COLUMNS: Final = (
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


def print_certificates(found: Sequence[Certificate], *, form: Form, none: str) -> None:
    """Prints certificates, or for people the line that says that there are none."""
    now = clock.now()
    print_list(_COLUMNS, [_row(each, now) for each in found], [_item(each) for each in found], form=form, none=none)


def _row(certificate: Certificate, now: datetime) -> tuple[str, ...]:
    return (
        certificate.cluster,
        certificate.pod,
        certificate.component,
        certificate.common_name,
        certificate.public_key,
        age(now - certificate.issued),
        expires_in(certificate.not_after, now),
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
