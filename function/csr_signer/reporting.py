"""Reports to the cluster: Events on a CSR that is refused or waits, and on its pod once the function attested it.

An Event on a waiting CSR says whose turn it is. So `kubectl get events` names the cause of each failure that the
function can see after it read the CSR. Before that, and while the API server is unavailable, only the function's log
and the exporter can tell.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, Protocol

from csr_signer.audit import AuditTrail
from csr_signer.errors import (
    ApiServerUnavailableError,
    ConfigurationError,
    IntegrityError,
    ItemError,
    ItemUnavailableError,
    SignerError,
    unexpected,
)
from csr_signer.objects import event
from csr_signer.objects.csr import CertificateSigningRequest
from csr_signer.objects.event import LONGEST_NOTE, Event
from csr_signer.objects.pod import PodIdentity
from csr_signer.policy.attestation import Attestation

PATIENCE: Final = timedelta(seconds=10)
"""An honest CSR has its certificate long before this age; an Event on each slow one would only be noise."""
MOST_TRIED: Final = 5000
REMEMBERED: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Whose turn it is while a CSR waits.

    Attributes:
        reason: the Event's reason, an interface; docs/architecture.md lists all of them.
        advice: what to do, for the end of the message.
    """

    reason: str
    advice: str


OPERATOR: Final = Turn(
    reason="WaitingForOperator", advice="an operator must fix this; then the function issues the certificate"
)
SERVICE: Final = Turn(
    reason="WaitingForService", advice="the exporter sends the CSR again; an operator must act only if this lasts"
)
REQUESTER: Final = Turn(
    reason="WaitingForRequester",
    advice="the status of the pod, or on the host's network of its node, must show them; the function refuses the CSR"
    " at the signer's deferral_limit",
)

# The first class that fits. While the API server is unavailable it takes no Event either.
_TURNS: Final[Mapping[type[SignerError], Turn | None]] = MappingProxyType(
    {
        ApiServerUnavailableError: None,
        ItemUnavailableError: SERVICE,
        ConfigurationError: OPERATOR,
        ItemError: OPERATOR,
        IntegrityError: OPERATOR,
        SignerError: SERVICE,
    }
)


def turn_of(fault: SignerError) -> Turn | None:
    """Returns whose turn it is after a fault; None if no Event can be written."""
    return next(turn for kind, turn in _TURNS.items() if isinstance(fault, kind))


class Tried:
    """The Events that this process tried to write to one cluster lately, at most `most` of them.

    The exporter resends a waiting CSR every few seconds. Without this memory each attempt would write its Events again,
    which doubles the calls to the API server as long as a key is disabled. If it is full, so many CSRs wait that the
    API server needs the rest most: further CSRs get their Events after others are forgotten.
    """

    def __init__(self, most: int = MOST_TRIED) -> None:
        self._most = most
        self._names: dict[str, datetime] = {}  # in the order of their times

    def add(self, name: str, now: datetime) -> bool:
        """Remembers an Event; returns whether to write it."""
        while self._names and now - self._names[oldest := next(iter(self._names))] >= REMEMBERED:
            del self._names[oldest]
        if name in self._names or len(self._names) >= self._most:
            return False
        self._names[name] = now
        return True

    def forget(self, name: str) -> None:
        """Forgets an Event that was not written."""
        self._names.pop(name, None)


class EventWriter(Protocol):
    """The part of the port `Cluster` that reports use."""

    async def create_event(self, event: Event) -> None: ...  # noqa: D102


@dataclass(slots=True, kw_only=True)
class EventRecorder:
    """What the cluster learns of one attempt; the pipeline fills in the CSR and its pod when it knows them.

    Attributes:
        cluster: writes the Events.
        trail: records Events that could not be written; a decision is valid without them.
        tried: the cluster's Events of earlier attempts.
        now: the time of the attempt.
        csr: the CSR; None before triage, and no Event without it.
        pod: the attested pod. An Event on another pod would be on whichever pod the requester names.
    """

    cluster: EventWriter
    trail: AuditTrail
    tried: Tried
    now: datetime
    csr: CertificateSigningRequest | None = None
    pod: PodIdentity | None = None

    def about(self, csr: CertificateSigningRequest, trail: AuditTrail) -> None:
        """Learns the CSR."""
        self.csr, self.trail = csr, trail

    def attested(self, attestation: Attestation) -> None:
        """Learns the pod, if the live pod has the token's uid."""
        self.pod = attestation.identity if attestation.pod is not None else None

    async def refused(self, reason: str, message: str) -> None:
        """Reports a refusal."""
        await self._write(about="refused", reason=reason, message=message)

    @asynccontextmanager
    async def faults(self) -> AsyncIterator[None]:
        """Reports whose turn it is after a fault, if the CSR waits, or will wait, for long.

        Raises:
            SignerError: the fault.
        """
        try:
            yield
        except SignerError as fault:
            await self._failed(fault)
            raise
        except Exception as error:
            own = unexpected(error)
            await self._failed(own)
            raise own from error

    async def waits(self, turn: Turn, cause: str, retry_after: int) -> None:
        """Reports whose turn it is, if the CSR waits for long, or will before its next attempt.

        An operator's fault asks for a long delay, so its Event does not wait for the second attempt.

        Args:
            turn: whose turn it is.
            cause: what is wrong, escaped.
            retry_after: seconds until the exporter resends the CSR.
        """
        next_attempt = self.now + timedelta(seconds=retry_after)
        if self.csr is not None and next_attempt - self.csr.created >= PATIENCE:
            message = f"{cause[: LONGEST_NOTE - len(turn.advice) - 2]}; {turn.advice}"
            await self._write(about=turn.reason.lower(), reason=turn.reason, message=message)

    async def _failed(self, fault: SignerError) -> None:
        turn = turn_of(fault)
        if turn is not None:
            await self.waits(turn, str(fault), fault.retry_after or 0)

    async def _write(self, *, about: str, reason: str, message: str) -> None:
        events = self._events(about=about, reason=reason, message=message)
        await asyncio.gather(*(self._create(each) for each in events if self.tried.add(each.name, self.now)))

    def _events(self, *, about: str, reason: str, message: str) -> Iterator[Event]:
        if self.csr is None:
            return
        of_csr = event.on_csr(self.csr, about=about, reason=reason, message=message, moment=self.now)
        yield of_csr
        if self.pod is not None:
            yield event.on_pod(of_csr, self.pod)

    async def _create(self, each: Event) -> None:
        try:
            await self.cluster.create_event(each)
        except SignerError as error:
            self.tried.forget(each.name)
            facts = {"fault": type(error).__name__}
            await self.trail.record("fault", "WARNING", f"no Event on the {each.kind}: {error}", facts)
