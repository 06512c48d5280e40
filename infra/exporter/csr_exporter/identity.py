"""The ID token for the function: fetched from Google before the first event, cached, and renewed early.

Pods on the host's network have no workload identity of their own: the metadata server gives them the node's account. So
the exporter exchanges a projected service account token at STS and IAM Credentials.
"""

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from urllib.parse import urlencode

from csr_exporter.clock import Backoff, Clock
from csr_exporter.configuration import Identity, MetadataServer, UnsafeNone, WorkloadIdentityFederation
from csr_exporter.connection import Endpoint, Timeouts, UnreachableError, json_object, read_credential
from csr_exporter.log import scrub
from csr_exporter.metrics import Metrics

# The cache renews a token this many seconds before it expires, or at half of its lifetime.
EARLY = 600.0
TIMEOUTS = Timeouts(read=10.0, total=20.0)
_LARGEST_ANSWER = 64 << 10


class IdentityError(Exception):
    """There is no ID token for now; the message says which step failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdToken:
    """A token, the seconds for which it is valid from now on, and whom it names (empty if unreadable)."""

    value: str
    lifetime: float
    principal: str = ""


@dataclass(eq=False)
class CachedToken:
    """An ID token that many threads use and one thread at a time renews.

    After a failure, no thread fetches again until the back-off ends.
    """

    fetch: Callable[[], IdToken]
    clock: Clock
    metrics: Metrics
    obtained: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._backoff = Backoff(least=1.0, most=30.0)
        self._lock = threading.Lock()
        self._held: tuple[IdToken, float] | None = None
        self._not_before = float("-inf")
        self._error = ""

    @property
    def principal(self) -> str:
        """Whom the token names; empty if unknown."""
        held = self._held
        return "" if held is None else held[0].principal

    def token(self) -> str:
        """Returns a valid token.

        Raises:
            IdentityError: there is none.
        """
        token = self._valid()
        if token is None:
            with self._lock:
                token = self._valid() or self._renew()
        return token

    def renew_early(self) -> None:
        """Renews the token some time before it expires, so that no event has to wait.

        Raises:
            IdentityError: that failed; the old token is valid until it expires.
        """
        with self._lock:
            held = self._held
            if held is None or self.clock.now() >= held[1] - min(EARLY, held[0].lifetime / 2):
                self._renew()

    def replacement(self, refused: str) -> str:
        """Returns a token other than the one that the function refused.

        Raises:
            IdentityError: there is none.
        """
        with self._lock:
            if self._held is not None and self._held[0].value == refused:
                self._held = None
        return self.token()

    def _valid(self) -> str | None:
        held = self._held
        return held[0].value if held is not None and self.clock.now() < held[1] else None

    def _renew(self) -> str:
        now = self.clock.now()
        if now < self._not_before:
            raise IdentityError(self._error)
        try:
            token = self.fetch()
        except IdentityError as error:
            self.metrics.token_refresh_errors.labels(kind="id").inc()
            self._error = str(error)
            # From the end of the failure, so that the threads that waited for it do not repeat it at once.
            failed_at = self.clock.now()
            self._not_before = failed_at + self._backoff.delay(failed_at)
            raise
        self._held = token, now + token.lifetime
        self.metrics.token_expiry.labels(kind="id").set(time.time() + token.lifetime)
        self.obtained = True
        return token.value


def project(identity: Identity) -> str:
    """Returns the Google Cloud project of the service account; empty if the configuration names none."""
    if isinstance(identity, WorkloadIdentityFederation):
        return identity.service_account.partition("@")[2].removesuffix(".iam.gserviceaccount.com")
    return ""


def source(identity: Identity, audience: str, *, timeouts: Timeouts = TIMEOUTS) -> Callable[[], IdToken] | None:
    """Returns what fetches ID tokens, or raises IdentityError; None for no identity."""
    if isinstance(identity, UnsafeNone):
        return None
    if isinstance(identity, MetadataServer):
        return partial(_ask_metadata_server, identity, audience, timeouts)
    return partial(_federate, identity, audience, timeouts)


def _ask_metadata_server(identity: MetadataServer, audience: str, timeouts: Timeouts) -> IdToken:
    metadata_server = _Service("metadata server", identity.url, timeouts)
    query = urlencode({"audience": audience, "format": "full"})
    path = f"/computeMetadata/v1/instance/service-accounts/default/identity?{query}"
    token, date = metadata_server.ask("GET", path, {"Metadata-Flavor": "Google"})
    return metadata_server.id_token(token.decode("ascii", "replace").strip(), date)


def _federate(identity: WorkloadIdentityFederation, audience: str, timeouts: Timeouts) -> IdToken:
    """Exchanges the projected token at STS, and asks generateIdToken with STS' access token."""
    try:
        subject_token = read_credential(identity.token_file)
    except UnreachableError as error:
        raise IdentityError(str(error)) from error
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": identity.sts_audience,
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "subject_token": subject_token,
    }
    sts = _Service(f"STS, audience {identity.sts_audience!r}", identity.sts_url, timeouts)
    content_type = {"Content-Type": "application/x-www-form-urlencoded"}
    answer, _ = sts.ask("POST", "/v1/token", content_type, urlencode(form).encode())
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {sts.text(answer, 'access_token')}"}
    account = identity.service_account
    iam_credentials = _Service(f"generateIdToken for {account}", identity.iam_credentials_url, timeouts)
    wanted = json.dumps({"audience": audience, "includeEmail": True}).encode()
    path = f"/v1/projects/-/serviceAccounts/{account}:generateIdToken"
    answer, date = iam_credentials.ask("POST", path, headers, wanted)
    return iam_credentials.id_token(iam_credentials.text(answer, "token"), date)


