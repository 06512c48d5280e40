"""A real kube-apiserver uses the rendered AuthenticationConfiguration, with a double of Google's token issuer."""

from __future__ import annotations

import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import pytest
import yaml

from sandbox.api import Api, ApiError
from sandbox.google.model import Configuration, ServiceAccount
from sandbox.google.openid import DISCOVERY, OpenIdProvider
from sandbox.google.tokens import Tokens
from sandbox.google.web import Request
from sandbox.pki import Authority
from tests.sandbox.control_plane.require import real_control_plane

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.infra.terraform.plans import Plan

pytestmark = pytest.mark.real

GOOGLE = "https://accounts.google.com"
WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
EMAIL = "csr-signer@example-signer.iam.gserviceaccount.com"
NUMBER = "104567890123456789012"  # infra/tests/deployment.tftest.hcl
AUDIENCE = "https://csr-signer.example.com/7d1f0a52-0f8e-4a4e-9c47-7c4a7a8b3c55"
READY_SECONDS = 30


class Issuer:
    """Google's OpenID endpoints over TLS on the loopback address."""

    def __init__(self, directory: Path) -> None:
        self.tokens = Tokens(GOOGLE, time.time)
        authority = Authority.create("Double of Google's web certificates")
        self.certificate_authority = authority.certificate_pem.decode()
        answer = OpenIdProvider(Configuration(), self.tokens, lambda: self.url)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                request = Request(method="GET", target=self.path, headers=(), body=b"", peer=self.client_address[0])
                response = answer(request)
                self.send_response(response.status)
                for name, value in (*response.headers, ("Content-Length", str(len(response.body)))):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(response.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's signature
                """Logs nothing; the test reports errors."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            *authority.issue("issuer", addresses=["127.0.0.1"], server=True).write(directory, "issuer")
        )
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """Returns the issuer's URL."""
        return f"https://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    """A double of Google's token issuer."""
    with Issuer(tmp_path_factory.mktemp("issuer")) as started:
        yield started


@pytest.fixture(scope="module")
def api(planned: Mapping[str, Plan], issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API server with the rendered document, except for the address of Google's keys."""
    document = yaml.safe_load(planned["deployed"].outputs["authentication_configurations"]["site"])
    document["jwt"][0]["issuer"] |= {
        "discoveryURL": issuer.url + DISCOVERY,
        "certificateAuthority": issuer.certificate_authority,
    }
    directory = tmp_path_factory.mktemp("structured")
    path = directory / "authentication.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    with (
        real_control_plane(directory, extra_arguments=[f"--authentication-config={path}"]) as started,
        Api.from_kubeconfig(started.kubeconfig) as administrator,
    ):
        # The API server fetches the issuer's keys after it begins to serve.
        deadline = time.monotonic() + READY_SECONDS
        while isinstance(seen := user(administrator, token(issuer)), int) and time.monotonic() < deadline:
            pass
        assert not isinstance(seen, int), f"the function's own token is refused with {seen}"
        yield administrator


def token(issuer: Issuer, *, number: str = NUMBER, audience: str = AUDIENCE, **claims: object) -> str:
    """Returns an ID token as Google's metadata server makes it with format=full."""
    account = ServiceAccount(email=EMAIL, unique_id=number)
    return issuer.tokens.id_token(account, audience, {"email": EMAIL, "email_verified": True, **claims})


def user(api: Api, bearer: str) -> dict[str, Any] | int:
    """Returns the username that the API server sees, or the status of its refusal."""
    try:
        return dict(api.with_token(bearer).post(WHO_AM_I, {})["status"]["userInfo"])
    except ApiError as error:
        return error.status


def test_the_function_has_the_username_of_the_manifests(api: Api, issuer: Issuer, planned: Mapping[str, Plan]) -> None:
    """Its ID token gives it the username in the overlay, and no group except system:authenticated."""
    seen = user(api, token(issuer))
    assert isinstance(seen, dict)
    assert seen["username"] == planned["deployed"].outputs["manifests"]["site"]["function_user"]
    assert seen["groups"] == ["system:authenticated"]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"number": "104567890123456789013"}, id="another account that was given the same email"),
        pytest.param({"audience": "https://another-cluster.example.com/"}, id="a token for another cluster"),
        pytest.param({"email_verified": False}, id="an email that was not verified"),
        pytest.param({"iss": "https://issuer.example.com"}, id="another issuer"),
        pytest.param({"exp": 1}, id="a token that has ended"),
    ],
)
def test_a_token_with_another_claim_is_refused(api: Api, issuer: Issuer, wrong: dict[str, Any]) -> None:
    """Google signs tokens for all its customers and any audience, so one wrong claim must be enough to refuse."""
    assert user(api, token(issuer, **wrong)) == 401


def test_a_token_of_another_key_is_refused(api: Api, issuer: Issuer, tmp_path: Path) -> None:
    """The claims are right, but another key signed the token."""
    with Issuer(tmp_path) as stranger:
        assert user(api, token(stranger)) == 401
