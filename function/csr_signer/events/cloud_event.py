"""Step 1, receive: parses an HTTP request into a reference to a CSR, and turns an outcome into the HTTP answer.

The event only identifies the CSR; the API server has all facts. The answer to a malformed event is 400 without any of
its text. The framework's own CloudEvent wrapper is not used, because it repeats headers and body in its answer.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from cloudevents.exceptions import GenericException
from cloudevents.http import from_http
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from csr_signer.configuration.schema import ClusterConfiguration
from csr_signer.errors import EventError, SignerError
from csr_signer.events.outcome import Deferred, Outcome
from csr_signer.events.reference import RequestReference
from csr_signer.violation import bounded

EVENT_TYPE: Final = "dev.csrsigner.certificatesigningrequest.actionable.v1"
LARGEST_EVENT: Final = 64 * 1024
LONGEST_NAME: Final = 512

# A name becomes one path segment. The API server refuses these names too (apimachinery IsValidPathSegmentName); `..` in
# a raw client would read other resources.
_UNSAFE_IN_NAME: Final = re.compile(r"[/%\x00-\x1f\x7f]")
_UID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TRACE_PARENT: Final = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

# Exceptions of the SDK and Starlette; RecursionError: deeply nested JSON.
_UNREADABLE: Final = (
    GenericException,
    ClientDisconnect,
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    RecursionError,
)


async def receive(request: Request, clusters: Mapping[str, ClusterConfiguration]) -> RequestReference:
    """Parses a request's event into a reference.

    Args:
        request: a structured or binary CloudEvent 1.0 over HTTP, at most 64 KiB, with Content-Length.
        clusters: the clusters with their sources.

    Raises:
        EventError: it is no event of ours; the message names the attribute, but never its value.
    """
    length = request.headers.get("content-length", "")
    if not re.fullmatch("[0-9]{1,9}", length) or int(length) > LARGEST_EVENT:
        raise EventError(f"content-length: Invalid value: must be present, and at most {LARGEST_EVENT}")
    try:
        event = from_http(dict(request.headers), await request.body())
        attributes = event.get_attributes()
        data = event.get_data()
    except _UNREADABLE as error:
        raise EventError("the request must be a CloudEvent") from error
    event_id = attributes.get("id")
    if not isinstance(event_id, str) or not event_id:
        raise EventError("id: Invalid value: must be a non-empty string")
    if attributes.get("type") != EVENT_TYPE:
        raise EventError(f"type: Unsupported value: supported values: {EVENT_TYPE}")
    key = next((key for key, cluster in clusters.items() if cluster.source == attributes.get("source")), None)
    if key is None:
        raise EventError("source: Unsupported value: must be the source of a configured cluster")
    _check_invoker(request, clusters[key])
    name, uid = _subject(data, attributes.get("subject"))
    return RequestReference(
        cluster=key,
        name=name,
        uid=uid,
        event_id=bounded(event_id),
        trace_id=_trace_id(request.headers.get("traceparent"), attributes.get("traceparent")),
    )


def answer(outcome: Outcome) -> Response:
    """Returns the HTTP answer of an outcome."""
    retry_after = outcome.retry_after if isinstance(outcome, Deferred) else None
    reason = getattr(outcome, "reason", "")
    return _response(outcome.status, {"outcome": outcome.name, "reason": reason}, retry_after)


def answer_fault(error: SignerError) -> Response:
    """Returns the HTTP answer of a fault: only its kind, without request data or internal details."""
    return _response(error.status, {"outcome": "fault", "reason": type(error).__name__}, error.retry_after)


def _response(status: int, body: Mapping[str, str], retry_after: int | None) -> Response:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Response(json.dumps(body), status_code=status, headers=headers, media_type="application/json")


def _subject(data: Any, subject: object) -> tuple[str, str]:  # noqa: ANN401 - any value of the event
    if not isinstance(data, dict) or not isinstance(data.get("name"), str) or not isinstance(data.get("uid"), str):
        raise EventError("data: Invalid value: must be an object with name and uid")
    name, uid = data["name"], data["uid"]
    if subject != name:
        raise EventError("subject: Invalid value: must be data.name")
    if not 1 <= len(name.encode("utf-8", "surrogatepass")) <= LONGEST_NAME or name in (".", ".."):
        raise EventError(f"data.name: Invalid value: must have 1 to {LONGEST_NAME} bytes, and be neither . nor ..")
    if _UNSAFE_IN_NAME.search(name) or not name.isprintable():
        raise EventError("data.name: Invalid value: must not have a slash, percent sign or control character")
    if not _UID.fullmatch(uid):
        raise EventError("data.uid: Invalid value: must be a UUID in lower case")
    return name, uid


def _trace_id(*parents: object) -> str:
    """Returns the trace of the HTTP header, or of the event if the header is missing."""
    traces = (_TRACE_PARENT.fullmatch(parent) for parent in parents if isinstance(parent, str))
    return next((trace[1] for trace in traces if trace), "")


def _check_invoker(request: Request, cluster: ClusterConfiguration) -> None:
    """Checks the caller of a source, if the configuration names callers.

    Cloud Run has already verified the token and removed its signature, so this function only reads the claims.
    """
    if not cluster.invokers:
        return
    # With both headers, Cloud Run verifies this one, and passes the other on unchecked.
    token = request.headers.get("X-Serverless-Authorization") or request.headers.get("Authorization", "")
    try:
        payload = token.removeprefix("Bearer ").split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        email, verified = claims["email"], claims.get("email_verified")
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, RecursionError, binascii.Error) as error:
        raise EventError("the caller's token: Required value: must name an email") from error
    if verified is not True or email not in cluster.invokers:
        raise EventError("the caller's token: Forbidden: its email is not among the cluster's invokers")
