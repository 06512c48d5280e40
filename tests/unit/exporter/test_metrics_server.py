"""The metrics beyond loopback: who may read them, which files count when, and what a hostile client can do."""

import contextlib
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import urllib3

from csr_exporter import pages
from csr_exporter.configuration import MetricsEndpoint, Tls
from csr_exporter.metrics_server import MetricsServer
from csr_exporter.pages import MAX_CONNECTIONS
from sandbox.pki import Authority
from tests.unit.exporter.support import LONG, captured_log, wait_until

PAGE = b"csr_exporter_inflight 0.0\n"
ADDRESSES = ("127.0.0.1", "::1")


class Folder:
    """The folder of a Secret, as the kubelet mounts it."""

    def __init__(self, path: Path, authority: Authority) -> None:
        self.tls = Tls(certificate=path / "tls.crt", key=path / "tls.key", client_ca=path / "ca.crt")
        self.renew(authority)
        (path / "ca.crt").write_bytes(authority.certificate_pem)

    def renew(self, authority: Authority) -> None:
        """Puts another certificate and key in place."""
        pair = authority.issue("csr-exporter", addresses=ADDRESSES, server=True)
        self.tls.certificate.write_bytes(pair.certificate_pem)
        self.tls.key.write_bytes(pair.key_pem)


@pytest.fixture
def authority() -> Authority:
    """The CA of the server and of its clients."""
    return Authority.create("metrics")


@pytest.fixture
def folder(authority: Authority) -> Iterator[Folder]:
    """Good files, in a folder with a short name, because the log cuts long errors."""
    with tempfile.TemporaryDirectory() as directory:
        yield Folder(Path(directory), authority)


@contextlib.contextmanager
def serving(
    tls: Tls | None = None, address: str = "127.0.0.1"
) -> Iterator[tuple[MetricsServer, Callable[[], list[dict[str, object]]]]]:
    """A server with one page, and the lines of its log."""
    with captured_log() as (log, lines):
        endpoint = MetricsEndpoint(address=address, port=0, tls=tls)
        server = MetricsServer(endpoint, lambda: (200, "text/plain", PAGE), log)
        server.start()
        try:
            yield server, lines
        finally:
            server.stop()


def scraper(folder: Path, authority: Authority, *, certified_by: Authority | None = None) -> urllib3.PoolManager:
    """A Prometheus that trusts the server's CA, with a client certificate or without."""
    context = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    if certified_by is not None:
        context.load_cert_chain(*certified_by.issue("prometheus").write(folder, "prometheus"))
    return urllib3.PoolManager(ssl_context=context, retries=False, timeout=LONG)


def scrape(client: urllib3.PoolManager, server: MetricsServer, path: str = "/metrics") -> urllib3.BaseHTTPResponse:
    """Returns the answer."""
    return client.request("GET", f"https://{server.address}{path}")


@pytest.mark.parametrize(("bound", "asked"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("::", "127.0.0.1")])
def test_only_the_metrics_are_served(bound: str, asked: str) -> None:
    """On IPv4 and IPv6, and `::` is both; no probe and no queue."""
    with serving(address=bound) as (server, _):
        port = server.address.rsplit(":", 1)[1]
        root = f"http://{asked}:{port}"
        assert urllib3.request("GET", f"{root}/metrics", timeout=LONG).data == PAGE
        for path in ("/livez", "/readyz", "/debug/queue", "/"):
            assert urllib3.request("GET", f"{root}{path}", timeout=LONG).status == 404


def test_a_client_certificate_of_the_ca_is_needed(tmp_path: Path, folder: Folder, authority: Authority) -> None:
    """Without one, with another CA's, or in plain HTTP, there is no page; and the next scrape works."""
    other = Authority.create("another")
    with serving(folder.tls) as (server, _):
        for certified_by in (None, other):
            with pytest.raises(urllib3.exceptions.HTTPError):
                scrape(scraper(tmp_path, authority, certified_by=certified_by), server)
        with pytest.raises(urllib3.exceptions.HTTPError):
            urllib3.request("GET", f"http://{server.address}/metrics", retries=False, timeout=LONG)
        answer = scrape(scraper(tmp_path, authority, certified_by=authority), server)
        assert (answer.status, answer.data) == (200, PAGE)


def test_without_a_client_ca_every_client_may_read(tmp_path: Path, folder: Folder, authority: Authority) -> None:
    """TLS alone: the page is protected in transit."""
    tls = Tls(certificate=folder.tls.certificate, key=folder.tls.key)
    with serving(tls) as (server, _):
        assert scrape(scraper(tmp_path, authority), server).data == PAGE


