"""A cluster's token becomes an ID token of a Google service account: STS, then IAM Credentials."""

import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import urllib3
from google.auth import exceptions, identity_pool
from google.auth.transport.requests import Request
from google.oauth2 import id_token, sts

from sandbox.google import GoogleServer, Project, example, gke_provider
from tests.contract.google.cluster import SUBJECT, Cluster

PROVIDER = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/demo/providers/cluster"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
EXPORTER = "csr-exporter@example-project.iam.gserviceaccount.com"
AUDIENCE = "https://csr-signer-abcdefghij-ew.a.run.app"


def exchange(server: GoogleServer, transport: Request, subject_token: str, **changed: object) -> dict[str, Any]:
    """Exchange a token with google-auth's STS client."""
    arguments: dict[str, Any] = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": subject_token,
        "subject_token_type": JWT_TYPE,
        "audience": PROVIDER,
        "scopes": [CLOUD_PLATFORM],
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    answer: dict[str, Any] = sts.Client(f"{server.sts}/v1/token").exchange_token(transport, **arguments | changed)
    return answer


def generate(
    server: GoogleServer, access_token: str, body: object = None, account: str = EXPORTER
) -> urllib3.BaseHTTPResponse:
    """Ask IAM Credentials for an ID token."""
    url = f"{server.iam_credentials}/v1/projects/-/serviceAccounts/{account}:generateIdToken"
    asked = {"audience": AUDIENCE, "includeEmail": True} if body is None else body
    with urllib3.PoolManager() as http:
        return http.request("POST", url, json=asked, headers={"Authorization": f"Bearer {access_token}"})


@pytest.fixture
def access_token(google_server: GoogleServer, transport: Request, cluster: Cluster) -> str:
    """A federated access token of the exporter's service account in the cluster."""
    token: str = exchange(google_server, transport, cluster.token(PROVIDER))["access_token"]
    return token


def test_exchange(google_server: GoogleServer, transport: Request, cluster: Cluster) -> None:
    """A service account token of the provider's cluster is exchanged for an access token that lives an hour."""
    answer = exchange(google_server, transport, cluster.token(PROVIDER))
    assert answer["token_type"] == "Bearer"
    assert answer["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert answer["expires_in"] == 3600
    token = google_server.tokens.bearer(f"Bearer {answer['access_token']}")
    assert token is not None
    assert token.principal == (
        "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/demo"
        f"/subject/{SUBJECT}"
    )


def test_identity_pool_credentials(
    google_server: GoogleServer, transport: Request, cluster: Cluster, tmp_path: Path
) -> None:
    """google-auth's credentials of a workload identity pool, with a token file, refresh."""
    (tmp_path / "token").write_text(cluster.token(PROVIDER))
    credentials = identity_pool.Credentials(
        audience=PROVIDER,
        subject_token_type=JWT_TYPE,
        token_url=f"{google_server.sts}/v1/token",
        credential_source={"file": str(tmp_path / "token")},
        scopes=[CLOUD_PLATFORM],
    )
    credentials.refresh(transport)
    assert credentials.valid
    assert credentials.token is not None
    assert generate(google_server, credentials.token).status == 200


def test_gke_form(transport: Request, cluster: Cluster) -> None:
    """For a GKE cluster the audiences and the principal have their own form."""
    provider = gke_provider(Project())
    assert provider.audience == (
        "identitynamespace:example-project.svc.id.goog:https://container.googleapis.com/v1"
        "/projects/example-project/locations/europe-west1/clusters/demo"
    )
    with GoogleServer(example(provider)) as server:
        token = cluster.token("example-project.svc.id.goog")
        answer = exchange(server, transport, token, audience=provider.audience)
        principal = server.tokens.bearer(f"Bearer {answer['access_token']}")
        assert principal is not None
        assert principal.principal == (
            "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools"
            "/example-project.svc.id.goog/subject/ns/kms-csr-signer/sa/csr-exporter"
        )
        assert generate(server, answer["access_token"]).status == 200


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({"audience": "https://example.com"}, "invalid_request"),
        ({"audience": PROVIDER + "-absent"}, "invalid_target"),
        ({"audience": None}, "invalid_request"),
        ({"scopes": ["https://www.googleapis.com/auth/drive"]}, "invalid_scope"),
        ({"scopes": []}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:id_token"}, "invalid_request"),
        ({"requested_token_type": None}, "invalid_request"),
        ({"resource": "https://example.com"}, "invalid_request"),
        ({"subject_token": "no-jwt"}, "invalid_grant"),
        ({"subject_token": "a.b.c"}, "invalid_grant"),
    ],
)
def test_refused_exchange(
    google_server: GoogleServer, transport: Request, cluster: Cluster, changed: dict[str, object], error: str
) -> None:
    """A wrong grant type, audience, scope, token type or parameter, or no token at all, is refused by its name."""
    with pytest.raises(exceptions.OAuthError, match=f"Error code {error}: "):
        exchange(google_server, transport, **{"subject_token": cluster.token(PROVIDER)} | changed)  # type: ignore[arg-type]  # rows of a table


NOW = int(time.time())


