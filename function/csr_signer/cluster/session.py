"""The HTTP connections to one API server: its address, its TLS, and who the function is there.

aiohttp follows no redirects here and takes no proxy from the environment: a token goes to the configured server or
nowhere. It sends a GET once more if the connection ends before an answer, and repeats no write.
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

CONNECTIONS = 64


class Session:
    """One pool of connections, made at the first call: aiohttp binds it to the running event loop.

    Attributes:
        server: URL of the API server, without a slash at its end.
    """

    def __init__(
        self, *, server: str, context: ssl.SSLContext, token: Callable[[], Awaitable[str]] | None = None
    ) -> None:
        """Connects to nothing yet.

        Args:
            server: URL of the API server.
            context: which CA is trusted, and a client certificate if there is one.
            token: gives a fresh bearer token; None where the client certificate is the identity.
        """
        self.server = server.rstrip("/")
        self._context = context
        self._token = token

    @cached_property
    def http(self) -> aiohttp.ClientSession:
        """The connections."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=self._context),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def authorization(self) -> Mapping[str, str]:
        """Returns the headers that name the function.

        Raises:
            ConfigurationError: the function may not impersonate the configured account.
            UnavailableError: there is no token.
        """
        return {} if self._token is None else {"Authorization": f"Bearer {await self._token()}"}


def session(cluster: ClusterConfiguration) -> Session:
    """Makes the session of one cluster, as its configuration says.

    Raises:
        ConfigurationError: the kubeconfig or the CA cannot be used.
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
    """Returns one TLS context for all connections: to read the system's roots takes 30 ms and a megabyte."""
    context = ssl.create_default_context(cafile=certificate_authority)
    # Python 3.13 began to refuse certificates without key identifiers, as older clusters have them; chain and host name
    # are verified as before.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
