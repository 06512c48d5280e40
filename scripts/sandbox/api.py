"""A small JSON client for an API server, for the double and the real one."""

from __future__ import annotations

import contextlib
import json
import ssl
import tempfile
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import urllib3

from sandbox import kubeconfig, managed_fields, protobuf

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.pki import KeyPair

Json = dict[str, Any]
Query = str | int | bool

CONNECT_SECONDS = 20.0
READ_SECONDS = 60.0
CONNECTIONS = 64

NAMESPACES = "/api/v1/namespaces"
NODES = "/api/v1/nodes"
CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


_ERROR = b'"type":"ERROR"'


class ApiError(Exception):
    """The API server answered with another status than 2xx.

    Attributes:
        status: the HTTP status.
        body: the Status object, or the text if the answer is not a JSON object.
    """

    def __init__(self, status: int, body: Json | str) -> None:
        super().__init__(
            f"the API server answered {status}: {body if isinstance(body, str) else body.get('message')!r}"
        )
        self.status = status
        self.body = body

    @property
    def reason(self) -> str:
        """Returns the Status object's reason, or an empty string."""
        return "" if isinstance(self.body, str) else str(self.body.get("reason", ""))

    @property
    def message(self) -> str:
        """Returns the Status object's message, or the whole text."""
        return self.body if isinstance(self.body, str) else str(self.body.get("message", ""))


@contextlib.contextmanager
def tolerating(status: int) -> Iterator[None]:
    """Ignores an ApiError with this HTTP status; the rest of the block does not run."""
    try:
        yield
    except ApiError as error:
        if error.status != status:
            raise


