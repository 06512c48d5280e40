"""The ID token: fetched before the first event, cached, and renewed early."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from csr_exporter.backoff import Backoff
from csr_exporter.clock import Clock
from csr_exporter.metrics import Metrics

# The cache renews a token this many seconds before it expires, or at half of its lifetime.
EARLY = 600.0


class IdentityError(Exception):
    """There is no ID token for now; the message says which step failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdToken:
    """A token, the seconds for which it is valid from now on, and whom it names (empty if unreadable)."""

    value: str
    lifetime: float
    principal: str = ""


class CachedToken:
    """An ID token that many threads use and one thread at a time renews.

    After a failure, no thread fetches again until the back-off ends.
    """

    def __init__(self, fetch: Callable[[], IdToken], clock: Clock, *, metrics: Metrics) -> None:
        """Fetches nothing yet."""
        self._fetch = fetch
        self._clock = clock
        self._metrics = metrics
        self._backoff = Backoff(least=1.0, most=30.0)
        self._lock = threading.Lock()
        self._held: tuple[IdToken, float] | None = None
        self._not_before = float("-inf")
        self._error = ""
        self.obtained = False

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
            if held is None or self._clock.now() >= held[1] - min(EARLY, held[0].lifetime / 2):
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
        return held[0].value if held is not None and self._clock.now() < held[1] else None

    def _renew(self) -> str:
        now = self._clock.now()
        if now < self._not_before:
            raise IdentityError(self._error)
        try:
            token = self._fetch()
        except IdentityError as error:
            self._metrics.token_refresh_errors.labels(kind="id").inc()
            self._error = str(error)
            # From the end of the failure, so that the threads that waited for it do not repeat it at once.
            failed_at = self._clock.now()
            self._not_before = failed_at + self._backoff.delay(failed_at)
            raise
        self._held = token, now + token.lifetime
        self._metrics.token_expiry.labels(kind="id").set(time.time() + token.lifetime)
        self.obtained = True
        return token.value
