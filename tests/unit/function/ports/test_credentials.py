"""How the function proves itself, and where its tokens never go."""

import asyncio
import base64
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.auth import jwt
from google.auth.credentials import Credentials

from csr_signer.cluster.credentials import SCOPES, BearerToken
from csr_signer.cluster.session import session
from csr_signer.configuration.schema import Authentication, ClusterConfiguration, GoogleAccessToken, GoogleIdToken
from csr_signer.errors import ConfigurationError, UnavailableError
from sandbox.google import GoogleServer
from sandbox.google.web import Response
from sandbox.kubernetes import KubernetesServer
from sandbox.pki import Authority
from tests.unit.function.ports.answers import answering
from tests.unit.function.ports.conftest import SOURCE, USER, connected

SIGNER = "csr-signer@example-project.iam.gserviceaccount.com"
ACCESS = "csr-access-demo@example-project.iam.gserviceaccount.com"
WAYS = {
    "an access token": Authentication(google_access_token=GoogleAccessToken(service_account=ACCESS)),
    "an ID token": Authentication(google_id_token=GoogleIdToken(audience="https://cluster.example.com")),
}


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleServer]:
    """Google's metadata server and IAM Credentials, where google-auth looks for them."""
    with GoogleServer() as server:
        # google-auth reads GCE_METADATA_HOST when it is imported, which was long ago.
        monkeypatch.setattr("google.auth.compute_engine._metadata._GCE_METADATA_HOST", server.metadata)
        generate = f"{server.iam_credentials}/v1/projects/-/serviceAccounts/{{}}:generateAccessToken"
        monkeypatch.setattr("google.auth.iam._IAM_ENDPOINT", generate)
        yield server


@pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS)
def test_a_google_token_goes_to_the_configured_server(google: GoogleServer, ways: Authentication) -> None:
    """Every call carries a bearer token, which is fetched once."""
    with answering(404) as (_, asked):
        url = f"http://127.0.0.1:{asked.port}"
        with connected(ClusterConfiguration(source=SOURCE, server=url, authentication=ways)) as cluster:
            for _ in range(2):
                with pytest.raises(UnavailableError):  # this 404 is no API server's
                    cluster.get_csr("name")
    (token,) = {headers["Authorization"] for headers in asked.headers}
    assert token.startswith("Bearer ")
    fetched = [exchange for exchange in google.metadata_server.log.exchanges() if "default/" in exchange.request.path]
    assert len([exchange for exchange in fetched if exchange.request.path.endswith(("token", "identity"))]) == 1


@pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS)
def test_a_connection_that_nothing_uses_asks_google_for_nothing(google: GoogleServer, ways: Authentication) -> None:
    """google-auth blocks, and the function opens its sessions on the event loop."""
    before = len(google.metadata_server.log.exchanges())
    with connected(ClusterConfiguration(source=SOURCE, server="https://127.0.0.1:1", authentication=ways)):
        assert len(google.metadata_server.log.exchanges()) == before


def token_sent(google: GoogleServer, ways: Authentication) -> str:
    """What an API server, or whoever sits there, learns from one request."""
    with answering(404) as (_, asked):
        url = f"http://127.0.0.1:{asked.port}"
        configuration = ClusterConfiguration(source=SOURCE, server=url, authentication=ways)
        with connected(configuration) as cluster, pytest.raises(UnavailableError):
            cluster.get_csr("name")
    assert google.configuration.attached == SIGNER
    return str(asked.headers[0]["Authorization"])


def test_a_stolen_access_token_is_of_an_account_without_keys(google: GoogleServer) -> None:
    """An API server that keeps the token has the access account's rights, never those of the function's account."""
    stolen = google.tokens.bearer(token_sent(google, WAYS["an access token"]))
    assert stolen is not None
    assert stolen.principal == ACCESS
    # GKE takes no narrower scope, and needs the email to name the user.
    assert stolen.scopes == set(SCOPES)
    # The token that pays for it reaches IAM Credentials and never leaves for an API server.
    (asked,) = [each.request for each in google.api.log.exchanges() if "generateAccessToken" in each.request.path]
    own = google.tokens.bearer(asked.header("Authorization"))
    assert own is not None
    assert own.principal == SIGNER
    assert own.scopes == {"https://www.googleapis.com/auth/iam"}


def test_a_stolen_id_token_is_useless_at_google(google: GoogleServer) -> None:
    """It is no access token, so it needs no separate account; the next test checks its audience."""
    assert google.tokens.bearer(token_sent(google, WAYS["an ID token"])) is None


def test_an_account_that_may_not_be_impersonated_is_named(google: GoogleServer) -> None:
    """Without the grant no API server is asked; the operator learns which setting and which role."""
    ways = Authentication(google_access_token=GoogleAccessToken(service_account=SIGNER))
    with answering(200) as (_, asked):
        url = f"http://127.0.0.1:{asked.port}"
        configuration = ClusterConfiguration(source=SOURCE, server=url, authentication=ways)
        with (
            connected(configuration) as cluster,
            pytest.raises(ConfigurationError, match=r"google_access_token\.service_account: Forbidden: .*User on the"),
        ):
            cluster.get_csr("name")
        assert asked == []


