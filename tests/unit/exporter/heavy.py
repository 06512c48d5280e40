"""The heaviest CSRs that a requester can store, of which etcd takes 1.5 MiB, and what memory manifests allow."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import yaml

from sandbox.managed_fields import DEEPEST
from tests.paths import EXPORTER_MANIFEST

MANIFEST: Final = EXPORTER_MANIFEST
_TEXT: Final = 1_440_000
_BYTE: Final = b"\xff".decode(errors="surrogateescape")


def exporter_limit() -> int:
    """MiB that the manifest allows the exporter's container."""
    (stateful_set,) = (each for each in yaml.safe_load_all(MANIFEST.read_text()) if each["kind"] == "StatefulSet")
    (container,) = stateful_set["spec"]["template"]["spec"]["containers"]
    match = re.fullmatch(r"(\d+)Mi", container["resources"]["limits"]["memory"])
    assert match is not None
    return int(match[1])


def as_answered(document: bytes) -> bytes:
    """The same object as the API server writes it: these three escaped (Go's encoding/json)."""
    return document.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")


def _fields(fields: str) -> Callable[[Mapping[str, Any]], bytes]:
    """The object with as many managers as have room, each with these fields."""

    def heavy(document: Mapping[str, Any]) -> bytes:
        entry = {
            "operation": "Update",
            "apiVersion": "certificates.k8s.io/v1",
            "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1",
        }
        count = max(1, _TEXT // (len(fields) + 150))
        managed = [{"manager": f"m{number}", **entry, "fieldsV1": "FIELDS"} for number in range(count)]
        whole = _with(document, managedFields=managed)
        return whole.replace(b'"FIELDS"', fields.encode(errors="surrogateescape"))

    return heavy


def _nested(levels: int) -> str:
    return '{"f:a":' * levels + "{}" + "}" * levels


def _request(document: Mapping[str, Any]) -> bytes:
    """Text before the PEM block, which the API server reads over."""
    request = base64.b64decode(document["spec"]["request"])
    text = base64.b64encode(b"x" * (_TEXT - len(request)) + b"\n" + request).decode()
    return json.dumps({**document, "spec": {**document["spec"], "request": text}}).encode()


def _with(document: Mapping[str, Any], **metadata: object) -> bytes:
    """The object with more metadata; members stand in the order of the API server."""
    name = {key: document["metadata"].get(key, "") for key in ("name", "generateName")}
    return json.dumps({**document, "metadata": {**name, **document["metadata"], **metadata}}).encode()


HEAVY: Final[dict[str, Callable[[Mapping[str, Any]], bytes]]] = {
    "as deep as the API server takes": _fields(_nested(DEEPEST)),
    "as deep as Python's json takes": _fields(_nested(900)),
    "wide": _fields("{" + ",".join(f'"f:{number}":{{}}' for number in range(110_000)) + "}"),
    "written as six times its size": _fields(f'{{"f:{"<" * _TEXT}":{{}}}}'),
    "held as four times its size": _fields(f'{{"f:{"x" * _TEXT}\U0001f511":{{}}}}'),
    "no UTF-8": _fields(f'{{"f:{_BYTE * _TEXT}":{{}}}}'),
    "request": _request,
    "generateName": lambda document: _with(document, generateName="<" * _TEXT),
    "annotations": lambda document: _with(document, annotations={f"a/{number}": "" for number in range(20_000)}),
}
"""JSON that a client sends to create a CSR like the given one, by how it is blown up."""