def test_a_renewed_certificate_is_used_at_once(tmp_path: Path, folder: Folder, authority: Authority) -> None:
    """No restart: certificate, key and client CA are read for each connection."""
    successor = Authority.create("successor")
    with serving(folder.tls) as (server, _):
        assert scrape(scraper(tmp_path, authority, certified_by=authority), server).data == PAGE
        folder.renew(successor)
        assert folder.tls.client_ca is not None
        folder.tls.client_ca.write_bytes(successor.certificate_pem)
        assert scrape(scraper(tmp_path, successor, certified_by=successor), server).data == PAGE
        with pytest.raises(urllib3.exceptions.HTTPError):
            scrape(scraper(tmp_path, authority, certified_by=authority), server)


@pytest.mark.parametrize(
    ("field", "content", "error"),
    [
        ("certificate", None, "No such file"),
        ("key", None, "No such file"),
        ("client_ca", None, "No such file"),
        ("certificate", b"", "must have a chain in PEM"),
        ("client_ca", b"none", "must have CA certificates in PEM"),
    ],
)
def test_a_fault_of_the_files_ends_no_exporter(
    tmp_path: Path, folder: Folder, authority: Authority, field: str, content: bytes | None, error: str
) -> None:
    """It is a field error in the log, once, and the scrape works as soon as the file is right."""
    path: Path = getattr(folder.tls, field)
    right = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    client = scraper(tmp_path, authority, certified_by=authority)
    with serving(folder.tls) as (server, lines):
        for _ in range(2):
            with pytest.raises(urllib3.exceptions.HTTPError):
                scrape(client, server)
        (line,) = lines()
        assert str(line["error"]).startswith(f'metrics.tls.{field}: Invalid value: "{path}"'[:150])
        assert error in str(line["error"])
        path.write_bytes(right)
        assert scrape(client, server).data == PAGE
        assert lines() == [line]


def test_a_key_of_another_certificate_is_a_fault(folder: Folder, authority: Authority) -> None:
    """And so is a key with a password: nothing asks for it."""
    other = authority.issue("other")
    folder.tls.key.write_bytes(other.key_pem)
    with serving(folder.tls) as (_, lines):
        assert "with the key of metrics.tls.key" in str(lines()[0]["error"])


ATTACKERS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")


def connect(server: MetricsServer, source: str) -> socket.socket:
    """Returns a connection from an address."""
    host, port = server.address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), LONG, source_address=(source, 0))


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01"])
def test_attack_idle_connections_delay_no_scrape(
    tmp_path: Path, folder: Folder, authority: Authority, said: bytes
) -> None:
    """Clients that stop in the handshake end one another's connections, and start no thread."""
    client = scraper(tmp_path, authority, certified_by=authority)
    with serving(folder.tls) as (server, _):
        threads = threading.active_count()
        with contextlib.ExitStack() as idle:
            for source in ATTACKERS * MAX_CONNECTIONS:
                idle.enter_context(connect(server, source)).sendall(said)
            assert scrape(client, server).data == PAGE
            assert threading.active_count() <= threads


def test_attack_a_busy_client_ends_no_connection_of_another() -> None:
    """A scrape from far away takes a while: it goes on, however often another client connects meanwhile."""
    with serving() as (server, _), connect(server, "127.0.0.1") as far, contextlib.ExitStack() as idle:
        far.sendall(b"GET /metrics HTTP/1.1\r\n")
        held = [idle.enter_context(connect(server, ATTACKERS[0])) for _ in range(2 * MAX_CONNECTIONS)]
        assert held[MAX_CONNECTIONS].recv(1) == b""  # so the server has accepted them all but the last few
        far.sendall(b"\r\n")
        with far.makefile("rb") as answer:
            assert answer.read().endswith(PAGE)


def test_a_taken_port_is_a_fault_until_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server logs it once, and serves when the port is free."""
    monkeypatch.setattr(pages, "RETRY_SECONDS", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as taken, captured_log() as (log, lines):
        port = taken.getsockname()[1]
        server = MetricsServer(MetricsEndpoint(address="127.0.0.1", port=port), lambda: (200, "", PAGE), log)
        server.start()
        try:
            assert server.fault.startswith(f'metrics: Invalid value: "127.0.0.1:{port}": must be a free port')
            taken.close()
            wait_until(lambda: not server.fault)
            assert urllib3.request("GET", f"http://{server.address}/metrics", timeout=LONG).data == PAGE
        finally:
            server.stop()
        assert [line["severity"] for line in lines()] == ["ERROR", "INFO"]
