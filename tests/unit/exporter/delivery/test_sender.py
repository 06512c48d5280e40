"""One event over real HTTP to a function that answers, refuses, hangs or breaks off."""

import dataclasses
import datetime as dt
import json
import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from csr_exporter.configuration import Function
from csr_exporter.connection import Timeouts
from csr_exporter.csr import Stage
from csr_exporter.delivery import cloud_event
from csr_exporter.delivery.sender import TIMEOUTS, Sender
from csr_exporter.identity import CachedToken, IdentityError, IdToken
from csr_exporter.metrics import Metrics
from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.retry_policy import Answer, Verdict
from sandbox.pki import Authority
from tests.paths import INFRA
from tests.unit.exporter.support import (
    CHUNKED,
    LONG,
    SOURCE,
    Connection,
    Request,
    ScriptedServer,
    VirtualClock,
    answer,
    chunk,
    reference,
)

DONE: dict[str, object] = {"outcome": "issued"}
ITEM = WorkItem(reference=reference(), stage=Stage.PENDING, attempt=1, resend=0)
PATIENT = Timeouts(connect=LONG, read=LONG, total=LONG)
SHORT = Timeouts(connect=1.0, read=0.2, total=0.4)


@contextmanager
def _function(
    handler: Callable[[Request, Connection], bytes | None],
    *,
    token: CachedToken | None = None,
    timeouts: Timeouts = PATIENT,
    path: str = "/",
) -> Iterator[tuple[Sender, ScriptedServer]]:
    with ScriptedServer(handler) as server:
        where = Function(url=server.url + path, audience="https://audience.example.com")
        sender = Sender(source=SOURCE, function=where, token=token, timeouts=timeouts)
        try:
            yield sender, server
        finally:
            sender.close()


def _tokens() -> CachedToken:
    numbers = iter(range(1, 1000))
    return CachedToken(
        lambda: IdToken(value=f"token-{next(numbers)}", lifetime=3600.0, principal="exporter@p.example.com"),
        VirtualClock(),
        metrics=Metrics(),
    )


@pytest.mark.parametrize(("path", "target"), [("/", "/"), ("", "/"), ("/a/b", "/a/b")])
def test_the_event_is_posted(path: str, target: str) -> None:
    """Structured mode, to the URL's own path, with the token; the connection is kept for the next event."""
    with _function(lambda *_: answer(200, DONE), token=_tokens(), path=path) as (sender, server):
        first, second = sender.send(ITEM), sender.send(ITEM)
    assert first == second == Answer(verdict=Verdict.ACKNOWLEDGED, status=200, reason="issued")
    request = server.requests[0]
    assert (request.method, request.target) == ("POST", target)
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.headers["authorization"] == "Bearer token-1"
    encoded = cloud_event.encode(source=SOURCE, reference=reference(), stage=Stage.PENDING)
    assert request.body == encoded.body
    assert request.headers["traceparent"] == encoded.traceparent
    assert len(server.requests) == 2


def test_without_identity_no_token_is_sent() -> None:
    """A sandbox's function gets no Authorization header."""
    with _function(lambda *_: answer(200, DONE)) as (sender, server):
        assert sender.send(ITEM).verdict is Verdict.ACKNOWLEDGED
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (425, {"Retry_After": "5"}, Answer(verdict=Verdict.LATER, status=425, retry_after=5.0)),
        (429, {"Retry_After": "30"}, Answer(verdict=Verdict.OVERLOADED, status=429, retry_after=30.0)),
        (503, {"Retry_After": "1000000000"}, Answer(verdict=Verdict.UNAVAILABLE, status=503, retry_after=300.0)),
        (503, {"Retry_After": "soon"}, Answer(verdict=Verdict.UNAVAILABLE, status=503)),
        (500, {}, Answer(verdict=Verdict.LATER, status=500)),
        (400, {}, Answer(verdict=Verdict.POISON, status=400)),
    ],
)
def test_answers(status: int, headers: dict[str, str], expected: Answer) -> None:
    """Status and Retry-After become a verdict and seconds."""
    with _function(lambda *_: answer(status, b"", **headers)) as (sender, _):
        assert sender.send(ITEM) == expected


