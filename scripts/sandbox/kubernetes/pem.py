"""PEM as the API server reads it, with Go's tolerance.

Text around blocks is skipped, so are blocks that are not well formed.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509

from sandbox.kubernetes import request

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = re.compile(
    rb"(?:\A|(?<=\n))-----BEGIN (?P<label>[^\n]*?)-----[ \t\r]*\n"
    rb"(?P<headers>(?:[^\n:]*:[^\n]*\n)*)"
    rb"(?P<body>[^-:]*?)(?<=\n)-----END (?P=label)-----[ \t\r]*(?:\n|\Z)"
)
_BLANKS = re.compile(rb"[ \t\r\n]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One PEM block."""

    label: str
    has_headers: bool
    der: bytes


def blocks(data: bytes) -> Iterator[Block]:
    """Every well-formed PEM block, in order."""
    for match in _BLOCK.finditer(data):
        try:
            der = base64.b64decode(_BLANKS.sub(b"", match["body"]), validate=True)
        except binascii.Error:
            continue
        label = match["label"].decode(errors="replace")
        yield Block(label=label, has_headers=bool(match["headers"]), der=der)


def request_violation(data: bytes) -> str | None:
    """Say why `data` is no acceptable ``spec.request``: its first block, a request that its own key signed."""
    block = next(blocks(data), None)
    if block is None or block.label != "CERTIFICATE REQUEST":
        return "PEM block type must be CERTIFICATE REQUEST"
    return request.violation(block.der)


def certificate_violation(data: bytes) -> str | None:
    """Say why `data` is no acceptable ``status.certificate``: certificates only, at least one, no headers."""
    found = list(blocks(data))
    if not found:
        return "must contain at least one CERTIFICATE PEM block"
    for block in found:
        if block.label != "CERTIFICATE":
            return f'only CERTIFICATE PEM blocks are allowed, found "{block.label}"'
        if block.has_headers:
            return "no PEM block headers are permitted"
        try:
            x509.load_der_x509_certificate(block.der)
        except ValueError as error:
            return f"x509: malformed certificate ({error})"
    return None
