"""The exporter as a process: started, killed, told to end, and weighed."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest
import urllib3

from sandbox.pki import Authority
from sandbox.process import Part
from tests.paths import INFRA
from tests.unit.exporter.cluster import Cluster, Sink
from tests.unit.exporter.heavy import HEAVY, as_answered, exporter_limit
from tests.unit.exporter.support import (
    CHUNKED,
    LAST_CHUNK,
    LONG,
    Connection,
    Request,
    ScriptedServer,
    answer,
    chunk,
    csr_document,
    page,
    stream,
    wait_until,
)

pytestmark = pytest.mark.slow
PACKAGE = INFRA / "exporter"
LIMIT_MIB = 40
"""What the exporter may take with 5,000 CSRs waiting (resident)."""


def _start(directory: Path, document: str) -> Part:
    file = directory / "exporter.json"
    file.write_text(document)
    environment = {"CSR_EXPORTER_CONFIGURATION": str(file), "PYTHONPATH": str(PACKAGE)}
    return Part.start("csr_exporter", log=directory / "log", environment=environment)


def _log(directory: Path) -> list[dict[str, Any]]:
    whole, _, _ = (directory / "log").read_text().rpartition("\n")  # the exporter may be writing the last line
    return [json.loads(line) for line in whole.splitlines()]


def test_kill_minus_9_loses_nothing(cluster: Cluster, tmp_path: Path) -> None:
    """Killed before the first event, after it, in the middle and near the end: the next start makes up for it."""
    with Sink() as sink:
        document = cluster.document(sink.server.url)
        uids = [cluster.create(f"csr-{number}", approved=number % 2 == 0) for number in range(40)]
        for point in (0, 1, 20, 39):
            exporter = _start(tmp_path, document)
            wait_until(lambda point=point: len(sink.ids) >= point)  # type: ignore[misc]  # bound now
            exporter.kill()
            uids.append(cluster.create(f"late-{point}"))
        with _start(tmp_path, document) as exporter:
            wait_until(lambda: {name.split("/")[0] for name in sink.ids} == set(uids))
            assert exporter.stop() == 0
    assert {len(name.split("/")) for name in sink.ids} == {2}


def test_sigterm_finishes_what_is_in_flight(tmp_path: Path) -> None:
    """32 in flight or more: it takes nothing new, waits for the answers, says what is left, and ends with 0."""
    warm, go_on = 800, threading.Event()

    def slow(_event: dict[str, Any], _times: int, _connection: Connection) -> None:
        # As many acknowledgements as it takes until so many may be in flight.
        if len(sink.events) > warm:
            go_on.wait(LONG)

    def in_flight() -> int:
        page = urllib3.request("GET", f"{root}/metrics").data.decode()
        (line,) = (line for line in page.splitlines() if line.startswith("csr_exporter_inflight "))
        return int(float(line.split()[1]))

    def pending() -> float:
        page = urllib3.request("GET", f"{root}/metrics").data.decode()
        return sum(float(line.split()[1]) for line in page.splitlines() if line.startswith("csr_exporter_csr_pending"))

    with Sink(slow) as sink, _watching(tmp_path, _many(2000), sink) as exporter:
        root = f"http://{exporter.ready['health']}"
        wait_until(lambda: len(sink.events) >= warm + 32 and in_flight() >= 32 and pending() == 2000)
        os.kill(exporter.pid, signal.SIGTERM)
        wait_until(lambda: "stopping" in urllib3.request("GET", f"{root}/readyz").json()["reasons"])
        go_on.set()
        assert exporter.wait(LONG) == 0
    last = _log(tmp_path)[-1]
    assert (last["message"], last["waiting"], last["in_flight"]) == ("stopped", 2000, 0)
    assert last["counts"]["send_attempts_total:2xx"] == len(sink.events) >= warm + 32


def test_a_wrong_configuration_is_said_and_ends(tmp_path: Path) -> None:
    """Status 2 and one line per mistake, all of them JSON."""
    (tmp_path / "exporter.json").write_text('{"source": "//x", "extra": 1}')
    environment = {"CSR_EXPORTER_CONFIGURATION": str(tmp_path / "exporter.json"), "PYTHONPATH": str(PACKAGE)}
    ended = subprocess.run(
        [sys.executable, "-m", "csr_exporter"], env=environment, capture_output=True, check=False, timeout=LONG
    )
    errors = [json.loads(line)["error"].split(":")[0] for line in ended.stderr.splitlines()]
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert errors == ["signers", "function", "identity", "api_server", "extra"]


def test_attack_a_taken_port_stops_no_delivery(cluster: Cluster, tmp_path: Path) -> None:
    """The exporter reports the port as an error and delivers; it serves its pages when the port is free."""
    with Sink() as sink, socket.create_server(("127.0.0.1", 0)) as taken:
        document = json.loads(cluster.document(sink.server.url))
        document["health"]["port"] = taken.getsockname()[1]
        cluster.create("csr-1")
        with _start(tmp_path, json.dumps(document)) as exporter:
            wait_until(lambda: "csr-1" in sink.names)
            (error,) = (line["error"] for line in _log(tmp_path) if line["severity"] == "ERROR")
            taken.close()
            wait_until(lambda: any(line["message"] == "the pages are served" for line in _log(tmp_path)))
            assert urllib3.request("GET", f"http://{exporter.ready['health']}/readyz").status == 200
            assert exporter.stop() == 0
    assert error.startswith(f'health: Invalid value: "{exporter.ready["health"]}": must be a free port')


@pytest.mark.parametrize("count", [64, 500])
def test_attack_idle_connections_fail_no_probe(cluster: Cluster, tmp_path: Path, count: int) -> None:
    """However many connections a program on the node's network holds open, each probe is answered."""
    with Sink() as sink, _start(tmp_path, cluster.document(sink.server.url)) as exporter:
        host, port = exporter.ready["health"].split(":")
        with contextlib.ExitStack() as idle:
            for _ in range(count):
                idle.enter_context(socket.create_connection((host, int(port)), LONG))
            for _ in range(10):
                # A kubelet takes no second attempt.
                answered = urllib3.request("GET", f"http://{host}:{port}/livez", timeout=LONG, retries=False)
                assert answered.status == 200


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("health.LONGEST_SILENCE = -1", "the exporter hangs"),
        ("threading.Timer(1, re.match, ['(a+)+b', 'a' * 99]).start()", " in match\n"),
        ("exporter.Exporter.start = lambda _: time.sleep(1e6)", " in __enter__\n"),
        ("del Reflector._cycle; exporter.Exporter.stop = lambda _: time.sleep(1e6)", " in __exit__\n"),
    ],
    ids=["a loop hangs", "a thread holds Python's lock", "the start hangs", "the end after a crash hangs"],
)
def test_a_process_that_hangs_ends_itself(cluster: Cluster, tmp_path: Path, fault: str, said: str) -> None:
    """No probe of the kubelet tells it: the process ends with status 1, and says where its threads are."""
    ended = _watched(cluster, tmp_path, fault)
    assert ended.returncode == 1
    assert "most recent call first" in ended.stderr
    assert said in ended.stderr


