"""Cloud Run's front door: who gets through, and what the service then sees."""

import base64
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3

from sandbox.google import GoogleServer, Request, Response
from sandbox.google.web import WebServer

EXPORTER = "csr-exporter@example-project.iam.gserviceaccount.com"
SIGNER = "csr-signer@example-project.iam.gserviceaccount.com"


@pytest.fixture(scope="module")
def service() -> Iterator[WebServer]:
    """A service that answers 425 with a header and what it saw of the request."""

    def answer(request: Request) -> Response:
        seen = {"method": request.method, "target": request.target, "body": request.body.decode("latin-1")}
        return Response.json(425, {**seen, "headers": request.headers}, {"Retry-After": "3"})

    with WebServer(answer) as server:
        yield server


@pytest.fixture(scope="module")
def google_run(service: WebServer) -> Iterator[GoogleServer]:
    """Google's services with the front door of that service."""
    with GoogleServer(run_target=service.url) as server:
        yield server


@pytest.fixture
def http() -> Iterator[urllib3.PoolManager]:
    """An HTTP client without retries and redirects."""
    with urllib3.PoolManager(retries=False) as pool:
        yield pool


def token(server: GoogleServer, email: str = EXPORTER, audience: str = "", **changed: object) -> str:
    """Return an ID token for the service."""
    extra = {"email": email, "email_verified": True, **changed}
    return server.tokens.id_token(server.configuration.accounts[email], audience or server.run, extra)


def post(
    server: GoogleServer, http: urllib3.PoolManager, headers: dict[str, str], body: bytes = b"{}"
) -> urllib3.BaseHTTPResponse:
    """POST to the service through the front door."""
    return http.request("POST", f"{server.run}/events?x=1", headers=headers, body=body)


def test_invoker_gets_through(google_run: GoogleServer, http: urllib3.PoolManager) -> None:
    """An invoker's request reaches the service as it was, and the service's answer comes back as it was."""
    headers = {
        "Authorization": f"Bearer {token(google_run)}",
        "Content-Type": "application/cloudevents+json",
        "traceparent": "00-1-2-01",
        "Host": "csr-signer.example.com",
    }
    answer = post(google_run, http, headers, b'{"id": 1}')
    assert (answer.status, answer.headers["Retry-After"]) == (425, "3")
    assert answer.headers["Content-Type"].startswith("application/json")
    seen = answer.json()
    assert (seen["method"], seen["target"], seen["body"]) == ("POST", "/events?x=1", '{"id": 1}')
    arrived = dict(seen["headers"])
    assert arrived["Content-Type"] == "application/cloudevents+json"
    assert arrived["Host"] == "csr-signer.example.com"
    assert arrived["X-Forwarded-For"] == "127.0.0.1"
    assert arrived["X-Forwarded-Proto"] == "https"
    assert arrived["traceparent"] == "00-1-2-01"


def test_service_cannot_reuse_the_token(google_run: GoogleServer, http: urllib3.PoolManager) -> None:
    """The service sees who called, but the token's signature is removed."""
    original = token(google_run)
    answer = post(google_run, http, {"Authorization": f"Bearer {original}"})
    scheme, value = dict(answer.json()["headers"])["Authorization"].split(" ")
    header, claims, signature = value.split(".")
    assert scheme == "Bearer"
    assert signature == "SIGNATURE_REMOVED_BY_GOOGLE"
    assert f"{header}.{claims}" == original.rsplit(".", 1)[0]
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["email"] == EXPORTER


def test_own_header_wins(google_run: GoogleServer, http: urllib3.PoolManager) -> None:
    """X-Serverless-Authorization is checked where it is there, and Authorization then reaches the service untouched."""
    headers = {"X-Serverless-Authorization": f"Bearer {token(google_run)}", "Authorization": "Bearer for.the.service"}
    arrived = dict(post(google_run, http, headers).json()["headers"])
    assert arrived["Authorization"] == "Bearer for.the.service"
    assert arrived["X-Serverless-Authorization"].endswith(".SIGNATURE_REMOVED_BY_GOOGLE")


def test_without_token(google_run: GoogleServer, http: urllib3.PoolManager) -> None:
    """Without credentials the answer is 403 in HTML."""
    answer = post(google_run, http, {})
    assert answer.status == 403
    assert answer.headers["Content-Type"] == "text/html; charset=UTF-8"
    assert "<title>403 Forbidden</title>" in answer.data.decode()


