"""Measures the time from a CSR's creation to its event at the function, on an idle machine.

A server at the function's address records the time of each event and answers at once. A CSR's clock starts before the
create call, so the figure includes the API server's own time.
"""

import http.server
import json
import statistics
import threading
import time
from dataclasses import dataclass, replace
from typing import Final, Self, cast
from urllib.parse import urlsplit

from sandbox.api import CSRS
from sandbox.calico.fleet import Fleet
from sandbox.calico.keys import KeyPool
from sandbox.deployment import Deployment, Settings
from sandbox.measurements.common import PATIENCE, Row, fleet
from sandbox.usage import Usage

PAUSE: Final = 0.05
_ANSWER: Final = b'{"outcome":"ignored","reason":"measured"}'


def latency(settings: Settings, count: int) -> list[Row]:
    """Measures the milliseconds of `count` CSRs, one after the other."""
    with Deployment(replace(settings, front_door=False)) as deployment, KeyPool() as keys:
        deployment.function.kill()
        pods = fleet(deployment, keys, count, "latency")
        with Arrivals(deployment.function.url) as arrivals:
            before = Usage.of(deployment.exporter_pid)
            asked = [_file(pods, number) for number in range(count)]
            came = arrivals.wait(count, PATIENCE)
            after = Usage.of(deployment.exporter_pid)
    whole = sorted(1000 * (came[each.uid] - each.began) for each in asked)
    rest = sorted(1000 * (came[each.uid] - each.answered) for each in asked)
    cpu = 1000 * (after.seconds - before.seconds) / count
    return [
        Row(name="creation asked for, to event: median", figure=f"{statistics.median(whole):.1f} ms"),
        Row(name="  9 of 10 within, and the last", figure=f"{whole[count * 9 // 10]:.1f} ms, {whole[-1]:.1f} ms"),
        Row(name="creation answered, to event: median", figure=f"{statistics.median(rest):.1f} ms"),
        Row(name="exporter: CPU per CSR, one by one", figure=f"{cpu:.2f} ms"),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    uid: str
    began: float
    answered: float


def _file(pods: Fleet, number: int) -> _Asked:
    csr = pods.request(number)
    time.sleep(PAUSE)
    began = time.monotonic()
    filed = pods.apis[number].post(CSRS, csr)
    return _Asked(uid=str(filed["metadata"]["uid"]), began=began, answered=time.monotonic())


class Arrivals:
    """Replaces the function, and records the time of each CSR's first event."""

    def __init__(self, url: str) -> None:
        """Binds the port of the function's `url`."""
        self._server = _Server(urlsplit(url).port or 80)
        self._thread = threading.Thread(target=self._server.serve_forever, name="arrivals", daemon=True)

    def wait(self, count: int, timeout: float) -> dict[str, float]:
        """Waits for that many events, and returns their times by uid.

        Raises:
            TimeoutError: There are too few in time.
        """
        with self._server.came:
            if not self._server.came.wait_for(lambda: len(self._server.moments) >= count, timeout):
                raise TimeoutError(f"{len(self._server.moments)} of {count} events came within {timeout:g} s")
            return dict(self._server.moments)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # kept connections end with the exporter

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.came = threading.Condition()
        self.moments: dict[str, float] = {}

    def note(self, event: dict[str, dict[str, str]]) -> None:
        """Records an event."""
        with self.came:
            self.moments.setdefault(event["data"]["uid"], time.monotonic())
            self.came.notify_all()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        cast("_Server", self.server).note(json.loads(body))
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(_ANSWER)}\r\n\r\n"
        self.wfile.write(head.encode() + _ANSWER)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Logs nothing."""
