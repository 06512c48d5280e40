"""The fault proxy: what goes through it without faults, and what each fault does, seen from both ends."""

import itertools
import select
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.pki import Authority
from sandbox.process import Part
from sandbox.proxy import HALF_OPEN, Counts, Fault, FaultProxy
from tests.patience import PATIENCE
from tests.sandbox.proxy.conftest import EchoServer, connect, received

MUCH = 3 << 20


@pytest.fixture
def proxy(echo: EchoServer) -> Iterator[FaultProxy]:
    """A proxy in front of an echo."""
    with FaultProxy(echo.endpoint) as proxy:
        yield proxy


def exchange(connection: socket.socket, data: bytes = b"hello") -> bytes:
    """Sends bytes and reads as many."""
    connection.sendall(data)
    return received(connection, len(data))


def first_byte(endpoint: str) -> bytes:
    """Connects and reads; a reset may come as early as while connecting."""
    with connect(endpoint) as connection:
        return connection.recv(1)


def assert_silent(connection: socket.socket) -> None:
    """Nothing can be read now, not even an end."""
    assert select.select([connection], [], [], 0) == ([], [], [])


def test_bytes_pass_unchanged_and_are_counted(proxy: FaultProxy) -> None:
    """Without a fault every byte arrives both ways, then the end."""
    data = bytes(itertools.islice(itertools.cycle(range(251)), MUCH))
    with connect(proxy.endpoint) as connection:
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        assert received(connection, MUCH) == data
        sender.join()
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert proxy.counts == Counts(connections=1, bytes_up=MUCH, bytes_down=MUCH)