def test_a_process_whose_log_nobody_reads_ends_itself_too(cluster: Cluster, tmp_path: Path) -> None:
    """The log's pipe is full, so each line blocks its thread; the process ends all the same."""
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        os.set_blocking(writer, True)
        assert _watched(cluster, tmp_path, "del Reflector._cycle", stderr=writer).returncode == 1
    finally:
        os.close(reader)
        os.close(writer)


def test_a_healthy_process_outlives_its_time(cluster: Cluster, tmp_path: Path) -> None:
    """Each check postpones the end: after two periods and more of checks, SIGTERM ends the process with 0."""
    fault = (
        "checks, dead = iter(range(70)), exporter.Exporter.dead; exporter.Exporter.dead = lambda self: "
        "dead(self) if next(checks, None) is not None else os.kill(os.getpid(), signal.SIGTERM)"
    )
    ended = _watched(cluster, tmp_path, fault)
    assert (ended.returncode, json.loads(ended.stderr.splitlines()[-1])["message"]) == (0, "stopped")


def _watched(
    cluster: Cluster, tmp_path: Path, change: str, *, stderr: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """Runs a changed exporter, which checks itself ten times a second and ends itself after three."""
    (tmp_path / "exporter.json").write_text(cluster.document("http://127.0.0.1:1"))
    program = (
        "import os, re, signal, threading, time; from csr_exporter import __main__, exporter, health; "
        "from csr_exporter.watch.reflector import Reflector; "
        f"__main__.CHECK_SECONDS, __main__.DEAD_SECONDS = 0.1, 3.0; {change}; raise SystemExit(__main__.main())"
    )
    environment = {"CSR_EXPORTER_CONFIGURATION": str(tmp_path / "exporter.json"), "PYTHONPATH": str(PACKAGE)}
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=stderr, check=False, text=True, timeout=LONG
    )


