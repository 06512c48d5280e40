"""The authenticated HTTP connections to one API server.

The client follows no redirects and uses no proxies from the environment, so a token goes only to the configured server.
aiohttp repeats a GET once if the connection ends before the answer. It never repeats a POST or a PATCH.
"""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property

import aiohttp
import yaml

from csr_signer.cluster import kubeconfig
from csr_signer.cluster.credentials import BearerToken, google_credentials
from csr_signer.configuration.schema import ClusterConfiguration
from csr_signer.errors import ConfigurationError
from csr_signer.violation import quote


class Session:
    """One connection pool.

    The first call makes it, because aiohttp binds it to the running event loop.

    Attributes:
        server: URL of the API server, without a trailing slash.
    """

    def __init__(
        self, *, server: str, context: ssl.SSLContext, token: Callable[[], Awaitable[str]] | None = None
    ) -> None:
        """Prepares a session, without connecting.

        Args:
            server: URL of the API server.
            context: TLS context with the trusted CA, and with the client certificate if there is one.
            token: returns a fresh bearer token; None if the client certificate authenticates the function.
        """
        self.server = server.rstrip("/")
        self._context = context
        self._token = token

    @cached_property
    def http(self) -> aiohttp.ClientSession:
        """Returns aiohttp's session, which holds the connections: as many as the requests that the process admits."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._context),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def authorization(self) -> Mapping[str, str]:
        """Returns the headers that authenticate the function; none with a client certificate.

        Raises:
            ConfigurationError: the function may not impersonate the configured account.
            UnavailableError: the metadata server or IAM Credentials returned no token.
        """
        return {} if self._token is None else {"Authorization": f"Bearer {await self._token()}"}


def session(cluster: ClusterConfiguration) -> Session:
    """Makes a session for one cluster's API server from its configuration.

    Raises:
        ConfigurationError: the kubeconfig or the CA is wrong.
    """
    path = cluster.authentication.kubeconfig
    try:
        if path is not None:
            settings = kubeconfig.read(path)
            context = _tls(settings.certificate_authority)
            if settings.certificate is not None:
                context.load_cert_chain(settings.certificate, settings.key)
            return Session(server=settings.server, context=context, token=settings.token)
        token = BearerToken(google_credentials(cluster))
        return Session(server=cluster.server or "", context=_tls(cluster.certificate_authority), token=token.get)
    except (yaml.YAMLError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        where = "kubeconfig" if path is not None else "certificate_authority"
        raise ConfigurationError(f"clusters: {cluster.source!r}: {where}: {quote(str(error))}") from error


def _tls(certificate_authority: str | None) -> ssl.SSLContext:
    """Returns one TLS context for all connections, because reading the system's roots costs 30 ms and a megabyte."""
    context = ssl.create_default_context(cafile=certificate_authority)
    # Since Python 3.13, TLS refuses certificates without key identifiers, which older clusters have. Python still
    # verifies chain and host name.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
