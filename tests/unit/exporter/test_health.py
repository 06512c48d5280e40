"""What is dead, what is unready, what is neither; and the pages that say so, from one thread."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
import urllib3

from csr_exporter import pages
from csr_exporter.channel import Channel
from csr_exporter.configuration import Health as Location
from csr_exporter.csr import Seen, Stage
from csr_exporter.health import LONGEST_SILENCE, LONGEST_WITHOUT_CONTACT, Health, HealthServer
from csr_exporter.identity import CachedToken, IdToken
from csr_exporter.metrics import Metrics
from csr_exporter.pages import MAX_CONNECTIONS, PageServer
from csr_exporter.queue.retry_policy import Answer, Verdict
from csr_exporter.watch.reflector import ReflectorStatus
from tests.unit.exporter.support import LONG, SIGNER, VirtualClock, captured_log, core, reference, wait_until


def _health(clock: VirtualClock, status: ReflectorStatus, token: CachedToken | None = None) -> Health:
    metrics = Metrics()
    with captured_log() as (log, _):
        store, dispatcher = core(log, metrics, clock)
    store.watched([Seen(reference=reference(), stage=Stage.PENDING)])
    return Health(reflectors=[status], dispatcher=dispatcher, token=token, clock=clock, registry=metrics.registry)


def test_a_reader_without_a_sign_of_life_is_dead() -> None:
    """After three silent watches' time, and not before; waiting out a back-off is a sign of life."""
    clock = VirtualClock()
    status = ReflectorStatus(beat=clock.now())
    health = _health(clock, status)
    clock.time += LONGEST_SILENCE
    assert health.dead() == []
    clock.time += 1
    assert health.dead() == ["reflector 0: no heartbeat for 226 s"]
    status.beat = clock.now()
    assert health.dead() == []


def test_ready_means_that_events_can_flow() -> None:
    """A list, contact within two minutes, no refusal, an ID token once, and not stopping."""
    clock = VirtualClock()
    status = ReflectorStatus(beat=clock.now())
    token = CachedToken(lambda: IdToken(value="t", lifetime=3600.0), clock, metrics=Metrics())
    health = _health(clock, status, token)
    assert health.unready() == ["reflector 0: no list yet", "no ID token yet"]
    status.listed, status.contact = True, clock.now()
    token.renew_early()
    assert health.unready() == []
    clock.time += LONGEST_WITHOUT_CONTACT + 1
    assert health.unready() == ["reflector 0: no answer from the API server for 120 s"]
    status.contact, status.refused = clock.now(), True
    assert health.unready() == ["reflector 0: the API server refuses the list or the watch; check RBAC"]
    status.refused, health.stopping = False, True
    assert health.unready() == ["stopping"]


def test_a_wrong_configuration_of_the_function_is_a_reason_and_leaves_the_exporter_ready() -> None:
    """If all replicas turned unready together, a rollout would stop although each does its work."""
    clock = VirtualClock()
    status = ReflectorStatus(beat=clock.now(), listed=True, contact=clock.now())
    wrong = Answer(verdict=Verdict.CONFIGURATION, status=503, reason="fault ConfigurationError")
    with captured_log() as (log, _):
        metrics = Metrics()
        store, dispatcher = core(log, metrics, clock, send=lambda _: wrong)
        store.watched([Seen(reference=reference(), stage=Stage.PENDING)])
        thread = threading.Thread(target=dispatcher.run)
        thread.start()
        wait_until(lambda: bool(dispatcher.misconfigured))
        dispatcher.drain(LONG)
        thread.join()
        server = HealthServer(
            Location(address="127.0.0.1", port=0),
            Health(reflectors=[status], dispatcher=dispatcher, token=None, clock=clock, registry=metrics.registry),
            log,
        )
        server.start()
        response = _get(server, "/readyz")
        server.stop()
    assert (response.status, response.json()["ok"]) == (200, True)
    (reason,) = response.json()["reasons"]
    assert reason == (
        f"{SIGNER}: the function's configuration, key or permissions are wrong: an operator must act; the function's"
        " log says which"
    )


@contextlib.contextmanager
def _serving(address: str = "127.0.0.1") -> Iterator[HealthServer]:
    clock = VirtualClock()
    it = _health(clock, ReflectorStatus(beat=clock.now()))
    clock.time += 1000
    location = Location(address=address, port=0)
    with captured_log() as (log, _):
        server = HealthServer(location, it, log)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _get(server: HealthServer, path: str) -> urllib3.BaseHTTPResponse:
    host = server.address.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - as it is bound in one of the tests
    return urllib3.request("GET", f"http://{host}{path}", timeout=LONG)


def test_the_pages_say_why() -> None:
    """503 and the reasons as JSON."""
    with _serving() as server:
        for path, reason in (("livez", "no heartbeat for 1000 s"), ("readyz", "no list yet")):
            response = _get(server, f"/{path}")
            assert (response.status, response.json()["ok"]) == (503, False)
            assert response.json()["reasons"] == [f"reflector 0: {reason}"]


