"""Doubles of Google's identity services: metadata server, STS, IAM Credentials, OpenID keys, Cloud Run's front door.

In reading order: `model` (accounts and grants), `jwt` and `tokens`, `web` (HTTP), `metadata`, `sts`,
`iam_credentials`, `openid`, `run`, `server`. They refuse the requests that Google refuses. They copy Google's
wording only if clients read it.

Deliberately left out: keys of service accounts, chains of delegates, ingress settings, regional access boundaries.
"""

from sandbox.google.model import (
    Configuration,
    Project,
    Provider,
    ServiceAccount,
    example,
    gke_provider,
    oidc_provider,
)
from sandbox.google.server import GoogleServer
from sandbox.google.web import Exchange, Request, Response

__all__ = [
    "Configuration",
    "Exchange",
    "GoogleServer",
    "Project",
    "Provider",
    "Request",
    "Response",
    "ServiceAccount",
    "example",
    "gke_provider",
    "oidc_provider",
]