@pytest.mark.parametrize(
    ("claims", "text"),
    [
        ({"aud": ["https://kubernetes.default.svc"]}, "does not match the expected"),
        ({"aud": None}, "does not match the expected"),
        ({"iat": NOW - 7200, "exp": NOW - 3600}, "is valid from"),
        ({"iat": NOW + 3600, "exp": NOW + 7200}, "is valid from"),
        ({"iat": NOW, "exp": NOW + 25 * 3600}, "more than 24 hours"),
        ({"exp": None}, "must have iat and exp"),
        ({"iss": "https://other.example.com"}, "the issuer 'https://other.example.com' is not"),
        ({"sub": "x" * 128}, "1 to 127 characters"),
        ({"sub": None}, "1 to 127 characters"),
    ],
)
def test_refused_claims(
    google_server: GoogleServer, transport: Request, cluster: Cluster, claims: dict[str, object], text: str
) -> None:
    """A token for someone else, of another time, of another issuer or without a usable subject is refused."""
    with pytest.raises(exceptions.OAuthError, match=f"Error code invalid_grant: .*{text}"):
        exchange(google_server, transport, cluster.token(PROVIDER, **claims))


def test_token_of_another_cluster(google_server: GoogleServer, transport: Request) -> None:
    """A token that says all the right things but is signed with another cluster's key is refused."""
    with pytest.raises(exceptions.OAuthError, match=r"invalid_grant: .*no known key signed"):
        exchange(google_server, transport, Cluster().token(PROVIDER))


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"grantType": "x"}'),
        ("application/x-www-form-urlencoded", b""),
        ("application/x-www-form-urlencoded", b"grant_type=a&grant_type=b"),
    ],
)
def test_exchange_takes_one_form(google_server: GoogleServer, content_type: str, body: bytes) -> None:
    """The parameters are a form, each one once."""
    with urllib3.PoolManager() as http:
        answer = http.request(
            "POST", f"{google_server.sts}/v1/token", body=body, headers={"Content-Type": content_type}
        )
    assert answer.status == 400
    assert answer.json()["error"] == "invalid_request"


def test_id_token(google_server: GoogleServer, transport: Request, access_token: str) -> None:
    """A principal with the grant gets an ID token of the account for its audience, with the email."""
    answer = generate(google_server, access_token)
    assert answer.status == 200
    certificates = f"{google_server.api.url}/oauth2/v1/certs"
    claims = id_token.verify_token(answer.json()["token"], transport, AUDIENCE, certs_url=certificates)
    assert claims["email"] == EXPORTER
    assert claims["email_verified"] is True
    assert claims["sub"] == "100000000000000000002"


def test_id_token_without_email(google_server: GoogleServer, access_token: str) -> None:
    """The email is in the token only where it was asked for."""
    for body in ({"audience": AUDIENCE}, {"audience": AUDIENCE, "includeEmail": False}):
        token = generate(google_server, access_token, body).json()["token"]
        assert "email" not in google_server.tokens.verified(token).claims


def test_escaped_account(google_server: GoogleServer, access_token: str) -> None:
    """The account's @ may be percent-encoded."""
    assert generate(google_server, access_token, account=quote(EXPORTER, safe="")).status == 200


@pytest.mark.parametrize(
    "body",
    [{}, {"audience": ""}, {"audience": 1}, {"audience": AUDIENCE, "include_email": True}, [], "text"],
)
def test_refused_body(google_server: GoogleServer, access_token: str, body: object) -> None:
    """An audience is required, and unknown or mistyped fields are refused."""
    answer = generate(google_server, access_token, body)
    assert answer.status == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("token", ["", "ya29.unknown"])
def test_unknown_access_token(google_server: GoogleServer, token: str) -> None:
    """Who has no valid access token is unauthenticated."""
    answer = generate(google_server, token)
    assert answer.status == 401
    assert answer.json()["error"]["status"] == "UNAUTHENTICATED"


def test_principal_without_grant(google_server: GoogleServer, transport: Request, cluster: Cluster) -> None:
    """Another service account of the same cluster may not act for the exporter's account."""
    other = cluster.token(PROVIDER, sub="system:serviceaccount:default:default")
    answer = generate(google_server, exchange(google_server, transport, other)["access_token"])
    assert answer.status == 403
    assert answer.json()["error"]["status"] == "PERMISSION_DENIED"
    assert answer.json()["error"]["details"][0]["reason"] == "IAM_PERMISSION_DENIED"


@pytest.mark.parametrize(
    "account", ["csr-signer@example-project.iam.gserviceaccount.com", "absent@example-project.iam.gserviceaccount.com"]
)
def test_account_without_grant(google_server: GoogleServer, access_token: str, account: str) -> None:
    """An account without the grant and one that does not exist are refused alike."""
    answer = generate(google_server, access_token, account=account)
    assert answer.status == 403
    assert "(or it may not exist)" in answer.json()["error"]["message"]


def test_scope_of_another_api(google_server: GoogleServer) -> None:
    """An access token without cloud-platform or iam does not reach IAM Credentials."""
    principal = next(iter(google_server.configuration.accounts[EXPORTER].token_creators))
    token = google_server.tokens.access_token(principal, frozenset(["https://www.googleapis.com/auth/drive"]))
    assert generate(google_server, token.value).status == 403


def test_expired_access_token(cluster: Cluster, transport: Request) -> None:
    """An access token is worth nothing after its hour."""
    times = [time.time()]
    with GoogleServer(clock=lambda: times[0]) as server:
        token = exchange(server, transport, cluster.token(PROVIDER))["access_token"]
        assert generate(server, token).status == 200
        times[0] += 3600
        assert generate(server, token).status == 401


def test_discovery(google_server: GoogleServer) -> None:
    """The OpenID discovery document leads to the keys that sign ID tokens."""
    with urllib3.PoolManager() as http:
        document = http.request("GET", f"{google_server.api.url}/.well-known/openid-configuration").json()
        (key,) = http.request("GET", document["jwks_uri"]).json()["keys"]
    assert document["issuer"] == "https://accounts.google.com"
    assert document["id_token_signing_alg_values_supported"] == ["RS256"]
    assert (key["kty"], key["alg"], key["use"]) == ("RSA", "RS256", "sig")