def test_tls_passes_unopened(tmp_path: Path) -> None:
    """A client verifies the server's own certificate, as it is for the address and not for the port."""
    authority = Authority.create("ca")
    pair = authority.issue("server", addresses=["127.0.0.1"], server=True)
    (tmp_path / "pair.pem").write_bytes(pair.certificate_pem + pair.key_pem)
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(tmp_path / "pair.pem")
    client_side = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted, server_side.wrap_socket(accepted, server_side=True) as connection:
                connection.sendall(connection.recv(5))

        thread = threading.Thread(target=serve)
        thread.start()
        with (
            FaultProxy(f"127.0.0.1:{listener.getsockname()[1]}") as proxy,
            connect(proxy.endpoint) as plain,
            client_side.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            assert exchange(connection) == b"hello"
        thread.join()


@pytest.mark.parametrize("fault", [Fault(reset_after_up=3), Fault(reset_after_down=3)], ids=["up", "down"])
def test_reset_after_so_many_bytes(proxy: FaultProxy, fault: Fault) -> None:
    """Exactly so many bytes pass in the one direction, then the client is reset."""
    proxy.add(fault)
    with connect(proxy.endpoint) as connection:
        connection.sendall(b"hello")
        with pytest.raises(ConnectionResetError):
            received(connection, 5)
    assert proxy.wait(lambda counts: counts.resets == 1)
    assert (proxy.counts.bytes_up if fault.reset_after_up else proxy.counts.bytes_down) == 3


def test_reset_at_once_hits_open_connections(proxy: FaultProxy) -> None:
    """A limit of 0 resets idle connections without another byte, and new ones when they come."""
    with connect(proxy.endpoint) as connection:
        assert exchange(connection) == b"hello"
        proxy.set(Fault(reset_after_up=0))
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with pytest.raises(ConnectionResetError):
        first_byte(proxy.endpoint)
    assert proxy.wait(lambda counts: counts.resets == 2)


def test_reset_reaches_the_server() -> None:
    """The server's side is reset too: it is not left with a connection that nobody uses."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        FaultProxy(f"127.0.0.1:{listener.getsockname()[1]}") as proxy,
        connect(proxy.endpoint) as connection,
    ):
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(10)
            connection.sendall(b"x")
            assert accepted.recv(1) == b"x"
            proxy.set(Fault(reset_after_up=0))
            with pytest.raises(ConnectionResetError):
                accepted.recv(1)


def test_limits_count_from_when_they_are_set(proxy: FaultProxy) -> None:
    """What passed before does not count."""
    with connect(proxy.endpoint) as connection:
        assert exchange(connection, b"x" * 100) == b"x" * 100
        proxy.set(Fault(truncate_after_down=7))
        assert exchange(connection, b"y" * 100) == b"y" * 7
        assert connection.recv(1) == b""


def test_truncate_ends_cleanly(proxy: FaultProxy) -> None:
    """The client gets so many bytes and an end that looks intended, even while it sends more."""
    proxy.add(Fault(truncate_after_down=3))
    with connect(proxy.endpoint) as connection:
        assert exchange(connection) == b"hel"
        connection.sendall(b"more")
        assert connection.recv(1) == b""
    assert proxy.wait(lambda counts: counts.truncated == 1)


def test_half_open_keeps_everything_until_it_is_taken_away(proxy: FaultProxy) -> None:
    """Nothing passes, not even an end, and nobody is told; afterwards nothing is missing."""
    with connect(proxy.endpoint) as connection:
        assert exchange(connection) == b"hello"
        proxy.set(HALF_OPEN)
        connection.sendall(b"world")
        connection.shutdown(socket.SHUT_WR)
        assert proxy.wait(lambda counts: counts.held == 1)
        assert_silent(connection)
        assert proxy.connections == (1,)
        proxy.clear()
        assert received(connection, 6) == b"world"
    assert (proxy.counts.bytes_up, proxy.counts.bytes_down) == (10, 10)


def test_answers_alone_are_held(proxy: FaultProxy) -> None:
    """With `hold_down` the server gets everything; with what it answers the client must wait."""
    proxy.set(Fault(hold_down=True))
    with connect(proxy.endpoint) as connection:
        connection.sendall(b"hello")
        assert proxy.wait(lambda counts: counts.held == 1)
        assert (proxy.counts.bytes_up, proxy.counts.bytes_down) == (5, 0)
        assert_silent(connection)


def test_delay_postpones(proxy: FaultProxy) -> None:
    """With a long delay nothing has passed yet, and stopping does not wait for it."""
    proxy.set(Fault(delay_down=3600))
    with connect(proxy.endpoint) as connection:
        connection.sendall(b"hello")
        assert proxy.wait(lambda counts: counts.bytes_up == 5)
        assert_silent(connection)
        proxy.stop()


def test_short_delay_passes(proxy: FaultProxy) -> None:
    """Delayed both ways, everything arrives."""
    proxy.set(Fault(delay_up=0.01, delay_down=0.01))
    with connect(proxy.endpoint) as connection:
        assert exchange(connection) == b"hello"


def test_refused_connections(proxy: FaultProxy) -> None:
    """While it refuses, nobody listens; open connections go on, and later the port is the same."""
    endpoint = proxy.endpoint
    with connect(endpoint) as connection:
        assert exchange(connection) == b"hello"
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(endpoint)
        assert exchange(connection) == b"hello"
    proxy.clear()
    with connect(endpoint) as connection:
        assert exchange(connection) == b"hello"


def test_new_connections_are_closed_at_once(proxy: FaultProxy) -> None:
    """The client sees a clean end, the server nothing."""
    proxy.add(Fault(close=True), times=2)
    for _ in range(2):
        with connect(proxy.endpoint) as connection:
            assert connection.recv(1) == b""
    with connect(proxy.endpoint) as connection:
        assert exchange(connection) == b"hello"
    assert (proxy.counts.connections, proxy.counts.closed) == (3, 2)


def test_one_of_several_connections(proxy: FaultProxy) -> None:
    """A fault for one connection leaves the others alone."""
    with connect(proxy.endpoint) as first, connect(proxy.endpoint) as second:
        assert exchange(first) == exchange(second) == b"hello"
        assert proxy.connections == (1, 2)
        proxy.set(Fault(reset_after_down=0), only=[1])
        with pytest.raises(ConnectionResetError):
            first.recv(1)
        assert exchange(second) == b"hello"


def test_server_that_is_not_there(echo: EchoServer) -> None:
    """Nobody listens behind the proxy: the client is reset."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        endpoint = f"127.0.0.1:{free.getsockname()[1]}"
    with FaultProxy(endpoint) as proxy, pytest.raises(ConnectionResetError):
        first_byte(proxy.endpoint)


def test_stop_ends_everything(echo: EchoServer) -> None:
    """Stopping closes open and half-open connections and the port, and may be repeated; a second start works."""
    proxy = FaultProxy(echo.endpoint).start()
    with connect(proxy.endpoint) as connection:
        assert exchange(connection) == b"hello"
        proxy.set(HALF_OPEN)
        connection.sendall(b"x")
        assert proxy.wait(lambda counts: counts.held == 1)
        threads = threading.active_count()
        proxy.stop()
        assert threading.active_count() < threads
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    proxy.stop()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy.endpoint)


def test_taken_port_is_an_error(proxy: FaultProxy, echo: EchoServer) -> None:
    """A port that somebody has is not shared."""
    with pytest.raises(OSError, match="in use"):
        FaultProxy(echo.endpoint, port=int(proxy.endpoint.split(":")[1])).start()


@pytest.mark.parametrize("upstream", ["", "localhost", ":80", "h:", "h:x"])
def test_upstream_must_be_host_and_port(upstream: str) -> None:
    """Anything else is refused by name."""
    with pytest.raises(ValueError, match="upstream must be HOST:PORT"):
        FaultProxy(upstream)


def test_command_line(echo: EchoServer) -> None:
    """As a part it says where it is, forwards, and stops on SIGTERM."""
    with Part.start("sandbox.proxy", "--upstream", echo.endpoint) as part:
        assert part.ready["part"] == "proxy"
        with connect(part.ready["endpoint"]) as connection:
            assert exchange(connection) == b"hello"
            part.signal(signal.SIGTERM)
            assert part.wait(PATIENCE) == 0