def test_the_page_of_the_metrics() -> None:
    """In the text format that every Prometheus reads; anything else is not there, and only GET is answered."""
    with _serving() as server:
        response = _get(server, "/metrics")
        assert response.status == 200
        assert b'\ncsr_exporter_csr_pending{stage="pending"} 1.0\n' in response.data
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert _get(server, "/").status == 404
        assert urllib3.request("POST", f"http://{server.address}/metrics", timeout=LONG).status == 405


def test_queue_and_metrics_are_shown_on_loopback_only() -> None:
    """Uids are nobody's business in the pod network, and the section `metrics` says who may scrape."""
    with _serving() as server:
        assert _get(server, "/debug/queue").json()[0]["uid"] == reference().uid
    with _serving("0.0.0.0") as server:  # noqa: S104 - what is tested
        assert [_get(server, path).status for path in ("/debug/queue", "/metrics", "/readyz")] == [404, 404, 503]


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET /livez HT",
        b"GET /livez HTTP/1.1\r\nA: b\r\n",
        b"GET /metrics HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
        b"x" * 100_000,
    ],
)
def test_attack_clients_that_do_not_go_on_keep_no_probe_out(said: bytes) -> None:
    """One connection more than there may be ends the oldest, whatever the clients said so far."""
    with _serving() as server, contextlib.ExitStack() as held:
        for _ in range(2 * MAX_CONNECTIONS):
            slow = held.enter_context(socket.create_connection(_place(server), LONG))
            with contextlib.suppress(OSError):
                slow.sendall(said)
        assert _get(server, "/metrics").status == 200


def test_a_connection_has_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then keeps no connection open: the time is for the whole conversation."""
    monkeypatch.setattr(pages, "CONNECTION_SECONDS", 0.5)
    with _serving() as server, socket.create_connection(_place(server), LONG) as slow:
        ended = threading.Event()

        def drip() -> None:
            with contextlib.suppress(OSError):
                while not ended.wait(pages.CONNECTION_SECONDS / 10):
                    slow.sendall(b"x")

        dripping = threading.Thread(target=drip)
        dripping.start()
        assert slow.recv(1) == b""
        ended.set()
        dripping.join()


def test_many_requests_are_answered_one_after_the_other() -> None:
    """A scraper and the kubelet at the same time: each gets its page."""
    with _serving() as server:
        pages: list[int] = []
        threads = [threading.Thread(target=lambda: pages.append(_get(server, "/metrics").status)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG)
    assert pages == [200] * 8


@pytest.mark.parametrize("address", ["ab", "1.2.3", "192.0.2.1", "::ffff:"])
def test_an_address_that_is_none_or_not_ours_is_a_warning(address: str) -> None:
    """The log and the other pages name it, and the exporter is as ready as without."""
    it = _health(VirtualClock(), ReflectorStatus(beat=0.0))
    unready = it.unready()
    with captured_log() as (log, lines):
        it.servers = [HealthServer(Location(address=address, port=0), it, log)]
        (line,) = lines()
    assert it.warnings() == [line["error"]]
    assert it.warnings()[0].startswith("health: Invalid value: ")
    assert it.unready() == unready


def test_a_page_that_fails_is_logged_and_the_others_are_served() -> None:
    """Its client gets 500."""
    with captured_log() as (log, lines):
        shown = {"/wrong": lambda: (200, "", bytes.fromhex("x")), "/right": lambda: (200, "text/plain", b"x")}
        server = PageServer("health", "127.0.0.1", 0, shown, log=log)
        server.start()
        try:
            statuses = [
                urllib3.request("GET", f"http://{server.address}{path}", timeout=LONG, retries=False).status
                for path in shown
            ]
        finally:
            server.stop()
        (line,) = lines()
    assert statuses == [500, 200]
    assert line["page"] == "/wrong"
    assert str(line["error"]).startswith("ValueError(")


def test_a_machine_without_dual_stack_serves_an_ipv6_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether one socket can be both is the machine's affair, and no reason to end."""
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with _serving("::1") as server:
        assert _get(server, "/livez").status == 503


def test_attack_a_client_that_always_sends_keeps_no_other_out() -> None:
    """Whatever there is to read, another client's task goes on between two pieces."""

    async def read_beside_another() -> bool:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.settimeout(0)
            theirs.sendall(b"x" * 100)
            other = asyncio.create_task(asyncio.Event().wait())
            other.cancel()
            await Channel(asyncio.get_running_loop(), ours).receive()
            return other.done()

    assert asyncio.run(read_beside_another())


def _place(server: HealthServer) -> tuple[str, int]:
    host, port = server.address.rsplit(":", 1)
    return host, int(port)
