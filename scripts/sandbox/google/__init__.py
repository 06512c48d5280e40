"""Google's identity services as doubles: metadata server, STS, IAM Credentials, OpenID keys, Cloud Run's front door.

In reading order: `model` (who exists and who may do what), `jwt` and `tokens`, `web` (HTTP), `metadata`, `sts`,
`iam_credentials`, `openid`, `run`, `server`. All of them refuse what Google refuses; wording is theirs only where
clients are known to look at it.

Not done on purpose: keys of service accounts, chains of delegates, ingress settings, regional access boundaries.
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
