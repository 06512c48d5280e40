"""Requests as an ASGI server hands them on, and what it is given for an answer."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message


def request(
    content: bytes = b"", *, content_type: str = "", headers: Mapping[str, str] | None = None, method: str = "POST"
) -> Request:
    """A request of that content, which declares its length unless `headers` say otherwise.

    Of a content that is longer than declared the server reads no more; after one that is shorter, the client is gone.
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
    """The JSON that an answer holds."""
    return json.loads(bytes(response.body))
