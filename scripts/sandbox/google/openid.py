"""Google as an OpenID provider: the keys of ID tokens, and the meaning of access tokens."""

from collections.abc import Callable

from sandbox.google.errors import api_error
from sandbox.google.model import EMAIL, Configuration
from sandbox.google.tokens import Tokens
from sandbox.google.web import Request, Response

DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/oauth2/v3/certs"
CERTIFICATES = "/oauth2/v1/certs"
TOKEN_INFO = "/oauth2/v3/tokeninfo"  # noqa: S105  # a path
_CACHE = {"Cache-Control": "public, max-age=21600, must-revalidate"}


class OpenIdProvider:
    """Answers discovery, both forms of the keys, and tokeninfo.

    Args:
        configuration: The accounts and grants.
        tokens: The issued tokens.
        url: Returns this double's root URL.
    """

    def __init__(self, configuration: Configuration, tokens: Tokens, url: Callable[[], str]) -> None:
        self._configuration = configuration
        self._tokens = tokens
        self._url = url

    def __call__(self, request: Request) -> Response:
        """Answers a request to one of its paths."""
        answers: dict[str, Callable[[], Response]] = {
            DISCOVERY: lambda: Response.json(200, self._discovery(), _CACHE),
            JWKS: lambda: Response.json(200, self._tokens.jwks, _CACHE),
            CERTIFICATES: lambda: Response.json(200, self._tokens.certificates, _CACHE),
            TOKEN_INFO: lambda: self._token_info(request),
        }
        return answers.get(request.path, lambda: api_error(404, "NOT_FOUND", "no such method"))()

    def _discovery(self) -> dict[str, object]:
        return {
            "issuer": self._tokens.issuer,
            "jwks_uri": f"{self._url()}{JWKS}",
            "authorization_endpoint": f"{self._url()}/o/oauth2/v2/auth",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claims_supported": ["aud", "email", "email_verified", "exp", "iat", "iss", "sub"],
        }

    def _token_info(self, request: Request) -> Response:
        token = self._tokens.bearer(f"Bearer {request.query.get('access_token', [''])[0]}")
        account = self._configuration.accounts.get(token.principal) if token else None
        if token is None or account is None:
            return Response.json(400, {"error": "invalid_token", "error_description": "invalid value"})
        described = {
            "azp": account.unique_id,
            "aud": account.unique_id,
            "scope": " ".join(sorted(token.scopes)),
            "expires_in": str(int(token.expires - self._tokens.clock())),
        }
        # Without the scope, the answer has no email, and an API server sees the number.
        if EMAIL in token.scopes:
            described |= {"email": account.email, "email_verified": "true"}
        return Response.json(200, described)
