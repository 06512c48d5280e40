"""The heaviest CSRs that a requester can store: etcd takes 1.5 MiB of each, as the API server encodes it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

from sandbox.managed_fields import DEEPEST

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST: Final = 1_500_000
_TEXT: Final = LARGEST - 60_000


def heaviest(document: Mapping[str, Any]) -> dict[str, bytes]:
    """JSON that a client sends to create a CSR like this one, blown up in each way that there is."""
    spec = document["spec"]
    request = base64.b64decode(spec["request"])
    text = base64.b64encode(b"x" * (_TEXT - len(request)) + b"\n" + request).decode()
    return {
        "as deep as the API server takes": _with_fields(document, _nested(DEEPEST)),
        "as deep as Python's json takes": _with_fields(document, _nested(900)),
        "wide": _with_fields(document, "{" + ",".join(f'"f:{n}":{{}}' for n in range(110_000)) + "}"),
        "written as six times its size": _with_fields(document, f'{{"f:{"<" * _TEXT}":{{}}}}'),
        "held as four times its size": _with_fields(document, f'{{"f:{"x" * _TEXT}\U0001f511":{{}}}}'),
        "no UTF-8": _with_fields(document, f'{{"f:{"x" * _TEXT}":{{}}}}').replace(b"x" * _TEXT, b"\xff" * _TEXT),
        "request": json.dumps({**document, "spec": {**spec, "request": text}}).encode(),
        "generateName": _with(document, generateName="<" * _TEXT),
        "annotations": _with(document, annotations={f"a/{n}": "" for n in range(20_000)}),
    }


def as_answered(document: bytes) -> bytes:
    """The same object as the API server writes it: these three escaped (Go's encoding/json)."""
    return document.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")


def _nested(levels: int) -> str:
    """Fields of one manager."""
    return '{"f:a":' * levels + "{}" + "}" * levels


def _with_fields(document: Mapping[str, Any], fields: str) -> bytes:
    """The object with as many managers as have room, each with these fields."""
    entry = {
        "operation": "Update",
        "apiVersion": "certificates.k8s.io/v1",
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
    }
    count = max(1, _TEXT // (len(fields) + 150))
    managed = [{"manager": f"m{number}", **entry, "fieldsV1": "FIELDS"} for number in range(count)]
    return _with(document, managedFields=managed).replace(b'"FIELDS"', fields.encode())


def _with(document: Mapping[str, Any], **metadata: object) -> bytes:
    """The object with more metadata; members stand in the order of the API server."""
    name = {key: document["metadata"].get(key, "") for key in ("name", "generateName")}
    return json.dumps({**document, "metadata": {**name, **document["metadata"], **metadata}}).encode()
