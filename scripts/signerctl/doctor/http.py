"""Sends one HTTP request to a server that doctor does not trust: follows no redirect, and limits the answer's size."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import urllib3

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


def exchange(
    method: str, url: str, *, headers: Mapping[str, str] | None = None, body: str | None = None, seconds: float
) -> HttpAnswer:
    """Sends a request, and returns the answer.

    Args:
        method: The HTTP method.
        url: The URL.
        headers: Headers in addition.
        body: The body.
        seconds: The longest time between two reads.

    Raises:
        urllib3.exceptions.HTTPError: There is no answer.
    """
    timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=seconds)
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
            content = json.loads(answer.read(_LONGEST_ANSWER, decode_content=False))
        except (ValueError, RecursionError):
            content = {}
        finally:
            answer.close()
    fields = content if isinstance(content, dict) else {}
    return HttpAnswer(status=answer.status, fields=fields, date=answer.headers.get("Date", ""))
