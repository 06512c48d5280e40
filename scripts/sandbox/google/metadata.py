"""The metadata server of a Compute Engine machine, a Cloud Run instance or a GKE pod."""

import json

from sandbox.google.model import CLOUD_PLATFORM, Configuration, ServiceAccount
from sandbox.google.tokens import AccessToken, Tokens
from sandbox.google.web import Request, Response

_ROOT = "/computeMetadata/v1/"
_ACCOUNTS = f"{_ROOT}instance/service-accounts/"
_EARLY = 300  # a cached token with fewer seconds left is replaced


def _text(status: int, body: str, kind: str = "application/text") -> Response:
    headers = (("Content-Type", kind), ("Metadata-Flavor", "Google"), ("Server", "Metadata Server for VM"))
    return Response(status=status, body=body.encode(), headers=headers)


def _json(value: object) -> Response:
    return _text(200, json.dumps(value), "application/json")


class Metadata:
    """The metadata server of the configuration's attached service account."""

    def __init__(self, configuration: Configuration, tokens: Tokens) -> None:
        self._configuration = configuration
        self._tokens = tokens
        self._cache: dict[tuple[str, frozenset[str]], AccessToken] = {}

    def __call__(self, request: Request) -> Response:
        """Answers a request."""
        if request.method not in {"GET", "HEAD"}:
            return _text(405, "only GET and HEAD are allowed\n")
        if request.header("X-Forwarded-For") is not None:
            return _text(403, "requests that were forwarded are refused\n")
        if request.path == "/":
            return _text(200, "computeMetadata/\n")
        if request.header("Metadata-Flavor") != "Google":
            return _text(403, "the header Metadata-Flavor: Google is missing\n")
        if request.path.startswith(_ACCOUNTS):
            return self._account(request)
        value = self._values().get(request.path.removeprefix(_ROOT))
        return _text(200, value) if value is not None else _text(404, "not found\n")

    def _values(self) -> dict[str, str]:
        project = self._configuration.project
        return {
            "project/project-id": project.id,
            "project/numeric-project-id": project.number,
            "instance/id": "1000000000000000001",
            "instance/region": f"projects/{project.number}/regions/{project.region}",
            "instance/zone": f"projects/{project.number}/zones/{project.region}-b",
            "universe/universe-domain": "googleapis.com",
        }

    def _account(self, request: Request) -> Response:
        attached = self._configuration.attached
        name, _, what = request.path.removeprefix(_ACCOUNTS).partition("/")
        if not name:
            return _text(200, f"default/\n{attached}/\n" if attached else "")
        account = self._configuration.accounts.get(attached)
        if account is None or name not in {"default", attached}:
            return _text(404, "not found\n")
        texts = {"aliases": "default\n", "email": account.email, "scopes": f"{CLOUD_PLATFORM}\n"}
        if what in texts:
            return _text(200, texts[what])
        answers = {"": self._description, "token": self._token, "identity": self._identity}
        return answers[what](request, account) if what in answers else _text(404, "not found\n")

    def _description(self, request: Request, account: ServiceAccount) -> Response:
        if request.query.get("recursive") != ["true"]:
            return _text(200, "aliases\nemail\nidentity\nscopes\ntoken\n")
        return _json({"aliases": ["default"], "email": account.email, "scopes": [CLOUD_PLATFORM]})

    def _token(self, request: Request, account: ServiceAccount) -> Response:
        wished = request.query.get("scopes", [""])[0]
        scopes = frozenset(filter(None, wished.split(","))) or frozenset([CLOUD_PLATFORM])
        token = self._cache.get((account.email, scopes))
        if token is None or token.expires - _EARLY <= self._tokens.clock():
            token = self._tokens.access_token(account.email, scopes)
            self._cache[account.email, scopes] = token
        expires_in = int(token.expires - self._tokens.clock())
        return _json({"access_token": token.value, "expires_in": expires_in, "token_type": "Bearer"})

    def _identity(self, request: Request, account: ServiceAccount) -> Response:
        audience = request.query.get("audience", [""])[0]
        if not audience:
            return _text(400, "non-empty audience parameter required\n")
        kind = request.query.get("format", ["standard"])[0]
        if kind not in {"standard", "full"}:
            return _text(400, "format must be standard or full\n")
        extra: dict[str, object] = {}
        if kind == "full":
            extra = {"email": account.email, "email_verified": True}
        return _text(200, self._tokens.id_token(account, audience, extra), "text/html")