def _slow_loris(_: Request, connection: Connection) -> None:
    connection.send(CHUNKED)
    for _round in range(100):
        connection.send(chunk(b"x"))
        try_again = connection.wait(0.1)
        if not try_again:
            return


@pytest.mark.parametrize(
    "handler",
    [
        lambda _, connection: connection.hang(),
        lambda _, connection: (connection.send(b"HTTP/1.1 200 OK\r\nContent-Le"), connection.hang())[1],
        lambda _, connection: (connection.send(CHUNKED + chunk(b"{")), connection.hang())[1],
        _slow_loris,
        lambda _, connection: connection.reset(),
        lambda _, connection: connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
        lambda _, connection: connection.send(CHUNKED + b"zz\r\n"),
        lambda _, connection: connection.send(b"\x16\x03\x01 this is no HTTP\r\n\r\n"),
        lambda *_: None,
    ],
    ids=["hangs", "half a head", "body without end", "slow loris", "reset", "cut", "bad chunk", "no HTTP", "closes"],
)
def test_an_answer_that_does_not_come_frees_its_slot(
    handler: Callable[[Request, Connection], bytes | None],
) -> None:
    """Within the time-outs the sender has its answer: slower, and this CSR again."""
    with _function(handler, timeouts=SHORT) as (sender, _):
        got = sender.send(ITEM)
    assert (got.verdict, got.status) == (Verdict.SLOW, None)
    assert got.reason


@pytest.mark.parametrize(
    "body",
    [b"", b"ok", b"<html>Congratulations", b"{}", b'{"outcome": 5}', b'{"outcome": "two words"}', b"x" * (1 << 20)],
    ids=["empty", "text", "a page", "no outcome", "a number", "no code", "a megabyte"],
)
@pytest.mark.parametrize("status", [200, 202, 204])
def test_success_is_believed_only_of_the_function(status: int, body: bytes) -> None:
    """Another service answers 200 too, and would sign nothing: no CSR is called acknowledged, and none is blamed."""
    with _function(lambda *_: answer(status, b"" if status == 204 else body)) as (sender, server):
        got = sender.send(ITEM)
    assert (got.verdict, got.status) == (Verdict.ENDPOINT, status)
    assert f"check that {server.url + '/'!r} is the function's URL" in got.reason


def test_a_fault_is_no_success() -> None:
    """Whatever status it comes with: this CSR again."""
    with _function(lambda *_: answer(200, {"outcome": "fault", "reason": "ItemError"})) as (sender, _):
        assert sender.send(ITEM) == Answer(verdict=Verdict.LATER, status=200, reason="fault ItemError")


def test_a_wrong_configuration_is_told_apart() -> None:
    """By the fault that the function names. A page, or text that is no code, does not count."""
    fault = {"outcome": "fault", "reason": "ConfigurationError"}
    for body, verdict, reason in (
        (fault, Verdict.CONFIGURATION, "fault ConfigurationError"),
        ({**fault, "outcome": "deferred"}, Verdict.UNAVAILABLE, "deferred ConfigurationError"),
        ({"outcome": "fault", "reason": "Configuration Error\n"}, Verdict.UNAVAILABLE, "fault"),
        ({"outcome": "fault", "reason": "C" * 65}, Verdict.UNAVAILABLE, "fault"),
        (b"ConfigurationError", Verdict.UNAVAILABLE, ""),
    ):
        with _function(lambda *_, body=body: answer(503, body)) as (sender, _):
            assert sender.send(ITEM) == Answer(verdict=verdict, status=503, reason=reason)


