"""One event to the function, and what its answer means.

The answer's body is read within bounds and never logged: some frameworks echo the request's headers, token included.
"""

import json
import re
import time
from urllib.parse import urlsplit, urlunsplit

from csr_exporter.backoff import retry_after
from csr_exporter.configuration import Function
from csr_exporter.connection import Endpoint, Timeouts, UnreachableError
from csr_exporter.delivery import cloud_event
from csr_exporter.delivery.cloud_event import CloudEvent
from csr_exporter.delivery.limiter import MOST
from csr_exporter.identity.token import CachedToken, IdentityError
from csr_exporter.queue.retry_policy import Answer, Verdict, verdict_of
from csr_exporter.queue.work_queue import WorkItem

TIMEOUTS = Timeouts(read=60.0, total=60.0)
_LARGEST_ANSWER = 16 << 10
_FAULT = "fault"
_REASON = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Sender:
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

    def send(self, item: WorkItem) -> Answer:
        """Sends the event of a item; whatever happens is an answer."""
        encoded = cloud_event.encode(
            source=self._source, reference=item.reference, stage=item.stage, resend=item.resend
        )
        try:
            return self._send(encoded)
        except IdentityError as error:
            return Answer(verdict=Verdict.CREDENTIAL, reason=str(error))
        except UnreachableError as error:
            return Answer(verdict=Verdict.SLOW, reason=str(error))

    def close(self) -> None:
        """Closes idle connections."""
        self._endpoint.forget()

    def _send(self, encoded: CloudEvent) -> Answer:
        if self._token is None:
            return self._post(encoded, None)
        token = self._token.token()
        answer = self._post(encoded, token)
        if answer.verdict is Verdict.CREDENTIAL:
            # Once more with another token: this one may have been revoked, or our clock be wrong.
            answer = self._post(encoded, self._token.replacement(token))
        return answer

    def _post(self, encoded: CloudEvent, token: str | None) -> Answer:
        headers = {
            "Content-Type": cloud_event.CONTENT_TYPE,
            "User-Agent": "csr-exporter",
            "traceparent": encoded.traceparent,
        }
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        with self._endpoint.request("POST", self._path, headers=headers, body=encoded.body) as answer:
            content = answer.body(_LARGEST_ANSWER)
        outcome, reason = _codes(content or b"")
        verdict = _verdict(answer.status, outcome)
        return Answer(
            verdict=verdict,
            status=answer.status,
            retry_after=retry_after(answer.headers.get("Retry-After"), wall_clock=time.time()),
            reason=self._hint(verdict, answer.status) or f"{outcome} {reason}".strip(),
        )

    def _hint(self, verdict: Verdict, status: int) -> str:
        """Where to look when the answer is not the function's own."""
        function = self._function
        if verdict is Verdict.CREDENTIAL:
            who = (self._token and self._token.principal) or "this identity"
            if status == 401:  # noqa: PLR2004 - HTTP's Unauthorized
                return f"{status}: is the token's audience {function.audience!r} the service's URI? It names {who}"
            return f"{status}: may {who} invoke the service, and is the audience {function.audience!r} its URI?"
        if verdict is Verdict.RETIRED:
            return f"{status}: the receiver at {function.url!r} wants no more events"
        if verdict is Verdict.ENDPOINT:
            ingress = ", and does its ingress admit this network" if status == 404 else ""  # noqa: PLR2004 - Not Found
            return f"{status}: is {function.url!r} the function's URL{ingress}?"
        return ""


def _verdict(status: int, outcome: str) -> Verdict:
    """The status decides, but success is believed only where the function says what it did.

    Others answer 200 too: a portal, a placeholder service, another function. Nobody would look at the CSR.
    """
    verdict = verdict_of(status)
    if verdict is not Verdict.ACKNOWLEDGED:
        return verdict
    return {"": Verdict.ENDPOINT, _FAULT: Verdict.LATER}.get(outcome, verdict)


def _codes(body: bytes) -> tuple[str, str]:
    """The function's `outcome` and `reason` where they are short codes; nothing else of the body is repeated."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(fields, dict):
        return "", ""
    outcome, reason = (
        code if isinstance(code, str) and _REASON.fullmatch(code) else ""
        for code in (fields.get("outcome"), fields.get("reason"))
    )
    return outcome, reason