class _Service:
    """One of Google's services; `name` opens every error's message."""

    def __init__(self, name: str, url: str, timeouts: Timeouts) -> None:
        self._name = name
        self._endpoint = Endpoint(url, timeouts=timeouts)

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> tuple[bytes, float]:
        """Returns the response's body, and the service's clock in seconds since 1970."""
        try:
            with self._endpoint.request(method, path, headers=headers, body=body) as answer:
                content = answer.body(_LARGEST_ANSWER)
        except UnreachableError as error:
            raise self._error(str(error)) from error
        finally:
            self._endpoint.forget()  # the next request comes in about an hour
        if content is None:
            raise self._error(f"the response: Too long: must have at most {_LARGEST_ANSWER} bytes")
        if answer.status != 200:  # noqa: PLR2004 - HTTP's OK
            raise self._error(f"{answer.status} {_explanation(content)}".rstrip())
        try:
            return content, parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
        except (ValueError, OverflowError):
            return content, time.time()

    def text(self, content: bytes, field: str) -> str:
        """Returns a text field of a JSON response."""
        value = json_object(content).get(field)
        if isinstance(value, str) and value.isascii() and value.isprintable() and value:
            return value
        raise self._error(f"the response's {field}: Invalid value: {type(value).__name__}: must be printable text")

    def id_token(self, value: str, date: float) -> IdToken:
        """Returns the ID token; the receiver verifies it.

        Its lifetime follows from the service's clock, not from this machine's.
        """
        try:
            payload = value.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            lifetime = float(claims["exp"]) - date
        except (IndexError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            must = f"the ID token: Invalid value: {len(value)} characters: must be a JWT with exp"
            raise self._error(must) from error
        if not lifetime > 0:
            raise self._error(f"the ID token expired {-lifetime:.0f} s ago")
        principal = claims.get("email") or claims.get("sub") or ""
        return IdToken(value=value, lifetime=lifetime, principal=scrub(str(principal)))

    def _error(self, message: str) -> IdentityError:
        return IdentityError(f"{self._name}: {message}")


def _explanation(content: bytes) -> str:
    """Returns the error's text in the form of STS (RFC 6749, section 5.2) or of Google's APIs."""
    fields = json_object(content)
    error = fields.get("error")
    if isinstance(error, dict):
        return scrub(f"{error.get('status', '')}: {error.get('message', '')}")
    return scrub(f"{error}: {fields.get('error_description', '')}") if isinstance(error, str) else ""
