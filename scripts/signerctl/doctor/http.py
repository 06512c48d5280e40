"""Sends one HTTP request to a server that doctor does not trust: follows no redirect, and limits the answer's size."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import urllib3

SECONDS: Final = 10.0
"""For each answer that doctor waits for."""
_CONNECT_SECONDS: Final = 5.0
_LONGEST_ANSWER: Final = 64 << 10
"""Bytes: an answer with a token has two to four thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """An answer.

    Attributes:
        status: The HTTP status.
        fields: The fields of a JSON object; empty if the body is something else, or too long.
        date: The header Date; empty if there is none.
    """

    status: int
    fields: Mapping[str, Any]
    date: str


def exchange(method: str, url: str, *, headers: Mapping[str, str] | None = None, body: str | None = None) -> HttpAnswer:
    """Sends a request, and returns the answer, which must be whole within `SECONDS`.

    Args:
        method: The HTTP method.
        url: The URL.
        headers: Headers in addition.
        body: The body.

    Raises:
        urllib3.exceptions.HTTPError: There is no answer, or no whole one in time.
    """
    end = time.monotonic() + SECONDS
    timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, total=SECONDS)
    with urllib3.PoolManager(retries=False, timeout=timeout) as pool:
        answer = pool.request(
            method,
            url,
            headers={**(headers or {}), "Accept-Encoding": "identity"},
            body=body,
            redirect=False,
            preload_content=False,
        )
        try:
            content = json.loads(_read(answer, end))
        except (ValueError, RecursionError):
            content = {}
        finally:
            answer.close()
    fields = content if isinstance(content, dict) else {}
    return HttpAnswer(status=answer.status, fields=fields, date=answer.headers.get("Date", ""))


def is_late(error: urllib3.exceptions.HTTPError) -> bool:
    """Tells whether a server took the request, and did not answer in time."""
    is_connecting = isinstance(error, urllib3.exceptions.ConnectTimeoutError)  # also if the connection is refused
    return isinstance(error, urllib3.exceptions.TimeoutError) and not is_connecting


def _read(answer: urllib3.BaseHTTPResponse, end: float) -> bytes:
    """Reads the body; a server that sends a byte now and then does not extend the time."""
    content = b""
    while piece := answer.read1(_LONGEST_ANSWER - len(content), decode_content=False):
        content += piece
        if time.monotonic() > end:
            raise urllib3.exceptions.TimeoutError("the answer: it did not end in time")
    return content
