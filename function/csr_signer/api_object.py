"""Objects of the API server as JSON: read however deeply somebody nested them, and only if they were asked for.

A client may put `metadata.managedFields` of almost 10,000 levels into an object that it creates (tried on
kube-apiserver 1.37), which the JSON reader cannot follow. Nothing that is read here is that deep, so what is gets cut.
"""

import json
import re
from typing import Any, Final

from csr_signer.errors import UnavailableError
from csr_signer.violation import quote

DEEPEST: Final = 64
"""Levels that are kept of what cannot be read whole; what we read of any object is on the first eight."""
# Possessive: a step back kept for each byte of a text of megabytes took 850 MB.
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[][{}]', re.DOTALL)


def parse(document: bytes) -> Any:  # noqa: ANN401 - any JSON
    """JSON as Python values; where it is nested too deeply for the reader, without what is deeper than DEEPEST.

    Bytes that are no UTF-8 become U+FFFD: kube-apiserver shows managedFields as a client wrote them.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return json.loads(document.decode(errors="replace"))
    except RecursionError:
        return json.loads(_cut(document).decode(errors="replace"))


def read(document: bytes, kind: str, *, name: str, namespace: str | None = None) -> dict[str, Any]:
    """The object that was asked for.

    Raises:
        UnavailableError: the answer is something else, which a server in between may have made up.
    """
    try:
        api = parse(document)
        metadata = api["metadata"]
        got = (api["kind"], metadata["name"], metadata.get("namespace"), type(metadata["uid"]), bool(metadata["uid"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnavailableError(f"the API server answered with no {kind}: {quote(str(error))}") from error
    if got != (kind, name, namespace, str, True):
        raise UnavailableError(f"the API server answered with no {kind} of the name asked for: got {quote(got[:3])}")
    whole: dict[str, Any] = api
    return whole


def _cut(document: bytes) -> bytes:
    """The document with null in place of whatever is deeper; brackets in texts are none."""
    kept = bytearray()
    depth = start = 0
    for token in _TOKEN.finditer(document):
        if token[0] in (b"[", b"{"):
            depth += 1
            if depth == DEEPEST + 1:
                kept += document[start : token.start()] + b"null"
        elif token[0] in (b"]", b"}"):
            if depth == DEEPEST + 1:
                start = token.end()
            depth -= 1
    return bytes(kept + document[start:])
