"""The real google-auth library on the metadata server."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import urllib3
from google.auth.transport.requests import Request
from google.oauth2 import id_token

from sandbox.google import GoogleServer

AUDIENCE = "https://csr-signer-abcdefghij-ew.a.run.app"
ROOT = "/computeMetadata/v1/instance/service-accounts/default"


@pytest.fixture(scope="module")
def seen(google_server: GoogleServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What google-auth sees when its environment names the server, and there is no other identity."""
    home = tmp_path_factory.mktemp("home")
    hidden = {"GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "NO_GCE_CHECK"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden} | {
        "GCE_METADATA_HOST": google_server.metadata,
        "GCE_METADATA_IP": google_server.metadata,
        "GCE_METADATA_ROOT": google_server.metadata,
        "CLOUDSDK_CONFIG": str(home),
        "HOME": str(home),
    }
    program = Path(__file__).with_name("metadata_client.py")
    done = subprocess.run(
        [sys.executable, program, AUDIENCE], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_default_credentials_are_the_attached_account(seen: dict[str, Any]) -> None:
    """Application default credentials are those of the machine's service account and project."""
    assert seen["on_gce"]
    assert seen["kind"] == "Credentials"
    assert seen["project"] == "example-project"
    assert seen["email"] == "csr-signer@example-project.iam.gserviceaccount.com"
    assert seen["universe"] == "googleapis.com"
    assert seen["valid"]


def test_scopes_of_access_tokens(google_server: GoogleServer, seen: dict[str, Any]) -> None:
    """A token has cloud-platform only, without its bearer's email, unless it is asked for with both scopes."""
    with urllib3.PoolManager() as http:
        infos = [
            http.request(
                "GET", f"{google_server.api.url}/oauth2/v3/tokeninfo", fields={"access_token": seen[name]}
            ).json()
            for name in ("plain_token", "token")
        ]
    assert infos[0]["scope"] == "https://www.googleapis.com/auth/cloud-platform"
    assert "email" not in infos[0]
    assert set(infos[1]["scope"].split()) == {
        "https://www.googleapis.com/auth/cloud-platform",
        "https://www.googleapis.com/auth/userinfo.email",
    }
    assert infos[1]["email"] == "csr-signer@example-project.iam.gserviceaccount.com"


@pytest.mark.parametrize("name", ["id_token", "fetched_id_token"])
def test_id_token_verifies(google_server: GoogleServer, transport: Request, seen: dict[str, Any], name: str) -> None:
    """An ID token is for the audience that was asked for, names the account, and verifies with the published keys."""
    certificates = f"{google_server.api.url}/oauth2/v1/certs"
    claims = id_token.verify_token(seen[name], transport, AUDIENCE, certs_url=certificates)
    assert claims["iss"] == "https://accounts.google.com"
    assert claims["sub"] == claims["azp"] == "100000000000000000001"
    assert claims["email"] == "csr-signer@example-project.iam.gserviceaccount.com"
    assert claims["email_verified"] is True
    assert claims["exp"] - claims["iat"] == 3600


def get(server: GoogleServer, path: str, headers: dict[str, str] | None = None) -> urllib3.BaseHTTPResponse:
    """GET a path of the metadata server."""
    with urllib3.PoolManager() as http:
        return http.request("GET", f"http://{server.metadata}{path}", headers=headers)


def test_header_is_required(google_server: GoogleServer) -> None:
    """Without Metadata-Flavor: Google, or forwarded by a proxy, a request is refused."""
    assert get(google_server, f"{ROOT}/email").status == 403
    assert get(google_server, f"{ROOT}/email", {"Metadata-Flavor": "google"}).status == 403
    forwarded = {"Metadata-Flavor": "Google", "X-Forwarded-For": "10.0.0.1"}
    assert get(google_server, f"{ROOT}/token", forwarded).status == 403


def test_answers_say_that_they_are_googles(google_server: GoogleServer) -> None:
    """Every answer has the header by which clients recognise the server, the root's too."""
    for path in ("/", f"{ROOT}/email", f"{ROOT}/absent"):
        assert get(google_server, path, {"Metadata-Flavor": "Google"}).headers["Metadata-Flavor"] == "Google"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{ROOT}/identity", 400),
        (f"{ROOT}/identity?audience=", 400),
        (f"{ROOT}/identity?audience=a&format=short", 400),
        ("/computeMetadata/v1/instance/service-accounts/other@example.com/token", 404),
        (f"{ROOT}/absent", 404),
        ("/computeMetadata/v1/project/absent", 404),
    ],
)
def test_refusals(google_server: GoogleServer, path: str, status: int) -> None:
    """An identity token needs an audience, and what does not exist is not found."""
    assert get(google_server, path, {"Metadata-Flavor": "Google"}).status == status


def test_access_token_is_cached(google_server: GoogleServer) -> None:
    """The same scopes get the same token while it is good, other scopes another one."""
    headers = {"Metadata-Flavor": "Google"}
    first, second = (get(google_server, f"{ROOT}/token?scopes=a,b", headers).json() for _ in range(2))
    assert first["access_token"] == second["access_token"]
    assert 0 < first["expires_in"] <= 3600
    assert get(google_server, f"{ROOT}/token?scopes=a", headers).json()["access_token"] != first["access_token"]


def test_standard_id_token_has_no_email(google_server: GoogleServer) -> None:
    """Only format=full tells the email."""
    token = get(google_server, f"{ROOT}/identity?audience=a", {"Metadata-Flavor": "Google"}).data.decode()
    assert "email" not in google_server.tokens.verified(token).claims


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (f"{ROOT}/email", "csr-signer@example-project.iam.gserviceaccount.com"),
        (f"{ROOT}/scopes", "https://www.googleapis.com/auth/cloud-platform\n"),
        ("/computeMetadata/v1/project/numeric-project-id", "123456789012"),
        ("/computeMetadata/v1/instance/region", "projects/123456789012/regions/europe-west1"),
    ],
)
def test_texts(google_server: GoogleServer, path: str, text: str) -> None:
    """Simple values are plain text."""
    assert get(google_server, path, {"Metadata-Flavor": "Google"}).data.decode() == text