def test_a_loop_that_ends_ends_the_process(cluster: Cluster, tmp_path: Path) -> None:
    """A fault that nobody thought of must not leave a process that looks alive: status 1, and the next start lists."""
    (tmp_path / "exporter.json").write_text(cluster.document("http://127.0.0.1:1"))
    fault = (
        "from csr_exporter import __main__; from csr_exporter.watch.reflector import Reflector; "
        "del Reflector._cycle; raise SystemExit(__main__.main())"
    )
    environment = {"CSR_EXPORTER_CONFIGURATION": str(tmp_path / "exporter.json"), "PYTHONPATH": str(PACKAGE)}
    ended = subprocess.run(
        [sys.executable, "-c", fault], env=environment, capture_output=True, check=False, timeout=LONG
    )
    messages = [json.loads(line)["message"] for line in ended.stderr.splitlines()]
    assert ended.returncode == 1
    assert "a thread crashed" in messages
    assert messages[-1] == "stopped"


def _many(count: int) -> Callable[[Request, Connection], bytes | None]:
    """An API server with that many approved CSRs as large as Calico's, in pages, and a quiet watch."""
    managed = [{"manager": "key-cert-provisioner", "fieldsV1": {"f:spec": "x" * 800}}]
    documents = []
    for number in range(count):
        document: Any = csr_document(number, "Approved", managedFields=managed)
        document["spec"] |= {"request": "x" * 1800, "groups": ["system:authenticated"]}
        document["spec"]["extra"] |= {"x": ["y" * 200]}
        documents.append(document)

    def api_server(request: Request, connection: Connection) -> bytes | None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}
        if "watch" in asked:
            connection.send(stream(end=b""))
            connection.hang()
            return None
        start = int(asked.get("continue", "0"))
        stop = start + int(asked["limit"])
        pages.append(stop - start)
        return page(*documents[start:stop], following=str(stop) if stop < count else "")

    pages: list[int] = []
    return api_server


@contextlib.contextmanager
def _watching(tmp_path: Path, handler: Callable[[Request, Connection], bytes | None], sink: Sink) -> Iterator[Part]:
    """An exporter between an API server that answers as it is told, and a function."""
    authority = Authority.create("test")
    certificate, key = authority.issue("api", addresses=["127.0.0.1"], server=True).write(tmp_path, "server")
    (tmp_path / "ca.pem").write_bytes(authority.certificate_pem)
    (tmp_path / "token").write_text("token")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with ScriptedServer(handler, tls) as api_server:
        document = {
            "source": "//x",
            "signers": [{"signer_name": "example.com/calico", "stages": ["approved"]}],
            "function": {"url": sink.server.url, "audience": "x"},
            "identity": {"kind": "unsafe_none"},
            "api_server": {
                "server": api_server.url,
                "certificate_authority": str(tmp_path / "ca.pem"),
                "token_file": str(tmp_path / "token"),
            },
            "health": {"port": 0},
        }
        with _start(tmp_path, json.dumps(document)) as exporter:
            yield exporter


