"""The Google tokens that authenticate the function to an API server."""

import asyncio
import json
from typing import Final

import google.auth.exceptions
import urllib3
from google.auth import compute_engine, impersonated_credentials
from google.auth.credentials import Credentials
from google.auth.transport import urllib3 as google_transport

from csr_signer.configuration.schema import ClusterConfiguration
from csr_signer.errors import ApiServerUnavailableError, ConfigurationError
from csr_signer.single_flight import SingleFlight
from csr_signer.violation import quote

# GKE documents no narrower scope than the first, so only the account's rights limit a token. Without the second scope,
# GKE sees the account's number instead of its email.
SCOPES: Final = (
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/userinfo.email",
)


class BearerToken:
    """Keeps a Google token fresh. It runs google-auth in a thread, because google-auth blocks."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._fetch: SingleFlight[None] = SingleFlight()
        self._request = _short_request()

    async def get(self) -> str:
        """Returns the token; fetches it first if it is missing or about to expire.

        Raises:
            ConfigurationError: the function may not impersonate the configured account.
            ApiServerUnavailableError: the metadata server or IAM Credentials returned no token.
        """
        if not self._credentials.valid:
            await self._fetch.get(self._refresh)
        return self._credentials.token or ""

    async def _refresh(self) -> None:
        try:
            await asyncio.to_thread(self._credentials.refresh, self._request)
        except google.auth.exceptions.GoogleAuthError as error:
            refused = _refusal(error)
            if refused is not None:
                raise ConfigurationError(
                    f"authentication.google_access_token.service_account: Forbidden: {quote(refused)}: the function's"
                    " account needs roles/iam.workloadIdentityUser on the account that it impersonates"
                ) from error
            raise ApiServerUnavailableError(
                f"cannot get a Google token for the API server: {quote(str(error))}"
            ) from error


def _refusal(error: google.auth.exceptions.GoogleAuthError) -> str | None:
    """Returns IAM Credentials' error if it denies the impersonation; google-auth passes the answer on as text."""
    try:
        said = json.loads(error.args[1])["error"]
        return str(said["message"]) if said["status"] == "PERMISSION_DENIED" else None
    except (IndexError, ValueError, KeyError, TypeError):
        return None


def _short_request() -> google_transport.Request:
    """Makes the transport to the metadata server and IAM Credentials, with a short time limit per call."""
    return google_transport.Request(urllib3.PoolManager(retries=False, timeout=2.0))


def google_credentials(cluster: ClusterConfiguration) -> Credentials:
    """Returns the Google credentials that the cluster's configuration selects; they have no token yet.

    Raises:
        ConfigurationError: the configuration selects none.
    """
    ways = cluster.authentication
    if ways.google_id_token is not None:
        # Without a request, the constructor does not ask the metadata server; each refresh has its own.
        return compute_engine.IDTokenCredentials(
            None, target_audience=ways.google_id_token.audience, use_metadata_identity_endpoint=True
        )
    if ways.google_access_token is None:
        raise ConfigurationError(f"clusters: {cluster.source!r}: authentication: Required value")
    # The API server, and a thief of its traffic, get this token; a token of the function's own account could sign with
    # the CA key. Without the universe domain, the constructor would call the metadata server.
    return impersonated_credentials.Credentials(
        compute_engine.Credentials(universe_domain="googleapis.com"),
        target_principal=ways.google_access_token.service_account,
        target_scopes=list(SCOPES),
    )