def test_caller_without_grant(google_run: GoogleServer, http: urllib3.PoolManager) -> None:
    """A genuine token of an account that is no invoker is answered with 403."""
    answer = post(google_run, http, {"Authorization": f"Bearer {token(google_run, SIGNER)}"})
    assert answer.status == 403


def test_worthless_tokens(google_run: GoogleServer, http: urllib3.PoolManager) -> None:
    """A token for another audience, with another signature, without email, or no ID token at all: 401."""
    good = token(google_run)
    with GoogleServer() as other:
        foreign = other.tokens.id_token(
            other.configuration.accounts[EXPORTER], google_run.run, {"email": EXPORTER, "email_verified": True}
        )
    access_token = google_run.tokens.access_token(EXPORTER, frozenset()).value
    worthless = {
        "other audience": f"Bearer {token(google_run, audience='https://other.example.com')}",
        "longer audience": f"Bearer {token(google_run, audience=google_run.run + '/events')}",
        "other key": f"Bearer {foreign}",
        "removed signature": f"Bearer {good.rsplit('.', 1)[0]}.SIGNATURE_REMOVED_BY_GOOGLE",
        "no signature": f"Bearer {good.rsplit('.', 1)[0]}.",
        "no email": f"Bearer {token(google_run, email_verified=False)}",
        "access token": f"Bearer {access_token}",
        "other scheme": f"Basic {good}",
        "no token": "Bearer",
    }
    for what, authorization in worthless.items():
        answer = post(google_run, http, {"Authorization": authorization})
        assert answer.status == 401, what
        assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"'), what
        assert "<title>401 Unauthorized</title>" in answer.data.decode(), what


def test_refused_requests_do_not_reach_the_service(
    service: WebServer, google_run: GoogleServer, http: urllib3.PoolManager
) -> None:
    """The service never sees a request that was refused."""
    before = len(service.log.exchanges())
    post(google_run, http, {})
    post(google_run, http, {"Authorization": f"Bearer {token(google_run, SIGNER)}"})
    assert len(service.log.exchanges()) == before


def test_expired_token(service: WebServer, http: urllib3.PoolManager) -> None:
    """A token is worth nothing after its hour."""
    times = [1_800_000_000.0]
    with GoogleServer(run_target=service.url, clock=lambda: times[0]) as server:
        headers = {"Authorization": f"Bearer {token(server)}"}
        assert post(server, http, headers).status == 425
        times[0] += 3600
        assert post(server, http, headers).status == 401


def test_absent_service(http: urllib3.PoolManager) -> None:
    """A service that does not answer is a 503 of the front door, in HTML."""
    with WebServer(lambda _: Response(status=200)) as gone:
        target = gone.url
    with GoogleServer(run_target=target) as server:
        answer = post(server, http, {"Authorization": f"Bearer {token(server)}"})
    assert answer.status == 503
    assert answer.headers["Content-Type"].startswith("text/html")


def test_connection_is_kept(google_run: GoogleServer, http: urllib3.PoolManager) -> None:
    """One connection serves many requests, refused ones too."""
    headers = {"Authorization": f"Bearer {token(google_run)}"}
    statuses = [post(google_run, http, sent).status for sent in (headers, {}, headers, headers)]
    assert statuses == [425, 403, 425, 425]
    pool = http.connection_from_url(google_run.run)
    assert isinstance(pool, urllib3.HTTPConnectionPool)
    assert pool.num_connections == 1


def test_chunked_body(google_run: GoogleServer, http: urllib3.PoolManager) -> None:
    """A body in chunks arrives whole."""
    headers = {"Authorization": f"Bearer {token(google_run)}"}
    answer = http.request("POST", f"{google_run.run}/", headers=headers, body=iter([b"one ", b"two"]))
    assert answer.json()["body"] == "one two"


def test_requests_are_forwarded_at_the_same_time() -> None:
    """Thirty-two requests can be with the service at once."""
    everyone = threading.Barrier(32, timeout=30)

    def answer(_: Request) -> Response:
        everyone.wait()
        return Response(status=200)

    with (
        WebServer(answer) as service,
        GoogleServer(run_target=service.url) as server,
        urllib3.PoolManager(maxsize=32) as http,
        ThreadPoolExecutor(32) as threads,
    ):
        headers = {"Authorization": f"Bearer {token(server)}"}
        answers = threads.map(lambda _: post(server, http, headers).status, range(32))
        assert list(answers) == [200] * 32
