"""IAM Service Account Credentials: a principal gets an ID token of a service account that it may act for."""

import json
import re
from typing import Any
from urllib.parse import unquote

from sandbox.google.errors import api_error
from sandbox.google.model import CLOUD_PLATFORM, Configuration
from sandbox.google.tokens import AccessToken, Tokens
from sandbox.google.web import Request, Response

PREFIX = "/v1/projects/"
_PERMISSION = "iam.serviceAccounts.getOpenIdToken"
_PATH = re.compile(r"/v1/projects/-/serviceAccounts/([^/:]+):generateIdToken")
_SCOPES = frozenset([CLOUD_PLATFORM, "https://www.googleapis.com/auth/iam"])
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "audience": str,
    "includeEmail": bool,
    "delegates": (list, type(None)),
}


class IamCredentials:
    """Answers `POST /v1/projects/-/serviceAccounts/EMAIL:generateIdToken`."""

    def __init__(self, configuration: Configuration, tokens: Tokens) -> None:
        self._configuration = configuration
        self._tokens = tokens

    def __call__(self, request: Request) -> Response:
        """Answer a request below its prefix."""
        match = _PATH.fullmatch(request.path)
        if match is None or request.method != "POST":
            return api_error(404, "NOT_FOUND", "no such method")
        caller = self._tokens.bearer(request.header("Authorization"))
        if caller is None:
            return api_error(401, "UNAUTHENTICATED", "the request had invalid authentication credentials")
        if not caller.scopes & _SCOPES:
            return api_error(403, "PERMISSION_DENIED", "the request had insufficient authentication scopes")
        body = _body(request)
        if isinstance(body, Response):
            return body
        return self._id_token(caller, unquote(match[1]), body)

    def _id_token(self, caller: AccessToken, email: str, body: dict[str, Any]) -> Response:
        account = self._configuration.accounts.get(email)
        # Without the permission nobody learns which accounts there are.
        if account is None or caller.principal not in account.token_creators:
            return api_error(
                403,
                "PERMISSION_DENIED",
                f"Permission '{_PERMISSION}' denied on resource (or it may not exist).",
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "IAM_PERMISSION_DENIED",
                    "domain": "iam.googleapis.com",
                    "metadata": {"permission": _PERMISSION},
                },
            )
        extra = {"email": account.email, "email_verified": True} if body.get("includeEmail") else {}
        return Response.json(200, {"token": self._tokens.id_token(account, body["audience"], extra)})


def _body(request: Request) -> dict[str, Any] | Response:
    try:
        body = json.loads(request.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return api_error(400, "INVALID_ARGUMENT", "the body must be a JSON object")
    for name, value in body.items():
        if name not in _FIELDS:
            return api_error(400, "INVALID_ARGUMENT", f"unknown name {name!r}: cannot find field")
        if not isinstance(value, _FIELDS[name]):
            return api_error(400, "INVALID_ARGUMENT", f"invalid value at {name!r}")
    if body.get("delegates"):
        return api_error(400, "INVALID_ARGUMENT", "delegates are not supported by this double")
    if not body.get("audience"):
        return api_error(400, "INVALID_ARGUMENT", "audience is required")
    return body