@pytest.mark.parametrize("body", [b"", b"[]", b'{"error": "x"}', b'{"error": {"status": "UNAVAILABLE"}}'])
def test_iam_credentials_that_fail_are_unavailability(google: GoogleServer, body: bytes) -> None:
    """Anything but a denial passes with time."""
    google.api.fail_next(Response(status=503, body=body))
    with answering(200) as (_, asked):
        url = f"http://127.0.0.1:{asked.port}"
        configuration = ClusterConfiguration(source=SOURCE, server=url, authentication=WAYS["an access token"])
        with connected(configuration) as cluster, pytest.raises(UnavailableError, match="cannot get a Google token"):
            cluster.get_csr("name")
        assert asked == []


def test_an_id_token_is_for_the_clusters_own_audience(google: GoogleServer) -> None:
    """The API server's audience stands in the token, so that it is worth nothing elsewhere."""
    claims = jwt.decode(token_sent(google, WAYS["an ID token"]).removeprefix("Bearer "), verify=False)
    assert claims["aud"] == "https://cluster.example.com"


def test_a_metadata_server_that_fails_is_unavailability(google: GoogleServer) -> None:
    """No token, no request: nothing is asked anonymously."""
    google.metadata_server.fail_next(Response(status=404, body=b"no"), times=20)
    with answering(200) as (_, asked):
        url = f"http://127.0.0.1:{asked.port}"
        configuration = ClusterConfiguration(source=SOURCE, server=url, authentication=WAYS["an access token"])
        with connected(configuration) as cluster, pytest.raises(UnavailableError, match="cannot get a Google token"):
            cluster.get_csr("name")
        assert asked == []


class _Slow(Credentials):
    """Credentials whose refresh blocks until the test releases it, and then returns a token.

    Attributes:
        threads: the thread of each refresh.
        began: set when a refresh begins.
        released: the test sets it, and the refresh continues.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the library has no types
        self.threads: list[int] = []
        self.began = threading.Event()
        self.released = threading.Event()

    def refresh(self, _: object) -> None:
        """Blocks, like google-auth."""
        self.threads.append(threading.get_ident())
        self.began.set()
        self.released.wait(30)
        self.token = "token"


def test_a_token_is_fetched_once_for_many_requests_and_blocks_none() -> None:
    """google-auth blocks, so it runs in a thread. Eight requests that need the token wait for one refresh."""
    credentials = _Slow()

    async def story() -> list[str]:
        token = BearerToken(credentials)
        requests = [asyncio.create_task(token.get()) for _ in range(8)]
        await asyncio.to_thread(credentials.began.wait, 30)  # the loop runs while google-auth blocks
        assert not any(request.done() for request in requests)
        credentials.released.set()
        return [*await asyncio.gather(*requests), await token.get()]

    assert set(asyncio.run(story())) == {"token"}
    (thread,) = credentials.threads
    assert thread != threading.get_ident()


def test_a_cancelled_request_does_not_stop_the_token_fetch() -> None:
    """The refresh continues, and the other request does not start a second one."""
    credentials = _Slow()

    async def story() -> str:
        token = BearerToken(credentials)
        first, second = (asyncio.create_task(token.get()) for _ in range(2))
        await asyncio.to_thread(credentials.began.wait, 30)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        credentials.released.set()
        return await second

    assert asyncio.run(story()) == "token"
    assert len(credentials.threads) == 1


def test_a_server_that_the_ca_did_not_certify_is_not_talked_to(api_server: KubernetesServer, tmp_path: Path) -> None:
    """Another CA than the server's is the operator's fault, named as such, and no token is sent."""
    kubeconfig = api_server.kubeconfig_for(USER).read_text(encoding="utf-8")
    theirs = base64.b64encode(api_server.certificate_authority.read_bytes()).decode()
    other = base64.b64encode(Authority.create("another").certificate_pem).decode()
    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig.replace(theirs, other), encoding="utf-8")
    assert other in path.read_text(encoding="utf-8")
    configuration = ClusterConfiguration(source=SOURCE, authentication=Authentication(kubeconfig=str(path)))
    with (
        connected(configuration) as cluster,
        pytest.raises(ConfigurationError, match="must be issued by the configured CA"),
    ):
        cluster.get_csr("name")


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1", insecure-skip-tls-verify: SKIP}}]
users: [{name: u, user: USER}]
"""
UNUSABLE = {
    "no yaml": ("{", "kubeconfig"),
    "another document": ("a: b", "kubeconfig"),
    "nobody": (
        KUBECONFIG.replace("SKIP", "false").replace("USER", "{}"),
        "a client certificate or a token",
    ),
    "another name of the server": (
        KUBECONFIG.replace("SKIP", "false, tls-server-name: other.example.com").replace("USER", "{token: t}"),
        "tls-server-name is not supported",
    ),
    "no verification": (
        KUBECONFIG.replace("SKIP", "true").replace("USER", "{token: t}"),
        "insecure-skip-tls-verify is not allowed",
    ),
}


@pytest.mark.parametrize(("text", "said"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_kubeconfig_that_cannot_be_used_is_named(tmp_path: Path, text: str, said: str) -> None:
    """It is the operator's fault, told before anything is asked."""
    path = tmp_path / "kubeconfig"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=said):
        session(ClusterConfiguration(source=SOURCE, authentication=Authentication(kubeconfig=str(path))))


@pytest.mark.parametrize("content", [b"", b"garbage"], ids=["empty", "garbage"])
def test_a_malformed_ca_file_is_named(tmp_path: Path, content: bytes) -> None:
    """The message names the key and the cluster."""
    path = tmp_path / "ca.pem"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"clusters: .*certificate_authority"):
        session(
            ClusterConfiguration(
                source=SOURCE,
                server="https://127.0.0.1:1",
                certificate_authority=str(path),
                authentication=WAYS["an access token"],
            )
        )
