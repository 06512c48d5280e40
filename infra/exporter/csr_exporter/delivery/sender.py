"""Sends one event to the function, and reads the answer.

The exporter reads the answer's body within bounds and never logs it: some frameworks echo the request's headers, with
the token.
"""

import re
from dataclasses import dataclass

from csr_exporter.configuration import Function
from csr_exporter.connection import Endpoint, Timeouts, UnreachableError, json_object, retry_after
from csr_exporter.delivery import cloud_event
from csr_exporter.delivery.cloud_event import CloudEvent
from csr_exporter.delivery.limiter import MOST_IN_FLIGHT
from csr_exporter.identity import CachedToken, IdentityError
from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.retry_policy import Answer, Verdict, verdict_of

# Cloud Run ends a request of the function after 30 seconds.
TIMEOUTS = Timeouts(read=45.0, total=45.0)
_LARGEST_ANSWER = 16 << 10
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(kw_only=True, eq=False)
class Sender:
    """Sends events to one function; safe to use from several threads.

    Without `token` the exporter does not authenticate: for a sandbox's function.
    """

    source: str
    function: Function
    token: CachedToken | None
    timeouts: Timeouts = TIMEOUTS

    def __post_init__(self) -> None:
        self._endpoint = Endpoint(self.function.url, timeouts=self.timeouts, connections=MOST_IN_FLIGHT)

    def send(self, item: WorkItem) -> Answer:
        """Sends an item's event. Every failure is an answer too."""
        event = cloud_event.encode(source=self.source, reference=item.reference, stage=item.stage, resend=item.resend)
        try:
            return self._send(event)
        except IdentityError as error:
            return Answer(verdict=Verdict.CREDENTIAL, reason=str(error))
        except UnreachableError as error:
            return Answer(verdict=Verdict.SLOW, reason=str(error))

    def close(self) -> None:
        """Closes idle connections."""
        self._endpoint.forget()

    def _send(self, event: CloudEvent) -> Answer:
        if self.token is None:
            return self._post(event, None)
        token = self.token.token()
        answer = self._post(event, token)
        if answer.verdict is Verdict.CREDENTIAL:
            # Google may have revoked the token, or the clock may be wrong: try once with another one.
            answer = self._post(event, self.token.replacement(token))
        return answer

    def _post(self, event: CloudEvent, token: str | None) -> Answer:
        headers = {
            "Content-Type": cloud_event.CONTENT_TYPE,
            "User-Agent": "csr-exporter",
            "traceparent": event.traceparent,
        }
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        with self._endpoint.request("POST", headers=headers, body=event.body) as answer:
            fields = json_object(answer.body(_LARGEST_ANSWER))
        outcome, reason = _code(fields, "outcome"), _code(fields, "reason")
        verdict = verdict_of(answer.status, reason if outcome == "fault" else "")
        if verdict is Verdict.ACKNOWLEDGED:
            # Others answer 200 too: a portal, a placeholder service, another function. Only the function has an
            # outcome.
            verdict = {"": Verdict.ENDPOINT, "fault": Verdict.LATER}.get(outcome, verdict)
        return Answer(
            verdict=verdict,
            status=answer.status,
            retry_after=retry_after(answer.headers.get("Retry-After")),
            reason=self._hint(verdict, answer.status) or f"{outcome} {reason}".strip(),
        )

    def _hint(self, verdict: Verdict, status: int) -> str:
        """Says where the operator looks if the answer is not the function's own."""
        url, audience = self.function.url, self.function.audience
        if verdict is Verdict.CREDENTIAL:
            who = (self.token and self.token.principal) or "this identity"
            if status == 401:  # noqa: PLR2004 - HTTP's Unauthorized
                return f"{status}: check that the audience {audience!r} is the service's URI; the token names {who}"
            return f"{status}: check that {who} may invoke the service, and that the audience {audience!r} is its URI"
        if verdict is Verdict.RETIRED:
            return f"{status}: the receiver at {url!r} accepts no more events"
        if verdict is Verdict.ENDPOINT:
            ingress = ", and that its ingress admits this network" if status == 404 else ""  # noqa: PLR2004 - Not Found
            return f"{status}: check that {url!r} is the function's URL{ingress}"
        return ""


def _code(fields: dict[str, object], name: str) -> str:
    """Returns a field of the function's answer if it is a short code. Nothing else of the body is logged."""
    value = fields.get(name)
    return value if isinstance(value, str) and _CODE.fullmatch(value) else ""
