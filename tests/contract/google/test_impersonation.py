"""A service account gets access tokens of another one: google-auth's impersonation on IAM Credentials."""

from datetime import UTC, datetime
from typing import Any

import pytest
import urllib3
from google.auth import exceptions, impersonated_credentials
from google.auth.transport.requests import Request
from google.oauth2.credentials import Credentials

from sandbox.google import GoogleServer

SIGNER = "csr-signer@example-project.iam.gserviceaccount.com"
EXPORTER = "csr-exporter@example-project.iam.gserviceaccount.com"
ACCESS = "csr-access-demo@example-project.iam.gserviceaccount.com"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
IAM = "https://www.googleapis.com/auth/iam"
EMAIL = "https://www.googleapis.com/auth/userinfo.email"


def url(server: GoogleServer, account: str) -> str:
    """The method's address."""
    return f"{server.iam_credentials}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"


def generate(
    server: GoogleServer, body: object = None, *, caller: str = SIGNER, account: str = ACCESS, scope: str = IAM
) -> urllib3.BaseHTTPResponse:
    """Ask IAM Credentials for an access token."""
    bearer = server.tokens.access_token(caller, frozenset([scope])).value
    asked = {"scope": [CLOUD_PLATFORM]} if body is None else body
    with urllib3.PoolManager() as http:
        return http.request("POST", url(server, account), json=asked, headers={"Authorization": f"Bearer {bearer}"})


def impersonating(server: GoogleServer, caller: str) -> impersonated_credentials.Credentials:
    """google-auth's credentials of the account, on behalf of a caller."""
    return impersonated_credentials.Credentials(
        Credentials(server.tokens.access_token(caller, frozenset([IAM])).value),
        target_principal=ACCESS,
        target_scopes=[CLOUD_PLATFORM, EMAIL],
        iam_endpoint_override=url(server, ACCESS),
    )


def test_impersonated_credentials(google_server: GoogleServer, transport: Request) -> None:
    """google-auth gets a token of the account, with the scopes that it asks for, and knows when it ends."""
    credentials = impersonating(google_server, SIGNER)
    credentials.refresh(transport)
    assert credentials.valid
    token = google_server.tokens.bearer(f"Bearer {credentials.token}")
    assert token is not None
    assert token.principal == ACCESS
    assert token.scopes == {CLOUD_PLATFORM, EMAIL}
    assert credentials.expiry is not None
    assert credentials.expiry.replace(tzinfo=UTC) == datetime.fromtimestamp(int(token.expires), UTC)


def test_impersonation_without_grant(google_server: GoogleServer, transport: Request) -> None:
    """Another account of the project is denied, and google-auth hands on what IAM Credentials says."""
    with pytest.raises(exceptions.RefreshError, match=r"iam\.serviceAccounts\.getAccessToken"):
        impersonating(google_server, EXPORTER).refresh(transport)


@pytest.mark.parametrize("account", [EXPORTER, SIGNER, "absent@example-project.iam.gserviceaccount.com"])
def test_account_without_grant(google_server: GoogleServer, account: str) -> None:
    """An account without the grant, the caller's own, and one that does not exist are refused alike."""
    answer = generate(google_server, account=account)
    assert answer.status == 403
    assert answer.json()["error"]["status"] == "PERMISSION_DENIED"
    assert "(or it may not exist)" in answer.json()["error"]["message"]


def test_the_exporters_grant_gives_no_access_token(google_server: GoogleServer) -> None:
    """roles/iam.serviceAccountOpenIdTokenCreator is for ID tokens."""
    caller = next(iter(google_server.configuration.accounts[EXPORTER].token_creators))
    assert generate(google_server, caller=caller, account=EXPORTER).status == 403


@pytest.mark.parametrize("scope", [IAM, CLOUD_PLATFORM])
def test_scopes_of_the_caller(google_server: GoogleServer, scope: str) -> None:
    """The caller's token needs one of two scopes."""
    assert generate(google_server, scope=scope).status == 200
    assert generate(google_server, scope=EMAIL).status == 403


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"scope": []},
        {"scope": CLOUD_PLATFORM},
        {"scope": [1]},
        {"scope": [CLOUD_PLATFORM], "lifetime": "3601s"},
        {"scope": [CLOUD_PLATFORM], "lifetime": "1h"},
        {"scope": [CLOUD_PLATFORM], "lifetime": 3600},
        {"scope": [CLOUD_PLATFORM], "audience": "https://example.com"},
        [],
    ],
)
def test_refused_body(google_server: GoogleServer, body: Any) -> None:
    """Scopes are required, an hour is the longest, and unknown or mistyped fields are refused."""
    answer = generate(google_server, body)
    assert answer.status == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"


def test_lifetime(google_server: GoogleServer) -> None:
    """A token may end earlier than after an hour."""
    answer = generate(google_server, {"scope": [CLOUD_PLATFORM], "lifetime": "600s", "delegates": []}).json()
    token = google_server.tokens.bearer(f"Bearer {answer['accessToken']}")
    assert token is not None
    assert 0 < token.expires - google_server.tokens.clock() <= 600