def test_a_function_that_is_not_there() -> None:
    """Connection refused is no fault of the CSR's, and reads the same every time."""
    with ScriptedServer(lambda *_: None) as server:
        url = server.url
    sender = Sender(source=SOURCE, function=Function(url=url, audience="a"), token=None)
    first, second = sender.send(ITEM), sender.send(ITEM)
    assert first == second
    assert first.verdict is Verdict.SLOW
    assert "refused" in first.reason


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    """Neither event nor token goes elsewhere; the answer says that this is not the function."""
    with ScriptedServer(lambda *_: answer(200, DONE)) as elsewhere:
        reply = answer(status, Location=elsewhere.url + "/")
        with _function(lambda *_: reply, token=_tokens()) as (sender, _):
            got = sender.send(ITEM)
    assert (got.verdict, got.status) == (Verdict.ENDPOINT, status)
    assert elsewhere.requests == []


def test_410_retires() -> None:
    """The receiver wants no more events; the hint names the URL."""
    with _function(lambda *_: answer(410)) as (sender, server):
        got = sender.send(ITEM)
    assert got.verdict is Verdict.RETIRED
    assert server.url in got.reason


def test_a_404_names_url_and_ingress() -> None:
    """A wrong URL and a forbidden network look the same from here."""
    with _function(lambda *_: answer(404, b"<html>")) as (sender, server):
        got = sender.send(ITEM)
    assert got == Answer(
        verdict=Verdict.ENDPOINT,
        status=404,
        reason=f"404: check that {server.url + '/'!r} is the function's URL, and that its ingress admits this network",
    )


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (
            401,
            "401: check that the audience 'https://audience.example.com' is the service's URI; the token names {who}",
        ),
        (
            403,
            (
                "403: check that {who} may invoke the service, and that the audience"
                " 'https://audience.example.com' is its URI"
            ),
        ),
    ],
)
def test_a_refused_token_is_fetched_again_once(status: int, reason: str) -> None:
    """The second refusal is the answer, with audience and principal; a function that takes the new token gets it."""
    with _function(lambda *_: answer(status), token=_tokens()) as (sender, server):
        got = sender.send(ITEM)
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer token-1", "Bearer token-2"]
    assert (got.verdict, got.status) == (Verdict.CREDENTIAL, status)
    assert got.reason == reason.format(who="exporter@p.example.com")

    def takes_the_second(request: Request, _connection: Connection) -> bytes:
        return answer(200, DONE) if request.headers["authorization"].endswith("2") else answer(status)

    with _function(takes_the_second, token=_tokens()) as (sender, _):
        assert sender.send(ITEM).verdict is Verdict.ACKNOWLEDGED


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_without_identity_says_so(status: int) -> None:
    """A sandbox's exporter that meets a function that wants to know who it is."""
    with _function(lambda *_: answer(status)) as (sender, _):
        got = sender.send(ITEM)
    assert got.verdict is Verdict.CREDENTIAL
    assert "this identity" in got.reason


def test_a_token_that_ends_in_flight_costs_one_refusal() -> None:
    """The function's clock is ahead: eight deliveries are refused with the old token, and share one new one."""
    tokens = _tokens()
    old = tokens.token()
    barrier = threading.Barrier(8)

    def strict(request: Request, _connection: Connection) -> bytes:
        if request.headers["authorization"] == f"Bearer {old}":
            barrier.wait(LONG)
            return answer(401)
        return answer(200, DONE)

    with _function(strict, token=tokens) as (sender, server), ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(sender.send, [ITEM] * 8))
    assert {got.verdict for got in answers} == {Verdict.ACKNOWLEDGED}
    assert Counter(request.headers["authorization"] for request in server.requests) == {
        "Bearer token-1": 8,
        "Bearer token-2": 8,
    }