def _peak_mib(pid: int) -> float:
    """The most memory that a process has had resident so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


@pytest.mark.parametrize("state", ["unsent", "acknowledged"])
def test_five_thousand_waiting_csrs_are_light(tmp_path: Path, state: str) -> None:
    """Below the limit after the list, whether the function is away or acknowledges (a thousand) without effect."""

    def away(event: dict[str, Any], _times: int, _connection: Connection) -> bytes | None:
        sent.add(event["id"])
        return answer(503, Retry_After="300") if state == "unsent" or len(sent) > 1000 else None

    sent: set[str] = set()
    with Sink(away) as sink, _watching(tmp_path, _many(5000), sink) as exporter:
        wait_until(lambda: any(line["message"] == "listed" for line in _log(tmp_path)))
        wait_until(lambda: len(sent) >= (1 if state == "unsent" else 1001))
        scraped = urllib3.request("GET", f"http://{exporter.ready['health']}/metrics").data
        resident = psutil.Process(exporter.pid).memory_info().rss / (1 << 20)
        peak = _peak_mib(exporter.pid)
    (listed,) = (line for line in _log(tmp_path) if line["message"] == "listed")
    assert (listed["items"], listed["waiting"]) == (5000, 5000)
    assert b'csr_exporter_csr_pending{stage="approved"} 5000.0\n' in scraped
    print(f"with 5,000 waiting CSRs, {state}: {resident:.1f} MiB, peak {peak:.1f}")  # noqa: T201 - what it is about
    assert resident <= peak <= LIMIT_MIB


def _heavy(documents: list[bytes]) -> Callable[[Request, Connection], bytes | None]:
    """An API server with these CSRs, which the list shows, and then the watch, one after the other."""

    def api_server(request: Request, connection: Connection) -> bytes | None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}
        connection.send(CHUNKED)
        if "watch" in asked:
            for document in documents:
                connection.send(chunk(b'{"type":"MODIFIED","object":' + document + b"}\n"))
            connection.send(
                chunk(json.dumps({"type": "ADDED", "object": csr_document(1, "Approved")}).encode() + b"\n")
            )
            connection.hang()
            return None
        start = int(asked.get("continue", "0"))
        stop = min(start + int(asked["limit"]), len(documents))
        metadata = {"resourceVersion": "100", "continue": str(stop) if stop < len(documents) else ""}
        connection.send(chunk(b'{"metadata":' + json.dumps(metadata).encode() + b',"items":['))
        for number in range(start, stop):
            connection.send(chunk((b"," if number > start else b"") + documents[number]))
        return chunk(b"]}") + LAST_CHUNK

    return api_server


@pytest.mark.parametrize("kind", [*HEAVY, "all"])
def test_the_heaviest_csrs_that_etcd_stores_stay_below_the_memory_limit(tmp_path: Path, kind: str) -> None:
    """With a fifth to spare, in a list and in a watch; what comes after them is sent."""
    kinds = [HEAVY[kind]] if kind in HEAVY else list(HEAVY.values())
    documents = [as_answered(kinds[number % len(kinds)](csr_document(number, "Approved"))) for number in range(2, 20)]
    with Sink() as sink, _watching(tmp_path, _heavy(documents), sink) as exporter:
        wait_until(lambda: any(line["message"] == "listed" for line in _log(tmp_path)))
        wait_until(lambda: "csr-1" in sink.names)
        peak = _peak_mib(exporter.pid)
    print(f"{kind}: peak {peak:.1f} MiB")  # noqa: T201 - what it is about
    assert peak <= 0.8 * exporter_limit()
