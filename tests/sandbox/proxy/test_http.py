"""The fault proxy in front of plain HTTP: requests one by one, and faults that only HTTP has."""

from collections.abc import Iterator

import pytest
import urllib3

from sandbox.proxy import Fault, FaultProxy, HttpFault
from tests.patience import PATIENCE
from tests.sandbox.proxy.conftest import HttpServer, connect


@pytest.fixture
def proxy(web: HttpServer) -> Iterator[FaultProxy]:
    """A proxy in front of an HTTP server."""
    with FaultProxy(web.endpoint, http=True) as proxy:
        yield proxy


@pytest.fixture
def pool() -> Iterator[urllib3.PoolManager]:
    """A client that keeps its connection and tries nothing twice."""
    with urllib3.PoolManager(maxsize=1, retries=False, timeout=PATIENCE) as pool:
        yield pool


def post(pool: urllib3.PoolManager, proxy: FaultProxy, body: bytes = b"x", path: str = "/") -> bytes:
    """Sends a request through the proxy and returns the answer's body."""
    answer = pool.request("POST", f"http://{proxy.endpoint}{path}", body=body)
    assert answer.status == 200
    return answer.data


def test_requests_pass_on_one_connection(proxy: FaultProxy, pool: urllib3.PoolManager) -> None:
    """A kept connection carries several requests, each with its own answer."""
    assert [post(pool, proxy, body) for body in (b"a", b"", b"c" * 100_000)] == [b"1 a", b"2 ", b"3 " + b"c" * 100_000]
    assert (proxy.counts.connections, proxy.counts.requests) == (1, 3)


def test_every_framing_of_an_answer_passes(proxy: FaultProxy, pool: urllib3.PoolManager) -> None:
    """Chunks with extensions and trailers, an answer up to the connection's end, and HEAD, which has no body."""
    assert post(pool, proxy, path="/chunked") == b"1 x"
    assert post(pool, proxy, path="/unframed") == b"2 x"
    assert pool.request("HEAD", f"http://{proxy.endpoint}/").headers["Content-Length"] == "1000"
    assert post(pool, proxy) == b"3 x"


def test_chunked_request_passes(proxy: FaultProxy, web: HttpServer) -> None:
    """A request in chunks is read to its end; what follows is the next request."""
    head = b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked = head + b"1\r\nx\r\n0\r\n\r\n"
    with connect(proxy.endpoint) as connection:
        connection.sendall(chunked)
        assert proxy.wait(lambda counts: counts.requests == 1)
    assert proxy.wait(lambda counts: counts.bytes_up == len(chunked))


def test_status_is_answered_instead(proxy: FaultProxy, pool: urllib3.PoolManager, web: HttpServer) -> None:
    """The server does not see the request; status, header and body are those that were asked for; then all is well."""
    proxy.add_http(HttpFault(status=503, headers=(("Retry-After", "1"),), body=b"later"), times=2)
    for _ in range(2):
        answer = pool.request("POST", f"http://{proxy.endpoint}/", body=b"x")
        assert (answer.status, answer.headers["Retry-After"], answer.data) == (503, "1", b"later")
    assert web.bodies == []
    assert post(pool, proxy) == b"1 x"
    assert (proxy.counts.answered, proxy.counts.connections) == (2, 1)


def test_request_is_duplicated(proxy: FaultProxy, pool: urllib3.PoolManager, web: HttpServer) -> None:
    """The server gets it twice, the client one answer."""
    proxy.add_http(HttpFault(duplicate=True))
    assert post(pool, proxy) in (b"1 x", b"2 x")
    assert web.bodies == [b"x", b"x"]
    assert post(pool, proxy) == b"3 x"
    assert proxy.counts.duplicated == 1


def test_answer_is_lost(proxy: FaultProxy, pool: urllib3.PoolManager, web: HttpServer) -> None:
    """The server has done the work, and the client's connection is reset."""
    proxy.add_http(HttpFault(lose_answer=True))
    with pytest.raises(urllib3.exceptions.ProtocolError, match="reset by peer"):
        post(pool, proxy)
    assert web.bodies == [b"x"]
    assert proxy.wait(lambda counts: (counts.lost, counts.resets) == (1, 1))
    assert post(pool, proxy) == b"2 x"


def test_fault_without_end_lasts_until_clear(proxy: FaultProxy, pool: urllib3.PoolManager) -> None:
    """`times=0` is for all requests; a fault without action lets one pass before."""
    proxy.add_http(HttpFault())
    proxy.add_http(HttpFault(status=429), times=0)
    statuses = [pool.request("POST", f"http://{proxy.endpoint}/", body=b"x").status for _ in range(4)]
    assert statuses == [200, 429, 429, 429]
    proxy.clear()
    assert post(pool, proxy) == b"2 x"


def test_faults_of_connections_apply(proxy: FaultProxy, pool: urllib3.PoolManager, web: HttpServer) -> None:
    """A held request is read but does not reach the server until the fault is taken away."""
    proxy.set(Fault(truncate_after_down=5))
    with pytest.raises(urllib3.exceptions.HTTPError):
        post(pool, proxy)
    proxy.set(Fault(hold_up=True))
    with connect(proxy.endpoint) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 1\r\nConnection: close\r\n\r\ny")
        assert proxy.wait(lambda counts: (counts.requests, counts.held) == (2, 1))
        assert web.bodies == [b"x"]
        proxy.clear()
        assert connection.recv(5) == b"HTTP/"
    assert web.bodies == [b"x", b"y"]


@pytest.mark.parametrize(
    "request_", [b"\r\n\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"x" * 200_000], ids=["", "x", "long"]
)
def test_bytes_that_are_not_http_end_the_connection(proxy: FaultProxy, request_: bytes) -> None:
    """The proxy does not wait for more bytes."""
    with connect(proxy.endpoint) as connection:
        connection.sendall(request_)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_http_faults_need_http(web: HttpServer) -> None:
    """A proxy of bytes does not know requests; and a status must be one."""
    with FaultProxy(web.endpoint) as proxy, pytest.raises(ValueError, match="http=True"):
        proxy.add_http(HttpFault(status=503))
    with pytest.raises(ValueError, match="200 to 599, got 100"):
        HttpFault(status=100)