def test_without_a_token_nothing_is_sent() -> None:
    """While there is no identity the function is not even connected to."""

    def fails() -> IdToken:
        raise IdentityError("STS: 503")

    with _function(lambda *_: answer(200), token=CachedToken(fails, VirtualClock(), metrics=Metrics())) as (
        sender,
        server,
    ):
        assert sender.send(ITEM) == Answer(verdict=Verdict.CREDENTIAL, reason="STS: 503")
    assert server.requests == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"outcome": "refused", "reason": "san.dns.not_allowed"}', "refused san.dns.not_allowed"),
        (b'{"outcome": "deferred", "reason": null}', "deferred"),
        (b'{"outcome": "two words", "reason": "a\\nb"}', ""),
        (b'{"reason": "' + b"x" * 65 + b'"}', ""),
        (b'["issued"]', ""),
        (b"[" * 5000, ""),
        (b"\xff", ""),
        (b"", ""),
    ],
)
def test_only_short_codes_of_an_answer_are_repeated(body: bytes, reason: str) -> None:
    """The function's outcome and reason where they are codes; nothing of any other text."""
    with _function(lambda *_: answer(425, body)) as (sender, _):
        assert sender.send(ITEM).reason == reason


def test_a_page_that_echoes_the_token_is_not_repeated() -> None:
    """Some frameworks answer 400 with the request's headers in the page."""

    def echo(request: Request, _connection: Connection) -> bytes:
        return answer(400, json.dumps({"outcome": "x", "reason": request.headers["authorization"]}).encode())

    with _function(echo, token=_tokens()) as (sender, _):
        got = sender.send(ITEM)
    assert got == Answer(verdict=Verdict.POISON, status=400, reason="x")


class Tls:
    """A server certificate that some client must not accept, and the authority that the client trusts."""

    def __init__(self, directory: Path, fault: str) -> None:
        """Makes both; the files are in `directory`."""
        trusted = Authority.create("trusted")
        issuer = Authority.create("other") if fault == "wrong CA" else trusted
        names = {"addresses": ["127.0.0.2"]} if fault == "wrong host name" else {"addresses": ["127.0.0.1"]}
        pair = issuer.issue("function", server=True, **names)
        if fault == "expired":
            pair = dataclasses.replace(pair, certificate_pem=_expired(pair.certificate_pem, issuer))
        certificate, key = pair.write(directory, "server")
        self.trusted = directory / "trusted.pem"
        self.trusted.write_bytes(trusted.certificate_pem)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)


def _expired(pem: bytes, issuer: Authority) -> bytes:
    """The same certificate with a life that is over."""
    old = x509.load_pem_x509_certificate(pem)
    builder = (
        x509.CertificateBuilder(issuer_name=old.issuer, subject_name=old.subject, extensions=list(old.extensions))
        .public_key(old.public_key())
        .serial_number(old.serial_number)
        .not_valid_before(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2020, 2, 1, tzinfo=dt.UTC))
    )
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("fault", ["", "wrong CA", "wrong host name", "expired"])
def test_tls_is_verified_and_never_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """A function that cannot prove its name gets neither event nor token, encrypted or not; one that can gets both."""
    tls = Tls(tmp_path, fault)
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.trusted))  # stands for the system's roots
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    with ScriptedServer(lambda *_: answer(200, DONE), tls.context) as server:
        where = Function(url=server.url + "/", audience="a")
        sender = Sender(source=SOURCE, function=where, token=_tokens(), timeouts=PATIENT)
        got = sender.send(ITEM)
        sender.close()
    if fault:
        assert (got.verdict, got.status, server.requests) == (Verdict.SLOW, None, [])
        assert "certificate verify failed" in got.reason
    else:
        assert got.verdict is Verdict.ACKNOWLEDGED


@pytest.mark.parametrize(
    ("module", "setting"), [("function", r"timeout_seconds += (\d+)"), ("service", r'timeout += "(\d+)s"')]
)
def test_the_exporter_outwaits_cloud_run(module: str, setting: str) -> None:
    """Terraform's time limit ends a request before the exporter gives up, so that its next event is no duplicate."""
    found = re.findall(setting, (INFRA / "modules" / module / "main.tf").read_text(encoding="utf-8"))
    assert [int(seconds) < TIMEOUTS.read for seconds in found] == [True]
