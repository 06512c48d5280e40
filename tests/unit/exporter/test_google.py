"""The requests that make an ID token, to servers that check them, and what each failure is called."""

import base64
import json
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from csr_exporter.configuration import MetadataServer, UnsafeNone, WorkloadIdentityFederation
from csr_exporter.connection import Timeouts
from csr_exporter.identity import IdentityError, IdToken, project, source
from tests.unit.exporter.support import Connection, Request, ScriptedServer, answer

AUDIENCE = "https://csr-signer-x.a.run.app"
STS_AUDIENCE = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/w/providers/c"
ACCOUNT = "csr-exporter@example-project.iam.gserviceaccount.com"
NOW = 1_800_000_000


def jwt(**claims: object) -> str:
    """A token with these claims and no signature to speak of."""
    parts = [{"alg": "RS256"}, claims]
    return ".".join(
        [*(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts), "c2ln"]
    )


def _google(request: Request, _connection: Connection) -> bytes:
    """STS and IAM Credentials as they should be asked."""
    if request.target == "/v1/token":
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert dict(parse_qsl(request.body.decode())) == {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "audience": STS_AUDIENCE,
            "scope": "https://www.googleapis.com/auth/cloud-platform",
            "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "subject_token": "projected-token",
        }
        return answer(200, {"access_token": "access-token", "expires_in": 3600})
    assert request.target == f"/v1/projects/-/serviceAccounts/{ACCOUNT}:generateIdToken"
    assert request.headers["authorization"] == "Bearer access-token"
    assert json.loads(request.body) == {"audience": AUDIENCE, "includeEmail": True}
    return answer(200, {"token": jwt(exp=NOW + 3600, email=ACCOUNT)}, Date=formatdate(NOW, usegmt=True))


def _federation(url: str, token_file: Path) -> Callable[[], IdToken]:
    identity = WorkloadIdentityFederation(
        token_file=token_file,
        sts_audience=STS_AUDIENCE,
        service_account=ACCOUNT,
        unsafe_sts_url=url,
        unsafe_iam_credentials_url=url,
    )
    fetch = source(identity, AUDIENCE)
    assert fetch is not None
    return fetch


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """The projected service account token."""
    file = tmp_path / "token"
    file.write_text("projected-token\n")
    return file


def test_the_chain_is_asked_exactly_so(token_file: Path) -> None:
    """Projected token to STS, its access token to IAM Credentials; the lifetime is counted by Google's clock."""
    with ScriptedServer(_google) as server:
        got = _federation(server.url, token_file)()
    assert got == IdToken(value=jwt(exp=NOW + 3600, email=ACCOUNT), lifetime=3600.0, principal=ACCOUNT)


def test_the_projected_token_is_read_again_every_time(token_file: Path) -> None:
    """The kubelet replaces it (by a change of symlinks) while the process runs."""
    subjects = []

    def sts(request: Request, _connection: Connection) -> bytes:
        subjects.extend(parse_qs(request.body.decode()).get("subject_token", []))
        return answer(503)

    with ScriptedServer(sts) as server:
        fetch = _federation(server.url, token_file)
        for text in ("first", "second"):
            replacement = token_file.with_name("new")
            replacement.write_text(text)
            replacement.rename(token_file)
            with pytest.raises(IdentityError):
                fetch()
    assert subjects == ["first", "second"]


@pytest.mark.parametrize(
    ("path", "reply", "message"),
    [
        (
            "/v1/token",
            answer(400, {"error": "invalid_target", "error_description": "The target service is invalid"}),
            f"STS, audience '{STS_AUDIENCE}': 400 invalid_target: The target service is invalid",
        ),
        ("/v1/token", answer(200, {"access_token": 5}), "access_token: Invalid value: int: must be printable text"),
        (
            "/v1/token",
            answer(200, {"access_token": "a\r\nb"}),
            "access_token: Invalid value: str: must be printable text",
        ),
        ("/v1/token", answer(200, b"<html>"), "access_token: Invalid value: NoneType: must be printable text"),
        ("/v1/token", answer(404, b"<html>" + b"x" * 70_000), "the response: Too long: must have at most"),
        (
            "Accounts",
            answer(403, {"error": {"code": 403, "message": "Permission denied", "status": "PERMISSION_DENIED"}}),
            f"generateIdToken for {ACCOUNT}: 403 PERMISSION_DENIED: Permission denied",
        ),
        (
            "Accounts",
            answer(200, {"token": "no-jwt"}),
            "the ID token: Invalid value: 6 characters: must be a JWT with exp",
        ),
        ("Accounts", answer(200, {"token": jwt(sub="x")}), "must be a JWT with exp"),
        ("Accounts", answer(200, {"token": jwt(exp=1)}), "the ID token expired"),
        ("Accounts", answer(200, {"token": jwt(exp=float("nan"))}), "the ID token expired"),
        ("Accounts", answer(302, Location="https://elsewhere.example.com/"), ": 302"),
        ("Accounts", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "generateIdToken for"),
    ],
)
def test_a_failure_names_its_step(token_file: Path, path: str, reply: bytes, message: str) -> None:
    """Which service, which audience or account, and Google's own words; never a token, never a page."""

    def faulty(request: Request, connection: Connection) -> bytes | None:
        if path in request.target:
            connection.send(reply)
            return None
        return _google(request, connection)

    with ScriptedServer(faulty) as server, pytest.raises(IdentityError) as raised:
        _federation(server.url, token_file)()
    assert message in str(raised.value)
    assert "access-token" not in str(raised.value)
    assert "html" not in str(raised.value)
    assert len(str(raised.value)) < 400


