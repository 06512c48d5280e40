"""A server that gives prepared answers: what a check sees of another program is the HTTP answer."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import yaml

Json = dict[str, Any]
Prepared = tuple[int, object] | Callable[[Json], tuple[int, object]]


@dataclass(kw_only=True)
class Answers:
    """The answers of a running server.

    Attributes:
        prepared: Status and body by method and path, without the query; a function makes them from the request's body.
            A tuple of bytes is one body in parts.
        received: The requests: method, path, headers and body.
        date: The header Date; None for the present time.
    """

    prepared: dict[str, Prepared] = field(default_factory=dict)
    received: list[tuple[str, str, Mapping[str, str], bytes]] = field(default_factory=list)
    date: str | None = None
    url: str = ""

    def kubeconfig(self, folder: Path) -> Path:
        """Writes a kubeconfig for this server."""
        path = folder / "answers.kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "clusters": [{"name": "a", "cluster": {"server": self.url}}],
                    "users": [{"name": "a", "user": {"token": "operator"}}],
                    "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
                    "current-context": "a",
                }
            )
        )
        return path


@contextmanager
def answering() -> Iterator[Answers]:
    """Runs a server; what is not prepared is answered 404 in plain text, as kube-apiserver does."""
    answers = Answers()
    server = _Server(("127.0.0.1", 0), _Handler)
    server.answers = answers
    answers.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield answers
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    answers: Answers

    def handle_error(self, request: object, client_address: object) -> None:
        """Prints nothing: a client may close its connection before it has read a whole answer."""


class _Handler(BaseHTTPRequestHandler):
    disable_nagle_algorithm = True  # head and body are two writes; the second would wait 40 ms for the first one's ACK
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        answers = cast("_Server", self.server).answers
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        answers.received.append((self.command, path, dict(self.headers), body))
        prepared = answers.prepared.get(f"{self.command} {path}", (404, "404 page not found"))
        status, content = prepared(json.loads(body or b"{}")) if callable(prepared) else prepared
        text = content if isinstance(content, str | bytes | tuple) else json.dumps(content)
        text = text.encode() if isinstance(text, str) else text
        parts = text if isinstance(text, tuple) else (text,)
        self.send_response_only(status)
        self.send_header("Date", answers.date or self.date_time_string())
        self.send_header("Content-Length", str(sum(map(len, parts))))
        self.end_headers()
        for part in parts:
            self.wfile.write(part)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Logs nothing."""
