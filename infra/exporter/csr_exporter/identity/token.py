"""Who the exporter is to the function: a Google ID token, fetched before it is needed and renewed early.

`google` fetches it; here it is kept. Nothing here knows how a token is made.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from csr_exporter.backoff import Backoff
from csr_exporter.clock import Clock
from csr_exporter.metrics import Metrics

# Seconds before its end at which a token is renewed, if it lives twice as long.
EARLY = 600.0


class IdentityError(Exception):
    """There is no ID token for now; the message says which step failed, and who can mend it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdToken:
    """A token, the seconds for which it is valid from now on, and whom it names where that could be read."""

    value: str
    lifetime: float
    principal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    value: str
    principal: str
    renew_at: float
    expires_at: float


class CachedToken:
    """An ID token that many threads use and one at a time renews.

    After a failure nobody asks again before its back-off is over, however many want the token.
    """

    def __init__(self, fetch: Callable[[], IdToken], clock: Clock, *, metrics: Metrics) -> None:
        """Fetches nothing yet."""
        self._fetch = fetch
        self._clock = clock
        self._metrics = metrics
        self._backoff = Backoff(least=1.0, most=30.0)
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._not_before = float("-inf")
        self._error = ""
        self.obtained = False

    @property
    def principal(self) -> str:
        """Whom the token names that is held, empty where there is none or it does not say."""
        held = self._held
        return "" if held is None else held.principal

    @property
    def expires_in(self) -> float | None:
        """Seconds until the token ends that is held; None where there is none."""
        held = self._held
        return None if held is None else held.expires_at - self._clock.now()

    def token(self) -> str:
        """The token as long as it is valid, else a new one.

        Raises:
            IdentityError: there is none.
        """
        held = self._held
        if held is not None and self._clock.now() < held.expires_at:
            return held.value
        with self._lock:
            held = self._held
            if held is None or self._clock.now() >= held.expires_at:
                held = self._renew()
            return held.value

    def renew_early(self) -> None:
        """Renews the token some time before its end, so that no delivery has to wait for that.

        Raises:
            IdentityError: that failed; the old token serves until its end.
        """
        with self._lock:
            if self._held is None or self._clock.now() >= self._held.renew_at:
                self._renew()

    def replacement(self, refused: str) -> str:
        """A token other than the one that the function refused.

        Raises:
            IdentityError: there is none.
        """
        with self._lock:
            if self._held is not None and self._held.value == refused:
                self._held = None
        return self.token()

    def _renew(self) -> _Held:
        now = self._clock.now()
        if now < self._not_before:
            raise IdentityError(self._error)
        try:
            token = self._fetch()
        except IdentityError as error:
            self._metrics.token_refresh_errors.labels(kind="id").inc()
            self._error = str(error)
            # From its end on: what took long must not be repeated at once by each of those who waited for it.
            failed_at = self._clock.now()
            self._not_before = failed_at + self._backoff.delay(failed_at)
            raise
        renew_at = now + max(token.lifetime - EARLY, token.lifetime / 2)
        self._held = _Held(
            value=token.value, principal=token.principal, renew_at=renew_at, expires_at=now + token.lifetime
        )
        self.obtained = True
        return self._held
