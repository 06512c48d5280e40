"""Sends one HTTP request to a server that doctor does not trust: follows no redirect, and limits the answer's size."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Any, Final

import urllib3

SECONDS: Final = 10.0
"""For each answer that doctor waits for."""
_CONNECT_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 8.0
"""Until an answer must begin."""
_MAX_ANSWER_BYTES: Final = 64 << 10
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
    # A server that sends a byte now and then extends urllib3's time-outs for ever.
    outcome: Queue[HttpAnswer | Exception] = Queue()
    begun = threading.Event()

    def attempt() -> None:
        try:
            outcome.put(_exchange(method, url, headers or {}, body, begun))
        except Exception as error:  # noqa: BLE001 - the caller's thread raises it
            outcome.put(error)

    threading.Thread(target=attempt, daemon=True).start()
    try:
        found = outcome.get(timeout=SECONDS)
    except Empty:
        if not begun.is_set():  # such as a resolver that hangs
            raise urllib3.exceptions.ConnectTimeoutError("no connection in time") from None
        raise urllib3.exceptions.TimeoutError("the answer did not end in time") from None
    if isinstance(found, Exception):
        raise found
    return found


def _exchange(
    method: str, url: str, headers: Mapping[str, str], body: str | None, begun: threading.Event
) -> HttpAnswer:
    timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, total=SILENT_SECONDS)
    with urllib3.PoolManager(retries=False, timeout=timeout) as pool:
        answer = pool.request(
            method,
            url,
            headers={**headers, "Accept-Encoding": "identity"},
            body=body,
            redirect=False,
            preload_content=False,
        )
        begun.set()
        try:
            content = json.loads(answer.read(_MAX_ANSWER_BYTES, decode_content=False))
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
