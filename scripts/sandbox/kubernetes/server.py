"""The double as a whole: an event loop in a thread of its own, a CA, kubeconfigs, and switches for tests."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
import threading
import urllib.parse
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

from sandbox import kubeconfig
from sandbox.kubernetes.connection import Connection, HttpRequest
from sandbox.kubernetes.router import RESOURCES, Router
from sandbox.kubernetes.store import Store
from sandbox.pki import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sandbox.kubernetes.authentication import User

_ADDRESS = "127.0.0.1"
_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
_ADMINISTRATOR = ("kubernetes-admin", ("system:masters",))
_BACKLOG = 1024
_REMEMBERED = 200_000
_SECONDS = 60.0

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """One request, for tests that prove what the product asks.

    Attributes:
        path: as sent, with its escapes, without the query.
        query: as sent.
        user: empty for an anonymous request and for an invalid token.
    """

    method: str
    path: str
    query: str
    user: str


class KubernetesServer:
    """A Kubernetes API server in this process; start it, or use it as a context manager.

    Attributes:
        server: its address, once it is started.
        certificate_authority: PEM file of the CA of its own certificate and of the client certificates that it accepts.
        kubeconfig: file for an administrator.
    """

    def __init__(self, directory: Path, *, port: int = 0, bookmark_seconds: float = 60.0) -> None:
        self._directory = directory
        self._port = port
        self._authority = Authority.create("sandbox-kubernetes")
        self._requests: deque[LoggedRequest] = deque(maxlen=_REMEMBERED)
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._store = Store(RESOURCES)
        self._router = Router(self._store, bookmark_seconds=bookmark_seconds, log=self._remember)
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.server = ""
        self.certificate_authority = directory / "ca.pem"
        self.kubeconfig = directory / "kubeconfig"

    def start(self) -> Self:
        """Writes the files and serves; returns when the server accepts connections.

        After `stop` the server can start again, with the same port, objects and history.

        Raises:
            OSError: the port is taken, or the directory cannot be written to.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        self.certificate_authority.write_bytes(self._authority.certificate_pem)
        ready: Future[int] = Future()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="sandbox-kubernetes", daemon=True)
        self._thread.start()
        self._port = ready.result(_SECONDS)
        self.server = f"https://{_ADDRESS}:{self._port}"
        name, groups = _ADMINISTRATOR
        self._write_kubeconfig(self.kubeconfig, name, groups)
        return self

    def stop(self) -> None:
        """Ends all connections and the thread; harmless when called again."""
        if self._thread is not None and self._thread.is_alive():
            self._in_loop(self._stopping.set)
            self._thread.join(_SECONDS)
        self._thread = None

    def __enter__(self) -> Self:
        return self.start() if self._thread is None else self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """Writes a kubeconfig with a client certificate for a user of some groups."""
        digest = hashlib.sha256("\0".join([user, *groups]).encode()).hexdigest()[:8]
        path = self._directory / f"kubeconfig-{urllib.parse.quote(user, safe='@')[:64]}-{digest}"
        if not path.exists():
            self._write_kubeconfig(path, user, groups)
        return path

    @property
    def requests(self) -> tuple[LoggedRequest, ...]:
        """Returns the requests, oldest first."""
        return self._in_loop(lambda: tuple(self._requests))

    def forget_requests(self) -> None:
        """Empties the request log."""
        self._in_loop(self._requests.clear)

    def compact(self) -> None:
        """Forgets all history: from now on the server answers older versions and continue tokens with 410."""
        self._in_loop(self._store.compact)

    def close_watches(self) -> None:
        """Ends every running watch, as the API server does at its deadline."""
        self._in_loop(self._router.close_watches)

    def _in_loop(self, call: Callable[[], _T]) -> _T:
        """Calls a function where the state lives: in the loop's thread while that runs."""
        done: Future[_T] = Future()

        def run() -> None:
            try:
                done.set_result(call())
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                done.set_exception(error)

        loop = self._loop
        if loop is None or loop.is_closed():
            run()
        else:
            loop.call_soon_threadsafe(run)
        return done.result(_SECONDS)

    def _run(self, ready: Future[int]) -> None:
        try:
            asyncio.run(self._serve(ready))
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)

    async def _serve(self, ready: Future[int]) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(
            self._accept, _ADDRESS, self._port, ssl=self._tls(), backlog=_BACKLOG, start_serving=True
        )
        ready.set_result(server.sockets[0].getsockname()[1])
        await self._stopping.wait()
        server.close()
        for writer in self._connections.values():
            writer.transport.abort()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate, key = self._authority.issue(
            "kube-apiserver", dns_names=_NAMES, addresses=(_ADDRESS,), server=True
        ).write(self._directory, "server")
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(cadata=self._authority.certificate_pem.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - mypy's: this runs as a task
        self._connections[task] = writer
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await Connection(reader, writer, self._router.answer).serve()
        finally:
            writer.close()
            # Also after a reset: asyncio reports an exception of the connection that nobody has asked for.
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            del self._connections[task]

    def _write_kubeconfig(self, path: Path, user: str, groups: Sequence[str]) -> None:
        document = kubeconfig.render(
            server=self.server,
            certificate_authority_pem=self._authority.certificate_pem,
            user=user,
            key_pair=self._authority.issue(user, organizations=groups),
        )
        path.touch(mode=0o600)
        path.write_text(document)

    def _remember(self, request: HttpRequest, user: User | None) -> None:
        path, _, query = request.target.partition("?")
        name = "" if user is None else user.username
        self._requests.append(LoggedRequest(method=request.method, path=path, query=query, user=name))
