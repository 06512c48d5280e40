"""Encodes CertificateSigningRequests in Kubernetes' protobuf, with which a client can store bytes that JSON cannot.

Source: generated.proto of k8s.io/api certificates/v1, k8s.io/apimachinery pkg/apis/meta/v1 and pkg/runtime.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"
_MAGIC: Final = b"k8s\x00"


def certificate_signing_request(
    csr: Mapping[str, Any],
    *,
    name: bytes | None = None,
    annotations: Mapping[str, bytes] | None = None,
    generate_name: bytes = b"",
    manager: bytes = b"",
    fields: bytes = b"",
) -> bytes:
    """Encodes the body of a create request.

    Args:
        csr: The CSR as JSON; only name and labels of its metadata are used.
        name: Replaces the CSR's name.
        annotations: `metadata.annotations`.
        generate_name: `metadata.generateName`.
        manager: The manager of an entry of `metadata.managedFields`.
        fields: The `fieldsV1` of that entry.
    """
    metadata, spec = csr["metadata"], csr["spec"]
    labels = {key: value.encode() for key, value in metadata.get("labels", {}).items()}
    meta = _text(1, name or metadata["name"].encode()) + _text(2, generate_name)
    meta += _map(11, labels) + _map(12, annotations or {})
    if manager or fields:
        entry = _text(1, manager or b"test") + _text(2, b"Update") + _text(3, b"certificates.k8s.io/v1")
        meta += _text(
            17, entry + _text(6, b"FieldsV1") + _text(7, _text(1, fields or b'{"f:metadata":{"f:annotations":{}}}'))
        )
    content = _text(1, base64.b64decode(spec["request"]))
    content += b"".join(_text(5, usage.encode()) for usage in spec["usages"]) + _text(7, spec["signerName"].encode())
    if "expirationSeconds" in spec:
        content += _varint(8 << 3) + _varint(spec["expirationSeconds"])
    kind = _text(1, b"certificates.k8s.io/v1") + _text(2, b"CertificateSigningRequest")
    return _MAGIC + _text(1, kind) + _text(2, _text(1, meta) + _text(2, content))


def _map(number: int, entries: Mapping[str, bytes]) -> bytes:
    return b"".join(_text(number, _text(1, key.encode()) + _text(2, value)) for key, value in entries.items())


def _text(number: int, value: bytes) -> bytes:
    """Encodes a length-delimited field; returns nothing for an empty value."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value if value else b""


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits in each byte
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])
