"""Reads a kubeconfig, for development. It uses the kubernetes package, which a deployed function does not load."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubeconfig:
    """The current context of a kubeconfig.

    Attributes:
        server: URL of the API server.
        certificate_authority: PEM file of the CA; None: the system's roots.
        certificate: PEM file of the client certificate; None if there is none.
        key: PEM file of its private key; None if there is none.
        token: returns the bearer token; None if there is none.
    """

    server: str
    certificate_authority: str | None
    certificate: str | None
    key: str | None
    token: Callable[[], Awaitable[str]] | None


def read(path: str) -> Kubeconfig:
    """Reads a kubeconfig.

    Raises:
        ValueError, KeyError, TypeError, OSError: the kubeconfig is wrong.
    """
    # These imports take 0.15 s, and a function with Google tokens does not need them.
    from kubernetes.client import Configuration  # noqa: PLC0415
    from kubernetes.config import ConfigException, load_kube_config  # noqa: PLC0415

    settings = Configuration()
    try:
        load_kube_config(config_file=path, client_configuration=settings)
    except ConfigException as error:
        raise ValueError(str(error)) from error
    if not settings.verify_ssl:
        raise ValueError("insecure-skip-tls-verify is not allowed")
    if settings.tls_server_name:
        raise ValueError("tls-server-name is not supported: the certificate must be for the server's own name")
    prefixed = settings.get_api_key_with_prefix("BearerToken")
    if not settings.cert_file and not prefixed:
        # Without this check, requests would be anonymous, and an object that the anonymous user cannot read would look
        # absent.
        raise ValueError("it must give a client certificate or a token")

    async def token() -> str:
        # It refreshes an expiring token, for example with a program of the kubeconfig.
        value = await asyncio.to_thread(settings.get_api_key_with_prefix, "BearerToken")
        return (value or "").removeprefix("Bearer ")

    return Kubeconfig(
        server=settings.host,
        certificate_authority=settings.ssl_ca_cert,
        certificate=settings.cert_file,
        key=settings.key_file,
        token=token if prefixed else None,
    )
