"""Cloud Run's front door: checks callers, and forwards their requests to the service."""

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable
from html import escape
from urllib.parse import urlsplit

from sandbox.google.jwt import JwtError
from sandbox.google.model import Configuration
from sandbox.google.tokens import Tokens
from sandbox.google.web import Request, Response

SIGNATURE_REMOVED = "SIGNATURE_REMOVED_BY_GOOGLE"
_TIMEOUT = 300.0  # seconds, Cloud Run's default for a request
_HOP_BY_HOP = frozenset(
    [
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "server",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
_INVALID_TOKEN = 'Bearer error="invalid_token" error_description="The access token could not be verified"'  # noqa: S105  # a header


def page(status: int, title: str, message: str, *headers: tuple[str, str]) -> Response:
    """Returns an error as Google's front end shows it: HTML, whatever the client accepts."""
    reason = http.client.responses[status]
    body = (
        f'<html><head>\n<meta http-equiv="content-type" content="text/html;charset=utf-8">\n'
        f"<title>{status} {reason}</title>\n</head>\n<body text=#000000 bgcolor=#ffffff>\n"
        f"<h1>Error: {title}</h1>\n<h2>{message}</h2>\n<h2></h2>\n</body></html>\n"
    )
    kind = ("Content-Type", "text/html; charset=UTF-8")
    return Response(status=status, body=body.encode(), headers=(kind, *headers))


class FrontDoor:
    """Requires an ID token of an invoker, then forwards the request.

    Args:
        configuration: Its invokers may call; it has the audiences that are valid in addition to the service's URL.
        tokens: Verifies ID tokens.
        target: The service's root URL, plain HTTP.
        url: Returns the service's URL, its default audience.
    """

    def __init__(self, configuration: Configuration, tokens: Tokens, target: str, url: Callable[[], str]) -> None:
        self._configuration = configuration
        self._tokens = tokens
        self._url = url
        parts = urlsplit(target)
        if parts.scheme != "http" or parts.hostname is None:
            raise ValueError(f"the target must be an http URL, got {target!r}")
        self._host, self._port = parts.hostname, parts.port or 80
        self._lock = threading.Lock()
        self._connections: set[http.client.HTTPConnection] = set()
        self._closed = False

    def __call__(self, request: Request) -> Response:
        """Answers a request."""
        refusal = self._refusal(request)
        return refusal if refusal is not None else self._forward(request)

    def close(self) -> None:
        """Ends the requests in flight."""
        with self._lock:
            self._closed = True
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def _refusal(self, request: Request) -> Response | None:
        scheme, _, value = _credentials(request).partition(" ")
        shown = f"<code>{escape(request.path)}</code>"
        forbidden = page(403, "Forbidden", f"Your client does not have permission to get URL {shown} from this server.")
        if not scheme:
            return forbidden
        unauthorized = page(
            401,
            "Unauthorized",
            f"Your client does not have permission to the requested URL {shown}.",
            ("WWW-Authenticate", _INVALID_TOKEN),
        )
        if scheme.lower() != "bearer":
            return unauthorized
        try:
            claims = self._tokens.verified(value).claims
        except JwtError:
            return unauthorized
        if claims["aud"] not in {self._url(), *self._configuration.audiences} or not claims.get("email_verified"):
            return unauthorized
        return None if claims["email"] in self._configuration.invokers else forbidden

    def _forward(self, request: Request) -> Response:
        # One connection per request: the service could close a kept connection just before its next use.
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT)
        try:
            connection.connect()
            with self._lock:
                if self._closed:
                    raise ConnectionAbortedError
                self._connections.add(connection)
            connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
            for name, value in _forwarded(request):
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(request.body)))
            connection.endheaders(request.body)
            answer = connection.getresponse()
            headers = tuple((name, value) for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP)
            return Response(status=answer.status, body=answer.read(), headers=headers)
        except TimeoutError:
            return page(504, "Server Error", "The request timed out.")
        except (OSError, http.client.HTTPException):
            return page(503, "Server Error", "The service you requested is not available at this time.")
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()


def _credentials(request: Request) -> str:
    """Returns the header that Cloud Run checks; its own header has priority."""
    return request.header("X-Serverless-Authorization") or request.header("Authorization") or ""


def _forwarded(request: Request) -> list[tuple[str, str]]:
    own = request.header("X-Serverless-Authorization") is not None
    checked = "x-serverless-authorization" if own else "authorization"
    headers = [
        (name, _without_signature(value) if name.lower() == checked else value)
        for name, value in request.headers
        if name.lower() not in _HOP_BY_HOP | {"x-forwarded-for", "x-forwarded-proto"}
    ]
    before = request.header("X-Forwarded-For")
    return [
        *headers,
        ("X-Forwarded-For", f"{before},{request.peer}" if before else request.peer),
        ("X-Forwarded-Proto", "https"),
    ]


def _without_signature(value: str) -> str:
    return f"{value.rsplit('.', 1)[0]}.{SIGNATURE_REMOVED}"
