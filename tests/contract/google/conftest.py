"""The doubles of Google's identity services, with a cluster that they trust."""

from collections.abc import Iterator

import pytest
import requests
from google.auth.transport.requests import Request

from sandbox.google import GoogleServer, Project, example, oidc_provider
from sandbox.google.jwt import keys_of
from tests.contract.google.cluster import ISSUER, Cluster


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """A cluster outside Google Cloud."""
    return Cluster()


@pytest.fixture(scope="session")
def google_server(cluster: Cluster) -> Iterator[GoogleServer]:
    """A project whose provider knows the cluster's issuer and keys."""
    provider = oidc_provider(Project(), issuer=ISSUER, keys=keys_of(cluster.jwks))
    with GoogleServer(example(provider)) as server:
        yield server


@pytest.fixture
def transport() -> Iterator[Request]:
    """google-auth's HTTP transport."""
    with requests.Session() as session:
        yield Request(session)
