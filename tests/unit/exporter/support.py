"""What the exporter's tests share: a clock that is turned by hand, CSRs, and servers that answer as they are told."""

import contextlib
import json
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, NoReturn, Self

from csr_exporter.clock import Clock
from csr_exporter.csr import Reference, Stage, requester_of
from csr_exporter.delivery.dispatcher import Dispatcher
from csr_exporter.log import Log
from csr_exporter.metrics import Metrics
from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.retry_policy import Answer, Verdict
from csr_exporter.queue.work_queue import WorkQueue
from csr_exporter.watch.store import Store
from tests.patience import PATIENCE

SIGNER = "example.com/calico"
SOURCE = "//container.googleapis.com/projects/p/locations/l/clusters/c"
ACCOUNT = "system:serviceaccount:calico-system:calico-node"
CREATED = "2026-11-24T10:00:00Z"
LONG = PATIENCE

ACKNOWLEDGED = Answer(verdict=Verdict.ACKNOWLEDGED, status=200)


class VirtualClock:
    """Time passes only while somebody waits, and then at once; the end comes at `ends_at`."""

    def __init__(self, ends_at: float = float("inf")) -> None:
        self.time = 1000.0
        self.waits: list[float] = []
        self._ends_at = self.time + ends_at

    def now(self) -> float:
        """The time."""
        return self.time

    def wait(self, seconds: float) -> bool:
        """Lets the time pass."""
        self.waits.append(seconds)
        self.time += seconds
        return self.time >= self._ends_at


def core(
    log: Log,
    metrics: Metrics,
    clock: Clock,
    *,
    send: Callable[[WorkItem], Answer] = lambda _item: ACKNOWLEDGED,
    queue: WorkQueue | None = None,
    stages: frozenset[Stage] = frozenset(Stage),
) -> tuple[Store, Dispatcher]:
    """An exporter's store and dispatcher around one work queue, without threads."""
    queue, changed = WorkQueue() if queue is None else queue, threading.Condition()
    store = Store(stages={SIGNER: stages}, queue=queue, changed=changed, clock=clock, log=log, metrics=metrics)
    return store, Dispatcher(queue=queue, changed=changed, send=send, clock=clock, log=log, metrics=metrics)


def filed_by(pod: int) -> dict[str, object]:
    """What the API server puts into the spec of a CSR about the pod of that number, which filed it."""
    uid = f"{pod:08d}-0000-4000-8000-0000000000aa"
    return {"username": ACCOUNT, "extra": {"authentication.kubernetes.io/pod-uid": [uid]}}


def reference(number: int = 1, *, signer_name: str = SIGNER, pod: int | None = None) -> Reference:
    """The reference of the CSR of that number, which the pod of the same number filed unless told otherwise."""
    return Reference(
        uid=f"{number:08d}-0000-4000-8000-000000000000",
        name=f"csr-{number}",
        resource_version=str(100 + number),
        signer_name=signer_name,
        creation_timestamp=CREATED,
        requester=requester_of(filed_by(number if pod is None else pod)),
    )


def csr_document(number: int = 1, *conditions: str, version: str = "", **metadata: object) -> dict[str, object]:
    """The CSR of that number as the API server shows it, with these conditions."""
    it = reference(number)
    status = {"conditions": [{"type": condition, "status": "True"} for condition in conditions]} if conditions else {}
    return {
        "metadata": {
            "name": it.name,
            "uid": it.uid,
            "resourceVersion": version or it.resource_version,
            "creationTimestamp": CREATED,
            **metadata,
        },
        "spec": {"signerName": SIGNER, "request": "eA==", "usages": ["client auth"]} | filed_by(number),
        "status": status,
    }


def deep(document: dict[str, object], depth: int) -> bytes:
    """JSON of an object with managedFields that a client has nested so deeply; brackets in texts are none."""
    item: dict[str, object] = document.get("object", document)  # type: ignore[assignment]  # a CSR, or an event of one
    odd = {"note": '{"[' * 3000 + "\\" * 3 + '"]}'}
    metadata: dict[str, object] = item["metadata"]  # type: ignore[assignment]
    nested = metadata | {"annotations": odd, "managedFields": [{"manager": "m", "fieldsV1": "HOLE"}], "zone": odd}
    fields = '{"f:a\\"}":' * depth + "{}" + "}" * depth
    whole = item | {"metadata": nested}
    return json.dumps(whole if item is document else document | {"object": whole}).replace('"HOLE"', fields).encode()


