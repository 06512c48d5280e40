"""Makes requests as an ASGI server passes them to the function, and reads the responses."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message


def request(
    content: bytes = b"", *, content_type: str = "", headers: Mapping[str, str] | None = None, method: str = "POST"
) -> Request:
    """Returns a request with this content; it declares the content's length, unless `headers` override it.

    If the content is longer than declared, the server reads only the declared length. If it is shorter, the client
    disconnects after it.
    """
    named = {"content-type": content_type, "content-length": str(len(content))}
    named |= {name.lower(): value for name, value in (headers or {}).items()}
    declared = named["content-length"]
    length = int(declared) if declared.isdecimal() else len(content)
    messages = iter([{"type": "http.request", "body": content[:length], "more_body": length > len(content)}])

    async def receive() -> Message:
        return next(messages, {"type": "http.disconnect"})

    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items() if value]
    return Request({"type": "http", "method": method, "path": "/", "query_string": b"", "headers": raw}, receive)


def json_of(response: Response) -> Any:
    """Returns the JSON value in a response."""
    return json.loads(bytes(response.body))
