"""One event to the function, and what its answer means.

The answer's body is read within bounds and never logged: some frameworks echo the request's headers, token included.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from csr_exporter import event
from csr_exporter.answer import Answer, Verdict, verdict_of
from csr_exporter.backoff import retry_after
from csr_exporter.connection import Endpoint, Timeouts, UnreachableError
from csr_exporter.identity import IdentityError
from csr_exporter.pace import MOST

if TYPE_CHECKING:
    from csr_exporter.configuration import Function
    from csr_exporter.identity import CachedToken
    from csr_exporter.work import Parcel

TIMEOUTS = Timeouts(read=60.0, total=60.0)
_LARGEST_ANSWER = 16 << 10
_REASON = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Delivery:
    """Sends events to one function; safe to use from several threads."""

    def __init__(
        self, *, source: str, function: Function, token: CachedToken | None, timeouts: Timeouts = TIMEOUTS
    ) -> None:
        """Without `token` nothing proves who we are: a sandbox's function."""
        self._source = source
        self._function = function
        self._token = token
        parts = urlsplit(function.url)
        self._path = parts.path or "/"
        root = urlunsplit((parts.scheme, parts.netloc, "", "", ""))
        self._endpoint = Endpoint(root, timeouts=timeouts, connections=MOST)

    def send(self, parcel: Parcel) -> Answer:
        """Sends the event of a parcel; whatever happens is an answer."""
        encoded = event.encode(
            source=self._source, reference=parcel.reference, stage=parcel.stage, resend=parcel.resend
        )
        try:
            return self._send(encoded.body)
        except IdentityError as error:
            return Answer(verdict=Verdict.CREDENTIAL, reason=str(error))
        except UnreachableError as error:
            return Answer(verdict=Verdict.SLOW, reason=str(error))

    def close(self) -> None:
        """Closes idle connections."""
        self._endpoint.forget()

    def _send(self, body: bytes) -> Answer:
        if self._token is None:
            return self._post(body, None)
        token = self._token.token()
        answer = self._post(body, token)
        if answer.verdict is Verdict.CREDENTIAL:
            # Once more with another token: this one may have been revoked, or our clock be wrong.
            answer = self._post(body, self._token.replacement(token))
        return answer

    def _post(self, body: bytes, token: str | None) -> Answer:
        headers = {"Content-Type": event.CONTENT_TYPE, "User-Agent": "csr-exporter"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        with self._endpoint.request("POST", self._path, headers=headers, body=body) as answer:
            content = answer.body(_LARGEST_ANSWER)
        verdict = verdict_of(answer.status)
        return Answer(
            verdict=verdict,
            status=answer.status,
            retry_after=retry_after(answer.headers.get("Retry-After"), wall_clock=time.time()),
            reason=self._hint(verdict, answer.status) or _reason(content or b""),
        )

    def _hint(self, verdict: Verdict, status: int) -> str:
        """Where to look when the answer is not the function's own."""
        if verdict is Verdict.CREDENTIAL:
            return f"{status}: is {self._function.audience!r} the service's URI, and may this identity invoke it?"
        if verdict in {Verdict.ENDPOINT, Verdict.RETIRED}:
            return f"{status}: is {self._function.url!r} the function, and does its ingress admit this network?"
        return ""


def _reason(body: bytes) -> str:
    """The function's `outcome` and `reason` where they are short codes; nothing else of the body is repeated."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(fields, dict):
        return ""
    codes = [fields.get("outcome"), fields.get("reason")]
    return " ".join(code for code in codes if isinstance(code, str) and _REASON.fullmatch(code))
