"""One API server: HTTP exchanges in bounded time and size, and the probes that tell a global fault from an item's.

A probe is a request that names no CSR, pod, node or Event, so no requester can influence its answer.

An API server may be hostile, or hold what a hostile requester stored, and other clusters must not suffer. So the event
loop parses only small answers, and the function holds at most one large answer of each cluster at any time.
"""

import asyncio
import json
import re
import ssl
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote as percent_encode

import aiohttp
import yarl

from csr_signer.cluster.parsing import LARGEST_ON_LOOP
from csr_signer.cluster.session import Session
from csr_signer.errors import ApiServerUnavailableError, ConfigurationError
from csr_signer.single_flight import SingleFlight
from csr_signer.violation import quote

SELF_REVIEWS: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
ACCESS_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
LARGEST_ANSWER: Final = 16 * 1024 * 1024
"""Bytes: etcd stores about 1.5 MiB of an object, and kube-apiserver writes `<`, `>` and `&` as six bytes each."""
_LONGEST_RETRY_AFTER: Final = 60
_TRANSIENT: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Time limits of an exchange in seconds.

    Attributes:
        connect, read: for the connection, and for the next bytes.
        whole: for the complete answer.
    """

    connect: float
    read: float
    whole: float


OF_ITEM: Final = Patience(connect=3.0, read=8.0, whole=12.0)
"""Far below the 90 s after which Calico's client gives up."""
OF_PROBE: Final = Patience(connect=2.0, read=3.0, whole=4.0)
"""Short, because the failed call before a probe may have taken long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole HTTP response.

    Attributes:
        status: of HTTP.
        body: the bytes of the body.
        retry_after: the API server's Retry-After in seconds, at most a minute; None without one.
    """

    status: int
    body: bytes
    retry_after: int | None = None

    @property
    def ok(self) -> bool:
        """Tells whether the status is a success (2xx)."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's class of success


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """An exchange without a complete answer, or with one that is not the requested object.

    Attributes:
        cause: text without any part of the request; parts of the response are quoted.
        untrusted: the configured CA did not certify the server.
    """

    cause: str
    untrusted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A `meta/v1` Status of kind failure.

    Attributes:
        reason: machine-readable.
        kind, name: the Status's object, from `details`.
        message: for people. It may repeat a requester's text, so the function does not decide by it.
    """

    reason: str
    kind: str
    name: str
    message: str

    @classmethod
    def of(cls, body: bytes) -> "Status | None":
        """Parses a response's body; None if it is no Status, for example from a load balancer."""
        try:
            api = json.loads(body)
            details = api.get("details") or {}
            if api["kind"] != "Status":
                return None
            found = (api.get("reason", ""), details.get("kind", ""), details.get("name", ""), api.get("message", ""))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        if not all(isinstance(text, str) for text in found):
            return None
        reason, kind, name, message = found
        return cls(reason=reason, kind=kind, name=name, message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """A right that the function needs for every item.

    Attributes:
        verb, group, resource, subresource: RBAC's names.
        names: configured object names; the right on one of them is enough. Empty: the right is on all objects.
    """

    verb: str
    group: str
    resource: str
    subresource: str = ""
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" + (f"/{self.subresource}" if self.subresource else "")
        return " ".join([self.verb, resource, *map(quote, self.names[:1])])


class ApiServer:
    """A connection to one API server.

    Args:
        session: an authenticated session, which follows no redirects. It repeats a GET once if the connection ends
            before the answer, and never repeats a write.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._large = asyncio.Lock()
        self._user: SingleFlight[str] = SingleFlight()
        self._rights: dict[Right, SingleFlight[bool]] = {}

    async def exchange(
        self,
        method: str,
        path: str,
        names: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        *,
        media_type: str = "application/json",
        patience: Patience = OF_ITEM,
        large: AsyncExitStack | None = None,
    ) -> Answer | NoAnswer:
        """Sends one HTTP request and reads its response.

        Args:
            method: the HTTP method.
            path: the path, with a placeholder for each name.
            names: the names for the placeholders; this method quotes them.
            body: the request's body.
            media_type: the body's media type.
            patience: the time limits.
            large: holds the cluster's place for one large answer until the caller has parsed the answer and leaves this
                stack. None: the answer must not exceed LARGEST_ON_LOOP.

        Raises:
            ApiServerUnavailableError: there is no credential.
        """
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": media_type,
            **await self._session.authorization(),
        }
        segments = {name: percent_encode(text, safe="") for name, text in names.items()}
        url = yarl.URL(self._session.server + path.format(**segments), encoded=True)
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=patience.connect, sock_read=patience.read, ceil_threshold=patience.whole
        )
        request = self._session.http.request(
            method,
            url,
            data=None if body is None else json.dumps(body).encode(),
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
        )
        try:
            # asyncio's time limit, unlike aiohttp's, includes the wait for the place.
            async with asyncio.timeout(patience.whole), request as response:
                return await self._receive(response, large)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            return NoAnswer(cause=type(error).__name__, untrusted=_is_untrusted(error))

    async def _receive(self, response: aiohttp.ClientResponse, large: AsyncExitStack | None) -> Answer | NoAnswer:
        """Reads a response to its end, because an unread one closes its connection: the next call needs a handshake.

        Only an object may be large. Of a larger error, the status remains: its caller holds it while a probe runs.
        """
        error = Answer(status=response.status, body=b"", retry_after=_retry_after(response.headers))
        body = bytearray()
        most = LARGEST_ON_LOOP
        async for part in response.content.iter_any():
            body += part
            if len(body) > most and not error.ok:
                response.close()
                return error
            if len(body) > most and most < LARGEST_ANSWER and large is not None:
                await large.enter_async_context(self._large)
                most = LARGEST_ANSWER
            if len(body) > most:
                response.close()
                return NoAnswer(cause=f"the response takes more than {most} bytes")
        return Answer(status=error.status, body=bytes(body), retry_after=error.retry_after)

    async def confirm(self, rights: Sequence[Right] = ()) -> str:
        """Checks that the API server serves the function; if it does, the failed call concerns only its item.

        Args:
            rights: the rights that the failed call needs for every item, if the API server answered 403.

        Returns:
            The function's username at the API server, for a message.

        Raises:
            ConfigurationError: a right is missing, or the credential or the CA is wrong.
            ApiServerUnavailableError: the API server does not answer.
        """
        user = await self._user.get(self._ask_user)
        for right in rights:
            if await self._rights.setdefault(right, SingleFlight()).get(partial(self._lacks, right)):
                raise ConfigurationError(f"API server: Forbidden: {user} must have the right to {right}")
        return user

    async def _ask_user(self) -> str:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = await self.exchange("POST", SELF_REVIEWS, {}, body, patience=OF_PROBE)
        if isinstance(answer, NoAnswer):
            if answer.untrusted:
                raise ConfigurationError("API server: its certificate must be issued by the configured CA")
            raise ApiServerUnavailableError(f"API server: POST {SELF_REVIEWS}: {answer.cause}")
        try:
            if answer.ok:
                return f"user {quote(json.loads(answer.body)['status']['userInfo']['username'])}"
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise ConfigurationError("API server: Unauthorized: it must accept the function's credential")
        if is_refusal(answer, Status.of(answer.body)):
            # The function lacks the right to this API, or the API server is too old for it. It answers, so it is
            # available.
            return "an unknown user"
        raise ApiServerUnavailableError(
            f"API server: POST {SELF_REVIEWS}: {answer.status}: no SelfSubjectReview", retry_after=answer.retry_after
        )

    async def _lacks(self, right: Right) -> bool:
        """Tells whether the API server denies the right for every name; without an answer, it does not."""
        for name in right.names or ("",):
            if not await self._denies(right, name):
                return False
        return True

    async def _denies(self, right: Right, name: str) -> bool:
        attributes = {
            "verb": right.verb,
            "group": right.group,
            "resource": right.resource,
            "subresource": right.subresource,
            "name": name,
        }
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
        }
        answer = await self.exchange("POST", ACCESS_REVIEWS, {}, body, patience=OF_PROBE)
        if isinstance(answer, NoAnswer) or not answer.ok:
            return False
        try:
            return json.loads(answer.body)["status"]["allowed"] is False
        except (ValueError, KeyError, TypeError, RecursionError):
            return False


def is_refusal(answer: Answer, status: Status | None) -> bool:
    """Tells whether the API server itself refuses the request with a Status, and would refuse it again."""
    is_client_error = 400 <= answer.status < 500  # noqa: PLR2004 - HTTP's class of client errors
    return is_client_error and answer.status not in _TRANSIENT and status is not None


def _is_untrusted(error: BaseException | None) -> bool:
    """Tells whether TLS verification failed, by the exception's type: its text may contain a CSR's name."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _retry_after(headers: Mapping[str, str]) -> int | None:
    match = re.fullmatch(r"[0-9]{1,6}", headers.get("Retry-After", ""))
    return min(max(int(match[0]), 1), _LONGEST_RETRY_AFTER) if match else None
