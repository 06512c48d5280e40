"""IAM Service Account Credentials: a principal gets an ID token or access token of a service account."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from sandbox.google.errors import api_error
from sandbox.google.model import CLOUD_PLATFORM, Configuration, ServiceAccount
from sandbox.google.tokens import LIFETIME, AccessToken, Tokens
from sandbox.google.web import Request, Response

PREFIX = "/v1/projects/"
_PATH = re.compile(r"/v1/projects/-/serviceAccounts/([^/:]+):(generateIdToken|generateAccessToken)")
_SCOPES = frozenset([CLOUD_PLATFORM, "https://www.googleapis.com/auth/iam"])
_DURATION = re.compile(r"([1-9][0-9]{0,5})s")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Method:
    """A method's permission and fields.

    Attributes:
        permission: The permission that the caller needs on the account.
        fields: The types of the body's fields.
        required: The field without which the request is refused.
    """

    permission: str
    fields: Mapping[str, type | tuple[type, ...]]
    required: str


_METHODS = {
    "generateIdToken": _Method(
        permission="iam.serviceAccounts.getOpenIdToken",
        fields={"audience": str, "includeEmail": bool, "delegates": (list, type(None))},
        required="audience",
    ),
    "generateAccessToken": _Method(
        permission="iam.serviceAccounts.getAccessToken",
        fields={"scope": list, "lifetime": str, "delegates": (list, type(None))},
        required="scope",
    ),
}


class IamCredentials:
    """Answers `POST /v1/projects/-/serviceAccounts/EMAIL:METHOD` for generateIdToken and generateAccessToken."""

    def __init__(self, configuration: Configuration, tokens: Tokens) -> None:
        self._configuration = configuration
        self._tokens = tokens

    def __call__(self, request: Request) -> Response:
        """Answers a request below its prefix."""
        match = _PATH.fullmatch(request.path)
        if match is None or request.method != "POST":
            return api_error(404, "NOT_FOUND", "no such method")
        caller = self._tokens.bearer(request.header("Authorization"))
        if caller is None:
            return api_error(401, "UNAUTHENTICATED", "the request had invalid authentication credentials")
        if not caller.scopes & _SCOPES:
            return api_error(403, "PERMISSION_DENIED", "the request had insufficient authentication scopes")
        method = _METHODS[match[2]]
        body = _body(request, method)
        if isinstance(body, Response):
            return body
        account = self._configuration.accounts.get(unquote(match[1]))
        # Without the permission, a caller must not learn which accounts exist.
        if account is None or not _may(caller, account, method):
            return _denied(method.permission)
        return self._id_token(account, body) if method.required == "audience" else self._access_token(account, body)

    def _id_token(self, account: ServiceAccount, body: dict[str, Any]) -> Response:
        extra = {"email": account.email, "email_verified": True} if body.get("includeEmail") else {}
        return Response.json(200, {"token": self._tokens.id_token(account, body["audience"], extra)})

    def _access_token(self, account: ServiceAccount, body: dict[str, Any]) -> Response:
        lifetime = _DURATION.fullmatch(body.get("lifetime", f"{LIFETIME}s"))
        if lifetime is None or int(lifetime[1]) > LIFETIME:
            return api_error(400, "INVALID_ARGUMENT", f"lifetime must be a number of seconds up to {LIFETIME}s")
        token = self._tokens.access_token(account.email, frozenset(body["scope"]), int(lifetime[1]))
        expires = datetime.fromtimestamp(token.expires, UTC)
        return Response.json(200, {"accessToken": token.value, "expireTime": f"{expires:%Y-%m-%dT%H:%M:%SZ}"})


def _may(caller: AccessToken, account: ServiceAccount, method: _Method) -> bool:
    """Tells whether the caller has the permission; roles/iam.workloadIdentityUser has both."""
    if caller.principal in account.impersonators:
        return True
    return method.required == "audience" and caller.principal in account.token_creators


def _denied(permission: str) -> Response:
    return api_error(
        403,
        "PERMISSION_DENIED",
        f"Permission '{permission}' denied on resource (or it may not exist).",
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "IAM_PERMISSION_DENIED",
            "domain": "iam.googleapis.com",
            "metadata": {"permission": permission},
        },
    )


def _body(request: Request, method: _Method) -> dict[str, Any] | Response:
    try:
        body = json.loads(request.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return api_error(400, "INVALID_ARGUMENT", "the body must be a JSON object")
    for name, value in body.items():
        # An unknown field matches no type.
        texts = all(isinstance(each, str) for each in value) if isinstance(value, list) else True
        if not isinstance(value, method.fields.get(name, ())) or not texts:
            return api_error(400, "INVALID_ARGUMENT", f"unknown name, or invalid value, at {name!r}")
    if body.get("delegates"):
        return api_error(400, "INVALID_ARGUMENT", "delegates are not supported by this double")
    if not body.get(method.required):
        return api_error(400, "INVALID_ARGUMENT", f"{method.required} is required")
    return body
