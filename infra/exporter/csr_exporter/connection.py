"""HTTP: TLS always verified, no redirect, no proxy, no retry, every read bounded. urllib3 keeps the connections."""

import json
import re
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import urllib3

LONGEST_RETRY_AFTER = 300.0
CONNECT_TIMEOUT = 5.0
_CHUNK = 1 << 16


class UnreachableError(Exception):
    """No whole response came: name, connection, TLS, time-out, reset, or an unreadable file for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds to connect, to wait for the next byte, and for a whole response that the caller reads whole."""

    connect: float = CONNECT_TIMEOUT
    read: float
    total: float


class Answer:
    """An HTTP response whose body has yet to be read."""

    def __init__(self, response: urllib3.BaseHTTPResponse, deadline: float) -> None:
        self._response = response
        self._deadline = deadline
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    def chunks(self) -> Iterator[bytes]:
        """Yields the body as it arrives, without a limit for the whole.

        Raises:
            UnreachableError: the connection broke, or no byte came for too long.
        """
        with _translated():
            while chunk := self._response.read1(_CHUNK, decode_content=False):
                yield chunk

    def body(self, limit: int) -> bytes | None:
        """Returns the whole body; None if it is longer than `limit` bytes.

        Raises:
            UnreachableError: it did not arrive whole or in time.
        """
        body = b"".join(self.parts(limit + 1))
        return body if len(body) <= limit else None

    def parts(self, limit: int) -> Iterator[bytes]:
        """Yields at most the first `limit` bytes of the body as they arrive.

        Raises:
            UnreachableError: they did not arrive in time.
        """
        for chunk in self.chunks():
            yield chunk[:limit]
            limit -= len(chunk)
            if limit <= 0:
                return
            if time.monotonic() > self._deadline:
                raise UnreachableError("the response did not end in time")

    def interrupt(self) -> None:
        """Ends a read that waits in another thread."""
        try:
            self._response.shutdown()
        except (ValueError, RuntimeError, OSError):
            return  # it has already ended


class Endpoint:
    """One server: scheme, host, port, and the path with which all requests start."""

    def __init__(
        self, url: str, *, timeouts: Timeouts, certificate_authority: Path | None = None, connections: int = 2
    ) -> None:
        """Opens and reads nothing yet. Without `certificate_authority` the system's roots decide."""
        self._url = url
        self._path = urlsplit(url).path
        self._timeouts = timeouts
        self._certificate_authority = certificate_authority
        self._connections = connections
        self._lock = threading.Lock()
        self._pool: urllib3.HTTPConnectionPool | None = None

    @contextmanager
    def request(
        self, method: str, path: str = "", *, headers: Mapping[str, str], body: bytes | None = None
    ) -> Iterator[Answer]:
        """Sends a request. It keeps the connection only if the caller reads the response to its end.

        Raises:
            UnreachableError: no response began.
        """
        deadline = time.monotonic() + self._timeouts.total
        with _translated():
            response = self._connected().urlopen(
                method,
                self._path + path or "/",
                body=body,
                headers=dict(headers),
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(connect=self._timeouts.connect, read=self._timeouts.read),
            )
        try:
            yield Answer(response, deadline)
        finally:
            response.close()

    def forget(self) -> None:
        """Closes idle connections. The next request reads the certificate authority's file again."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _connected(self) -> urllib3.HTTPConnectionPool:
        with self._lock:
            if self._pool is None:
                options: dict[str, object] = {"maxsize": self._connections}
                if self._url.startswith("https:"):
                    options["ssl_context"] = self._tls()
                self._pool = urllib3.connection_from_url(self._url, **options)
            return self._pool

    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self._certificate_authority)
        except OSError as error:  # ssl.SSLError is one
            raise UnreachableError(f"certificate authority {str(self._certificate_authority)!r}: {error}") from error
        if self._certificate_authority is not None:
            # The context still verifies chain, dates and name. Python 3.13 also demands key identifiers, which the
            # certificates of some clusters lack (older EKS: tomplus/kubernetes_asyncio#349). Go's clients do not.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


def retry_after(value: str | None, most: float = LONGEST_RETRY_AFTER) -> float | None:
    """Parses a Retry-After header: seconds or an HTTP date (RFC 9110, section 10.2.3).

    Returns:
        The seconds to wait, at most `most`; None if the header is missing or invalid.
    """
    try:
        return min(most, urllib3.Retry().parse_retry_after(value)) if value else None
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return None


def json_object(body: bytes | None) -> dict[str, object]:
    """Returns a response's fields; none where the body is no JSON object."""
    try:
        fields = json.loads(body or b"")
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def read_credential(path: Path) -> str:
    """Reads a token from its file. Call it for every use: the kubelet replaces the file.

    Raises:
        UnreachableError: the file is unreadable, or is not one line of printable ASCII.
    """
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError) as error:
        raise UnreachableError(f"token file {str(path)!r}: {error}") from error
    if not re.fullmatch(r"[!-~]{1,65536}", token):
        raise UnreachableError(f"token file {str(path)!r}: {len(token)} characters: must be one line of ASCII")
    return token


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except urllib3.exceptions.HTTPError as error:
        # Without the connection's address in memory, so that the same failure always reads the same.
        text = re.sub(r"<[^<>]* object at 0x[0-9a-f]+>:? ?", "", str(error))
        raise UnreachableError(f"{type(error).__name__}: {text}") from error
