"""HTTP as the exporter needs it: TLS always verified, no redirect, no proxy, no retry, every read bounded.

urllib3 keeps the connections; whoever asks decides what an answer means and when to ask again.
"""

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

CONNECT_TIMEOUT = 5.0
_CHUNK = 1 << 16


class UnreachableError(Exception):
    """No whole answer came: name, connection, TLS, time-out, reset, or a file for them that cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds to connect, to wait for the next byte, and for a whole answer where it is read whole."""

    connect: float = CONNECT_TIMEOUT
    read: float
    total: float


class Answer:
    """An HTTP answer whose body is still to be read."""

    def __init__(self, response: urllib3.BaseHTTPResponse, deadline: float) -> None:
        self._response = response
        self._deadline = deadline
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    def chunks(self) -> Iterator[bytes]:
        """The body as it arrives, until its end; each wait is bounded, the whole is not.

        Raises:
            UnreachableError: it was cut, or nothing came for too long.
        """
        with _translated():
            while chunk := self._response.read1(_CHUNK, decode_content=False):
                yield chunk

    def body(self, limit: int) -> bytes | None:
        """The whole body, or None where it is longer than `limit` bytes.

        Raises:
            UnreachableError: it was cut, or not there in time.
        """
        body = b"".join(self.parts(limit + 1))
        return body if len(body) <= limit else None

    def parts(self, limit: int) -> Iterator[bytes]:
        """The body's first `limit` bytes as they arrive, or all of it where it is shorter.

        Raises:
            UnreachableError: it was cut, or not there in time.
        """
        for chunk in self.chunks():
            yield chunk[:limit]
            limit -= len(chunk)
            if limit <= 0:
                return
            if time.monotonic() > self._deadline:
                raise UnreachableError("the answer did not end in time")

    def interrupt(self) -> None:
        """Ends a read that waits in another thread."""
        try:
            self._response.shutdown()
        except (ValueError, RuntimeError, OSError):
            return  # it has ended already


class Endpoint:
    """One server: scheme, host, port and an optional path that all requests start with."""

    def __init__(
        self, url: str, *, timeouts: Timeouts, certificate_authority: Path | None = None, connections: int = 2
    ) -> None:
        """Nothing is opened or read yet; without `certificate_authority` the system's roots decide."""
        self._url = url
        self._path = urlsplit(url).path.rstrip("/")
        self._timeouts = timeouts
        self._certificate_authority = certificate_authority
        self._connections = connections
        self._lock = threading.Lock()
        self._pool: urllib3.HTTPConnectionPool | None = None

    @contextmanager
    def request(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> Iterator[Answer]:
        """Sends a request; the connection is kept only if the answer was read to its end.

        Raises:
            UnreachableError: no answer's head came.
        """
        deadline = time.monotonic() + self._timeouts.total
        with _translated():
            response = self._connected().urlopen(
                method,
                self._path + path,
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
        """Closes idle connections; the next request reads the certificate authority's file again."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _connected(self) -> urllib3.HTTPConnectionPool:
        with self._lock:
            if self._pool is None:
                self._pool = self._open()
            return self._pool

    def _open(self) -> urllib3.HTTPConnectionPool:
        options: dict[str, object] = {"maxsize": self._connections}
        if self._url.startswith("https:"):
            options["ssl_context"] = self._tls()
        return urllib3.connection_from_url(self._url, **options)

    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self._certificate_authority)
        except OSError as error:  # ssl.SSLError is one
            raise UnreachableError(f"certificate authority {str(self._certificate_authority)!r}: {error}") from error
        if self._certificate_authority is not None:
            # Chain, dates and name are still verified. Python 3.13 also demands key identifiers, which the certificates
            # of some clusters lack (older EKS: tomplus/kubernetes_asyncio#349) and Go's clients never asked for.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


def read_credential(path: Path) -> str:
    """Reads a token from its file, as often as it is needed: it is replaced while the process runs.

    Raises:
        UnreachableError: it cannot be read, or is not one line of printable text.
    """
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError) as error:
        raise UnreachableError(f"token file {str(path)!r}: {error}") from error
    if not re.fullmatch(r"[!-~]{1,65536}", token):
        raise UnreachableError(f"token file {str(path)!r}: got {len(token)} characters, allowed is one line of ASCII")
    return token


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except urllib3.exceptions.HTTPError as error:
        # Without the connection's address in memory, so that the same failure reads the same every time.
        text = re.sub(r"<[^<>]* object at 0x[0-9a-f]+>:? ?", "", str(error))
        raise UnreachableError(f"{type(error).__name__}: {text}") from error