def wait_until(condition: Callable[[], bool], seconds: float = LONG) -> None:
    """Returns when the condition holds.

    Raises:
        AssertionError: it does not hold after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "that did not happen in time"
        time.sleep(0.005)


@contextlib.contextmanager
def captured_log() -> Iterator[tuple[Log, Callable[[], list[dict[str, object]]]]]:
    """A log, and what reads the lines written so far."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    text = bytearray()

    def lines() -> list[dict[str, object]]:
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(reading, 1 << 16):
                text.extend(chunk)
        return [json.loads(line) for line in text.splitlines()]

    try:
        yield Log(writing), lines
    finally:
        os.close(reading)
        os.close(writing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a server was asked; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def answer(status: int, body: bytes | dict[str, object] = b"", **headers: str) -> bytes:
    """An HTTP answer with a Content-Length."""
    content = json.dumps(body).encode() if isinstance(body, dict) else body
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def chunk(content: bytes) -> bytes:
    """One chunk of a chunked body."""
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


def stream(*lines: object, end: bytes = LAST_CHUNK) -> bytes:
    """A whole watch answer: each object a line and a chunk of its own."""
    return CHUNKED + b"".join(chunk(json.dumps(line).encode() + b"\n") for line in lines) + end


def page(*items: object, version: str = "100", following: str = "") -> bytes:
    """One page of a list."""
    metadata = {"resourceVersion": version, **({"continue": following} if following else {})}
    return answer(200, {"kind": "List", "metadata": metadata, "items": list(items)})


class Connection:
    """What a handler may do beyond answering: send parts, wait for the other side's end, reset."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, data: bytes) -> None:
        """Sends some bytes now."""
        self._connection.sendall(data)

    def hang(self) -> None:
        """Sends nothing more until the peer has had enough, or the server stops."""
        while self._connection.recv(1 << 16):
            pass

    def wait(self, seconds: float) -> bool:
        """Sends nothing for a while; False as soon as the peer has had enough."""
        self._connection.settimeout(seconds)
        try:
            return bool(self._connection.recv(1 << 16))
        except TimeoutError:
            return True

    def reset(self) -> NoReturn:
        """Ends the connection with a TCP reset instead of an orderly end."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionResetError


class ScriptedServer:
    """An HTTP server that answers with the very bytes that its handler returns; None ends the connection.

    It records the requests. One thread per connection; `stop` ends them all.

    Attributes:
        url: its root.
        requests: what was asked, oldest first.
    """

    def __init__(
        self, handler: Callable[[Request, Connection], bytes | None], tls: ssl.SSLContext | None = None
    ) -> None:
        """Listens, but accepts only when it is entered."""
        self._handler = handler
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http{'' if tls is None else 's'}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._accepting = threading.Thread(target=self._accept)
        self._threads: list[threading.Thread] = []
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.requests: list[Request] = []

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends everything; connections are cut."""
        # Linux wakes an accept that waits in another thread.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with self._lock:
                    self._connections.add(connection)
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if self._tls is None:
                self._answer(connection)
            else:
                with self._tls.wrap_socket(connection, server_side=True) as encrypted:
                    self._answer(encrypted)
        with self._lock:
            self._connections.discard(connection)

    def _answer(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            while (request := _read(reader)) is not None:
                with self._lock:
                    self.requests.append(request)
                reply = self._handler(request, Connection(connection))
                if reply is None:
                    return
                connection.sendall(reply)


def _read(reader: BinaryIO) -> Request | None:
    first = reader.readline().decode("latin-1").split(" ")
    if len(first) != 3:
        return None  # the end, or no HTTP
    method, target, _ = first
    headers = {}
    while (line := reader.readline()) != b"\r\n":
        if not line:
            return None  # cut
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    body = reader.read(length)
    if len(body) < length:
        return None
    return Request(method=method, target=target, headers=headers, body=body)
