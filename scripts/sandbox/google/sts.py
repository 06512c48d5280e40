"""The Security Token Service: exchanges a cluster's service account token for a Google access token."""

from urllib.parse import parse_qs

from sandbox.google import jwt
from sandbox.google.jwt import JwtError
from sandbox.google.model import CLOUD_PLATFORM, Configuration, Provider
from sandbox.google.tokens import LIFETIME, Tokens
from sandbox.google.web import Request, Response

PATH = "/v1/token"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  # the name of a kind of token
SUBJECT_TOKEN_TYPES = (
    "urn:ietf:params:oauth:token-type:jwt",
    "urn:ietf:params:oauth:token-type:id_token",
)
_FORM = "application/x-www-form-urlencoded"
_SCOPES = frozenset([CLOUD_PLATFORM, "https://www.googleapis.com/auth/iam"])
_SUBJECT_LIMIT = 127  # characters of google.subject
_LONGEST_TOKEN = 24 * 3600  # seconds between iat and exp of a subject token
_PARAMETERS = frozenset(
    ["audience", "grant_type", "options", "requested_token_type", "scope", "subject_token", "subject_token_type"]
)


class ExchangeError(Exception):
    """The service refuses the exchange; `code` is the error of RFC 6749 §5.2 and RFC 8693 §2.2.2."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code


class SecurityTokenService:
    """Answers `POST /v1/token`."""

    def __init__(self, configuration: Configuration, tokens: Tokens) -> None:
        self._configuration = configuration
        self._tokens = tokens

    def __call__(self, request: Request) -> Response:
        """Answers a request to its path."""
        if request.method != "POST":
            return Response.json(405, {"error": "invalid_request", "error_description": "only POST is allowed"})
        try:
            principal, scopes = self._exchange(request)
        except ExchangeError as error:
            return Response.json(400, {"error": error.code, "error_description": str(error)})
        token = self._tokens.access_token(principal, scopes)
        return Response.json(
            200,
            {
                "access_token": token.value,
                "issued_token_type": ACCESS_TOKEN,
                "token_type": "Bearer",
                "expires_in": LIFETIME,
            },
        )

    def _exchange(self, request: Request) -> tuple[str, frozenset[str]]:
        form = _form(request)
        if form["grant_type"] != GRANT_TYPE:
            raise ExchangeError("unsupported_grant_type", f"grant_type must be {GRANT_TYPE}")
        _check_one_of("requested_token_type", form["requested_token_type"], (ACCESS_TOKEN,))
        _check_one_of("subject_token_type", form["subject_token_type"], SUBJECT_TOKEN_TYPES)
        provider = self._provider(form["audience"])
        scopes = frozenset(form["scope"].split())
        if not scopes or not scopes <= _SCOPES:
            raise ExchangeError("invalid_scope", f"scope must be of {sorted(_SCOPES)}")
        return provider.principal(self._subject(form["subject_token"], provider)), scopes

    def _provider(self, audience: str) -> Provider:
        if not audience.startswith(("//iam.googleapis.com/projects/", "identitynamespace:")):
            raise ExchangeError(
                "invalid_request",
                'invalid value for "audience": it must be the full resource name of the identity provider',
            )
        provider = self._configuration.providers.get(audience)
        if provider is None:
            raise ExchangeError(
                "invalid_target",
                'the target service indicated by the "audience" parameters is invalid: '
                "the pool or provider does not exist or is disabled",
            )
        return provider

    def _subject(self, text: str, provider: Provider) -> str:
        """Returns the subject of a service account token that the provider accepts."""
        try:
            token = jwt.parse(text)
            if provider.keys is not None:
                jwt.verify(token, provider.keys)
        except JwtError as error:
            raise ExchangeError("invalid_grant", f"the subject token is refused: {error}") from error
        claims = token.claims
        if provider.issuer is not None and claims.get("iss") != provider.issuer:
            raise ExchangeError("invalid_grant", f"the issuer {claims.get('iss')!r} is not {provider.issuer!r}")
        audiences = claims.get("aud")
        if provider.subject_audience not in ([audiences] if isinstance(audiences, str) else audiences or []):
            raise ExchangeError(
                "invalid_grant",
                f"the audience in the ID token {audiences!r} does not match the expected {provider.subject_audience!r}",
            )
        self._check_times(claims.get("iat"), claims.get("exp"))
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= _SUBJECT_LIMIT:
            raise ExchangeError("invalid_grant", f"the subject must have 1 to {_SUBJECT_LIMIT} characters")
        return subject

    def _check_times(self, issued: object, expires: object) -> None:
        now = self._tokens.clock()
        if not isinstance(issued, int | float) or not isinstance(expires, int | float):
            raise ExchangeError("invalid_grant", "the ID token must have iat and exp")
        if not issued <= now + 60 or expires <= now:
            raise ExchangeError("invalid_grant", f"the ID token is valid from {issued} to {expires}, not at {now:.0f}")
        if expires - issued > _LONGEST_TOKEN:
            raise ExchangeError("invalid_grant", "the ID token is valid for more than 24 hours")


def _form(request: Request) -> dict[str, str]:
    kind = (request.header("Content-Type") or "").split(";")[0].strip().lower()
    if kind != _FORM:
        raise ExchangeError("invalid_request", f"content type must be {_FORM}, got {kind!r}")
    try:
        fields = parse_qs(request.body.decode(), keep_blank_values=True, strict_parsing=True)
    except ValueError as error:
        raise ExchangeError("invalid_request", "the body is no form") from error
    unknown = sorted(fields.keys() - _PARAMETERS)
    if unknown:
        raise ExchangeError("invalid_request", f"unknown parameters {unknown}")
    repeated = sorted(name for name, values in fields.items() if len(values) > 1)
    if repeated:
        raise ExchangeError("invalid_request", f"repeated parameters {repeated}")
    missing = sorted(name for name in _PARAMETERS - {"options"} if not fields.get(name, [""])[0])
    if missing:
        raise ExchangeError("invalid_request", f"missing parameters {missing}")
    return {name: values[0] for name, values in fields.items()}


def _check_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ExchangeError("invalid_request", f"{name} must be one of {list(allowed)}")