class Watch:
    """The events of one watch request; iterate it, and close it or use it as a context manager."""

    def __init__(self, response: urllib3.BaseHTTPResponse, about: str = "") -> None:
        self._response = response
        self._about = about.encode()
        self._events = self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Json]:
        return self

    def __next__(self) -> Json:
        return next(self._events)

    def close(self) -> None:
        """Ends the request, and closes its connection."""
        self._response.close()
        self._response.release_conn()

    def _read(self) -> Iterator[Json]:
        rest = b""
        for chunk in self._response.stream(1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (_json(line) for line in lines if line and (self._about in line or _ERROR in line))


class Api:
    """One identity at one API server; thread-safe, keeps its connections alive.

    Paths are what the API server sees: quote names with `quoted`.
    Network errors are `urllib3.exceptions.HTTPError`.
    """

    def __init__(
        self,
        *,
        server: str,
        pool: urllib3.HTTPConnectionPool,
        anonymous_pool: urllib3.HTTPConnectionPool,
        token: str | None = None,
    ) -> None:
        self.server = server
        self._prefix = urllib.parse.urlsplit(server).path.rstrip("/")
        self._pool = pool
        self._anonymous_pool = anonymous_pool
        self._headers: dict[str, str] = {}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    @classmethod
    def from_kubeconfig(cls, path: Path | str) -> Api:
        """Returns a client for the user of a kubeconfig's current context.

        Raises:
            ValueError: the document has no usable current context; see `kubeconfig.read`.
        """
        found = kubeconfig.read(Path(path))
        anonymous_pool = pool = _pool(found.server, _tls(found.certificate_authority_pem))
        if found.key_pair is not None:
            pool = _pool(found.server, _tls(found.certificate_authority_pem, found.key_pair))
        return cls(server=found.server, pool=pool, anonymous_pool=anonymous_pool, token=found.token)

    def with_token(self, token: str) -> Api:
        """Returns a client that uses a token instead of the client certificate, and shares the connections."""
        return Api(server=self.server, pool=self._anonymous_pool, anonymous_pool=self._anonymous_pool, token=token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the idle connections, also of clients from `with_token`."""
        self._pool.close()
        self._anonymous_pool.close()

    def get(self, path: str, **query: Query) -> Json:
        """Reads an object or a list."""
        return self._json("GET", path, query=query)

    def get_text(self, path: str, **query: Query) -> str:
        """Reads a path whose answer is not JSON, such as ``/healthz``."""
        return self._request("GET", path, query=query).decode()

    def post(self, path: str, body: Mapping[str, Any] | bytes | None = None, **query: Query) -> Json:
        """Creates an object; sends bytes unchanged."""
        return self._json("POST", path, query=query, body=body)

    def post_protobuf(self, path: str, body: bytes) -> Json:
        """Creates an object from bytes of `sandbox.protobuf`; the answer is JSON."""
        return self._json("POST", path, query={}, body=body, media_type=protobuf.MEDIA_TYPE)

    def get_protobuf(self, path: str) -> bytes:
        """Reads an object as protobuf: unlike JSON, it keeps text that is not UTF-8."""
        return self._request("GET", path, query={}, accept=protobuf.MEDIA_TYPE)

    def put(self, path: str, body: Mapping[str, Any] | None = None, **query: Query) -> Json:
        """Replaces an object, or the part of it that a subresource covers."""
        return self._json("PUT", path, query=query, body=body)

    def patch(self, path: str, body: Mapping[str, Any] | list[Any], subtype: str = "merge", **query: Query) -> Json:
        """Patches an object; `subtype` is ``merge``, ``strategic-merge`` or ``json``."""
        media_type = f"application/{subtype}-patch+json"
        return self._json("PATCH", path, query=query, body=body, media_type=media_type)

    def delete(self, path: str, body: Mapping[str, Any] | None = None, **query: Query) -> Json:
        """Deletes an object; the body may be a DeleteOptions."""
        return self._json("DELETE", path, query=query, body=body)

    def watch(self, path: str, *, read_seconds: float = 75.0, about: str = "", **query: Query) -> Watch:
        """Watches a collection; returns when the API server has accepted the request.

        Args:
            path: the collection.
            read_seconds: the longest silence before the iteration ends with a timeout.
            about: skip events without this text, before they are parsed; errors are never skipped.
            query: resourceVersion, fieldSelector, allowWatchBookmarks, timeoutSeconds, ...
        """
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds)
        response = self._send("GET", path, query={"watch": True, **query}, timeout=timeout)
        if response.status >= 300:  # noqa: PLR2004 - the only class of status that the API server uses for success is 2xx
            raise ApiError(response.status, _parsed(response.read()))
        return Watch(response, about)

    def _json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Query],
        body: Mapping[str, Any] | list[Any] | bytes | None = None,
        media_type: str = "application/json",
    ) -> Json:
        answer = _parsed(self._request(method, path, query=query, body=body, media_type=media_type))
        if isinstance(answer, str):
            raise ApiError(200, answer)
        return answer

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Query],
        body: Mapping[str, Any] | list[Any] | bytes | None = None,
        media_type: str = "application/json",
        accept: str = "application/json",
    ) -> bytes:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
        response = self._send(method, path, query=query, body=data, media_type=media_type, accept=accept)
        content = response.read()
        response.release_conn()
        if not 200 <= response.status < 300:  # noqa: PLR2004 - the class of HTTP statuses that mean success
            raise ApiError(response.status, _parsed(content))
        return content

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Query],
        body: bytes | None = None,
        media_type: str | None = None,
        accept: str = "application/json",
        timeout: urllib3.Timeout | None = None,
    ) -> urllib3.BaseHTTPResponse:
        parameters = {
            key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in query.items()
        }
        headers = {"Accept": accept, **self._headers}
        url = self._prefix + path + ("?" + urllib.parse.urlencode(parameters) if parameters else "")
        return self._pool.urlopen(
            method,
            url,
            body=body,
            headers=headers if body is None else headers | {"Content-Type": media_type or ""},
            timeout=timeout or urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            retries=False,
            redirect=False,
            preload_content=False,
        )


def quoted(name: str) -> str:
    """Quotes a name as one path segment."""
    return urllib.parse.quote(name, safe="")


def csr_path(name: str, subresource: str = "") -> str:
    """Returns the path of a CertificateSigningRequest, or of its ``approval`` or ``status``."""
    return f"{CSRS}/{quoted(name)}" + (f"/{subresource}" if subresource else "")


def _parsed(content: bytes) -> Json | str:
    try:
        answer = _json(content)
    except ValueError:
        return content.decode(errors="replace")
    return answer if isinstance(answer, dict) else content.decode()


def _json(content: bytes) -> Any:  # noqa: ANN401 - any JSON
    try:
        # managedFields come back as the client wrote them, including bytes that are not UTF-8.
        return json.loads(content.decode(errors="replace"))
    except RecursionError:
        return json.loads(managed_fields.without_fields(content.decode(errors="replace")))


def _tls(authority: bytes | None, key_pair: KeyPair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if key_pair is not None:
        # The ssl module reads certificate and key only from a file; this function deletes the file.
        with tempfile.NamedTemporaryFile() as file:
            file.write(key_pair.certificate_pem + b"\n" + key_pair.key_pem)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _pool(server: str, context: ssl.SSLContext) -> urllib3.HTTPConnectionPool:
    parts = urllib.parse.urlsplit(server)
    if parts.scheme != "https" or parts.hostname is None:
        raise ValueError(f"server is {server!r}, it must be an https address")
    return urllib3.HTTPSConnectionPool(
        parts.hostname, parts.port or 443, maxsize=CONNECTIONS, block=False, ssl_context=context
    )
