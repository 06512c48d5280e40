"""What is dead, what is unready, and what is neither."""

from __future__ import annotations

import socket

import pytest
import urllib3

from csr_exporter.answer import Answer, Verdict
from csr_exporter.configuration import Health as Location
from csr_exporter.csr import Stage
from csr_exporter.dispatcher import Dispatcher
from csr_exporter.health import LONGEST_SILENCE, LONGEST_WITHOUT_CONTACT, Health, HealthServer
from csr_exporter.identity import CachedToken, IdToken
from csr_exporter.reader import Vitals
from tests.exporter.support import SIGNER, VirtualClock, captured_log


def _health(clock: VirtualClock, vitals: Vitals, token: CachedToken | None = None) -> Health:
    with captured_log() as (log, _):
        dispatcher = Dispatcher(
            stages={SIGNER: frozenset(Stage)},
            send=lambda _parcel: Answer(verdict=Verdict.ACKNOWLEDGED),
            clock=clock,
            log=log,
        )
    return Health(readers=[vitals], dispatcher=dispatcher, token=token, clock=clock)


def test_a_reader_without_a_sign_of_life_is_dead() -> None:
    """After three silent watches' time, and not before; waiting out a back-off is a sign of life."""
    clock = VirtualClock()
    vitals = Vitals(beat=clock.now())
    health = _health(clock, vitals)
    clock.time += LONGEST_SILENCE
    assert health.dead() == []
    clock.time += 1
    assert health.dead() == ["reader 0: no sign of life for 226 s"]
    vitals.beat = clock.now()
    assert health.dead() == []


def test_ready_means_that_events_can_flow() -> None:
    """A list, contact within two minutes, no refusal, an ID token once, and not stopping."""
    clock = VirtualClock()
    vitals = Vitals(beat=clock.now())
    token = CachedToken(lambda: IdToken(value="t", lifetime=3600.0), clock)
    health = _health(clock, vitals, token)
    assert health.unready() == ["reader 0: no list yet", "no ID token yet"]
    vitals.listed, vitals.contact = True, clock.now()
    token.renew_early()
    assert health.unready() == []
    clock.time += LONGEST_WITHOUT_CONTACT + 1
    assert health.unready() == ["reader 0: no answer of the API server for 120 s"]
    vitals.contact, vitals.refused = clock.now(), True
    assert health.unready() == ["reader 0: the API server refuses us"]
    vitals.refused, health.stopping = False, True
    assert health.unready() == ["stopping"]


def test_the_pages_say_why() -> None:
    """503 and the reasons as JSON; a client that says nothing does not block the next one for long."""
    clock = VirtualClock()
    health = _health(clock, Vitals(beat=clock.now()))
    clock.time += 1000
    server = HealthServer(Location(port=0), health)
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2])), 1):
            for path, reason in (("livez", "no sign of life for 1000 s"), ("readyz", "no list yet")):
                response = urllib3.request("GET", f"http://{server.address}/{path}", timeout=10)
                assert (response.status, response.json()["ok"]) == (503, False)
                assert response.json()["reasons"] == [f"reader 0: {reason}"]
    finally:
        server.stop()


def test_a_taken_port_is_an_error() -> None:
    """It is raised when the server is made, before anything runs."""
    clock = VirtualClock()
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        HealthServer(Location(port=taken.getsockname()[1]), _health(clock, Vitals(beat=0.0)))