def test_a_missing_projected_token_is_named(tmp_path: Path) -> None:
    """The error has the file's path, and nothing is asked."""
    with ScriptedServer(_google) as server:
        with pytest.raises(IdentityError, match=r"token file .*absent"):
            _federation(server.url, tmp_path / "absent")()
        assert server.requests == []


def test_the_metadata_server_is_asked_exactly_so() -> None:
    """With its header, the audience quoted and the full format; the answer is the token."""
    token = jwt(exp=time.time() + 1800)

    with ScriptedServer(lambda _request, _connection: answer(200, token.encode() + b"\n")) as server:
        fetch = source(MetadataServer(url=server.url), AUDIENCE)
        assert fetch is not None
        got = fetch()
    assert got.value == token
    assert 1700 < got.lifetime <= 1800
    (request,) = server.requests
    assert request.headers["metadata-flavor"] == "Google"
    assert urlsplit(request.target).path == "/computeMetadata/v1/instance/service-accounts/default/identity"
    assert parse_qs(urlsplit(request.target).query) == {"audience": [AUDIENCE], "format": ["full"]}


@pytest.mark.parametrize("reply", [answer(404, b"<html>not ready"), answer(200, b"<html>not ready")])
def test_a_metadata_server_that_is_not_ready(reply: bytes) -> None:
    """An error page is an error, with status 200 too."""
    with ScriptedServer(lambda _request, _connection: reply) as server:
        fetch = source(MetadataServer(url=server.url), AUDIENCE)
        assert fetch is not None
        with pytest.raises(IdentityError, match="metadata server: "):
            fetch()


def test_no_identity_needs_no_token() -> None:
    """A sandbox's function is called without one."""
    assert source(UnsafeNone(), AUDIENCE) is None


@pytest.mark.parametrize(
    ("claims", "principal"),
    [({"email": ACCOUNT, "sub": "1"}, ACCOUNT), ({"sub": "117"}, "117"), ({}, ""), ({"email": 5}, "5")],
)
def test_the_token_says_whom_it_names(claims: dict[str, object], principal: str) -> None:
    """For messages only: whether it is true is for the receiver to say."""
    token = jwt(exp=time.time() + 1800, **claims)
    with ScriptedServer(lambda _request, _connection: answer(200, token.encode())) as server:
        fetch = source(MetadataServer(url=server.url), AUDIENCE)
        assert fetch is not None
        assert fetch().principal == principal


@pytest.mark.parametrize("skew", [-300, 300])
def test_a_clock_that_is_wrong_does_not_matter(skew: int, token_file: Path) -> None:
    """The lifetime is the same, whatever our clock says: it is counted by the service's own Date."""

    def google_at(request: Request, connection: Connection) -> bytes:
        reply = _google(request, connection)
        if "Accounts" not in request.target:
            return reply
        moment = int(time.time()) + skew
        return answer(200, {"token": jwt(exp=moment + 3600)}, Date=formatdate(moment, usegmt=True))

    with ScriptedServer(google_at) as server:
        assert _federation(server.url, token_file)().lifetime == 3600.0


@pytest.mark.parametrize("date", ["", "soon", "Fri, 15 Jan 99999999999999999999 08:00:40 GMT"])
def test_a_date_that_makes_no_sense(date: str) -> None:
    """Then the lifetime is counted by our own clock."""
    token = jwt(exp=time.time() + 1800)
    with ScriptedServer(lambda _request, _connection: answer(200, token.encode(), Date=date)) as server:
        fetch = source(MetadataServer(url=server.url), AUDIENCE)
        assert fetch is not None
        assert 0 < fetch().lifetime <= 1800


def test_a_metadata_server_that_is_slow() -> None:
    """It is waited for as long as the time-outs say, and then it is an error like any other."""
    with ScriptedServer(lambda _request, connection: connection.hang()) as server:
        slow = source(MetadataServer(url=server.url), AUDIENCE, timeouts=Timeouts(read=0.1, total=0.2))
        assert slow is not None
        with pytest.raises(IdentityError, match=r"metadata server: .*timed out"):
            slow()


def test_the_project_of_the_service_account() -> None:
    """Where the configuration names an account; a metadata server's is known only to Google."""
    identity = WorkloadIdentityFederation(
        token_file=Path("/absent"), sts_audience=STS_AUDIENCE, service_account=ACCOUNT
    )
    assert project(identity) == "example-project"
    assert [project(other) for other in (MetadataServer(), UnsafeNone())] == ["", ""]
