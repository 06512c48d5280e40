"""The function's credentials for an API server, and its authenticated HTTP client.

The client follows no redirects and uses no proxies from the environment, so a token goes only to the configured server.
"""

import json
import ssl
from typing import Final

import google.auth.exceptions
import urllib3
import yaml
from google.auth import compute_engine, impersonated_credentials
from google.auth.credentials import Credentials
from google.auth.transport import urllib3 as google_transport
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import load_kube_config
from kubernetes.config.config_exception import ConfigException

from csr_signer.configuration.schema import ClusterConfiguration
from csr_signer.errors import ConfigurationError, UnavailableError
from csr_signer.single_flight import SingleFlight
from csr_signer.violation import quote

# GKE documents no narrower scope than the first, so only the account's rights limit a token. Without the second scope,
# GKE sees the account's number instead of its email.
SCOPES: Final = (
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/userinfo.email",
)
CONNECTIONS: Final = 64
# Exceptions for a wrong kubeconfig or CA file.
_UNUSABLE: Final = (ConfigException, yaml.YAMLError, OSError, ValueError, KeyError, TypeError, AttributeError)
BEARER: Final = "BearerToken"
"""The client's authentication setting that adds a token to requests."""


def api_client(cluster: ClusterConfiguration) -> ApiClient:
    """Makes a client for one cluster's API server from its configuration.

    Raises:
        ConfigurationError: the kubeconfig or the CA is wrong.
    """
    settings = Configuration()
    ways = cluster.authentication
    try:
        if ways.kubeconfig is not None:
            _use_kubeconfig(settings, ways.kubeconfig)
        else:
            settings.host = (cluster.server or "").rstrip("/")
            settings.ssl_ca_cert = cluster.certificate_authority
            settings.refresh_api_key_hook = BearerToken(_google_credentials(cluster)).put  # type: ignore[assignment]  # the client declares its hook as None
            settings.api_key_prefix[BEARER] = "Bearer"
            settings.api_key[BEARER] = ""
        settings.proxy = None
        settings.retries = False  # neither retries nor redirects: urllib3 then returns the answer as it is
        settings.connection_pool_maxsize = CONNECTIONS
        client = ApiClient(settings)
        _share_tls(client, settings)
    except _UNUSABLE as error:
        where = "kubeconfig" if ways.kubeconfig is not None else "certificate_authority"
        raise ConfigurationError(f"clusters: {cluster.source!r}: {where}: {quote(str(error))}") from error
    return client


def _use_kubeconfig(settings: Configuration, path: str) -> None:
    load_kube_config(config_file=path, client_configuration=settings)
    if not settings.verify_ssl:
        raise ValueError("insecure-skip-tls-verify is not allowed")
    if not settings.cert_file and not settings.api_key.get(BEARER):
        # Without this check, requests would be anonymous, and an object that the anonymous user cannot read would look
        # absent.
        raise ValueError("it must give a client certificate or a token")


def _share_tls(client: ApiClient, settings: Configuration) -> None:
    """Shares one TLS context between all connections.

    Otherwise urllib3 makes one per connection and reads the CA file each time. With the system's roots, that costs 30
    ms of CPU and a megabyte, just when a burst of requests opens all connections.
    """
    context = ssl.create_default_context(cafile=settings.ssl_ca_cert)
    # Since Python 3.13, TLS refuses certificates without key identifiers, which older clusters have. Python still
    # verifies chain and host name.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    client.rest_client.pool_manager.connection_pool_kw |= {
        "ssl_context": context,
        "ca_certs": None,
        "cert_file": None,
        "key_file": None,
    }


class BearerToken:
    """Keeps a Google token fresh in a client's settings."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._fetch: SingleFlight[None] = SingleFlight()
        self._request = _short_request()

    def put(self, settings: Configuration) -> None:
        """Puts the token into the settings; fetches it first if it is missing or about to expire.

        Raises:
            ConfigurationError: the function may not impersonate the configured account.
            UnavailableError: the metadata server or IAM Credentials returned no token.
        """
        if not self._credentials.valid:
            self._fetch.get(self._refresh)
        settings.api_key[BEARER] = self._credentials.token or ""

    def _refresh(self) -> None:
        if self._credentials.valid:
            return
        try:
            self._credentials.refresh(self._request)
        except google.auth.exceptions.GoogleAuthError as error:
            refused = _refusal(error)
            if refused is not None:
                raise ConfigurationError(
                    f"authentication.google_access_token.service_account: Forbidden: {quote(refused)}: the function's"
                    " account needs roles/iam.workloadIdentityUser on the account that it impersonates"
                ) from error
            raise UnavailableError(f"cannot get a Google token for the API server: {quote(str(error))}") from error


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


def _google_credentials(cluster: ClusterConfiguration) -> Credentials:
    ways = cluster.authentication
    if ways.google_id_token is not None:
        return compute_engine.IDTokenCredentials(
            _short_request(), target_audience=ways.google_id_token.audience, use_metadata_identity_endpoint=True
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
