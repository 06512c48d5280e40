"""The service of one process: loads the configuration, connects the pipeline, and answers every request."""

import contextlib
import os
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from csr_signer import field_error
from csr_signer.audit import Audit, AuditRecord, fault
from csr_signer.ca import issuer
from csr_signer.cluster.client import KubernetesCluster
from csr_signer.cluster.session import session
from csr_signer.concurrency import ConcurrencyLimiter
from csr_signer.configuration import loader
from csr_signer.configuration.loader import Configuration
from csr_signer.errors import ConfigurationError, SignerError, unexpected
from csr_signer.events import cloud_event
from csr_signer.events.reference import RequestReference
from csr_signer.kms.client import connect
from csr_signer.kms.key import CloudKmsKey
from csr_signer.pipeline import Pipeline
from csr_signer.policy.signer import Signer
from csr_signer.shutdown import Shutdown
from csr_signer.single_flight import SingleFlight

CONFIGURATION: Final = "CSR_SIGNER_CONFIGURATION"
"""The environment variable with the path of the configuration document."""
CONCURRENCY: Final = "CSR_SIGNER_CONCURRENCY"
"""The environment variable with the number of concurrent requests that Cloud Run sends to this process."""
DEFAULT_CONCURRENCY: Final = 16
"""Terraform's value for one cluster."""
THREADS: Final = 2
"""Threads for long computations. With one thread, an RSA-8192 key would delay the checks of smaller keys."""

SWITCH_SECONDS: Final = 0.0005
"""Seconds that the event loop waits for Python's lock while a thread parses. It waits after every poll; with Python's
5 ms, one hostile cluster would make a certificate of another cluster take three times as long
(`scripts/bench hostile-cluster`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration, and the pipeline over its clusters and keys."""

    configuration: Configuration
    pipeline: Pipeline


async def load(audit: Audit) -> Loaded:
    """Loads the configuration document that the environment names, and connects the pipeline.

    Raises:
        ConfigurationError: the variable is missing, or the document is wrong.
    """
    path = os.environ.get(CONFIGURATION, "")
    if not path:
        raise ConfigurationError(
            f"environment variable {CONFIGURATION}: Required value: the path of the configuration document"
        )
    settings = loader.load(Path(path))
    kms = await connect(
        endpoint=settings.kms.endpoint, unsafe_plaintext_endpoint=settings.kms.unsafe_plaintext_endpoint
    )
    keys = {
        name: CloudKmsKey(
            connection=kms,
            key_version=signer.issuer.key_version,
            protection_level=signer.issuer.protection_level,
        )
        for name, signer in settings.signers.items()
    }
    clusters = {name: KubernetesCluster(session(cluster)) for name, cluster in settings.clusters.items()}
    limiter = ConcurrencyLimiter(clusters=len(clusters), concurrency=concurrency())
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="judge")
    pipeline = Pipeline(
        clusters=clusters, signers=settings.signers, keys=keys, audit=audit, limiter=limiter, threads=threads
    )
    return Loaded(configuration=settings, pipeline=pipeline)


async def record_expiries(signers: Mapping[tuple[str, str], Signer], audit: Audit, now: datetime) -> None:
    """Records every CA that needs rotation, so that an alert reaches the operator in time.

    Raises:
        UnavailableError: a record could not be written.
    """
    for (cluster, signer_name), signer in signers.items():
        lifetime = min(signer.profile.lifetime.default, signer.lifetime)
        for expiry in issuer.warnings(signer.issuer, now, lifetime=lifetime):
            facts = {
                "cluster": cluster,
                "signer_name": signer_name,
                "key_version": signer.issuer.key_version,
                "ca": expiry.certificate,
                "not_after": expiry.not_after.isoformat(),
            }
            record = AuditRecord(
                event="issuer_expiry", severity=expiry.severity, message=expiry.message, csr_uid="", facts=facts
            )
            await audit.record(record)


async def record_newer_releases(warnings: Mapping[tuple[str, str], str], audit: Audit) -> None:
    """Records every profile that is older than the release in its cluster.

    Raises:
        UnavailableError: a record could not be written.
    """
    for (cluster, signer_name), message in warnings.items():
        facts = {"cluster": cluster, "signer_name": signer_name}
        await audit.record(
            AuditRecord(event="newer_release", severity="WARNING", message=message, csr_uid="", facts=facts)
        )


class OnceADay:
    """Runs an action at the first request of each day (UTC); after a failure, the next request runs it again."""

    def __init__(self) -> None:
        self._running = False
        self._day: date | None = None

    async def run(self, day: date, action: Callable[[], Awaitable[None]]) -> None:
        """Runs the action, unless it already ran on that day or another request runs it."""
        # A request that was delayed past midnight is no new day.
        if self._running or (self._day is not None and day <= self._day):
            return
        self._running = True
        try:
            with contextlib.suppress(SignerError):
                await action()
                self._day = day
        finally:
            self._running = False


class Service:
    """One process: loads its configuration at the first request, and answers every request.

    If loading fails, the next request loads the configuration again, because permissions may still be propagating. The
    configuration is never loaded at import.
    """

    def __init__(self, audit: Audit) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        self._audit = audit
        self._loaded: Loaded | None = None
        self._loading: SingleFlight[Loaded] = SingleFlight()
        self._daily = OnceADay()
        self._shutdown: Shutdown | None = None

    async def respond(self, request: Request) -> Response:
        """Answers a request; every fault leads to one record and one answer."""
        if self._shutdown is None:
            self._shutdown = Shutdown()
            self._shutdown.listen()
        reference: RequestReference | None = None
        try:
            with self._shutdown.admit():
                loaded = self._loaded or await self._loading.get(self._load)
                reference = await cloud_event.receive(request, loaded.configuration.clusters)
                now = datetime.now(UTC)
                await self._daily.run(now.date(), lambda: self._record_warnings(loaded.configuration, now))
                return cloud_event.answer(await loaded.pipeline.process(reference, now))
        except SignerError as error:
            return await self._fault(error, reference)
        except Exception as error:  # noqa: BLE001 - every request needs a record and an answer
            return await self._fault(unexpected(error), reference)

    async def _record_warnings(self, configuration: Configuration, now: datetime) -> None:
        try:
            await record_newer_releases(configuration.release_warnings, self._audit)
            await record_expiries(configuration.signers, self._audit, now)
        except SignerError:
            raise
        except Exception as error:  # noqa: BLE001 - a failed warning must not stop the service
            await self._audit.record(fault(unexpected(error), csr_uid="", event_id=""))

    async def _load(self) -> Loaded:
        self._loaded = await load(self._audit)
        return self._loaded

    async def _fault(self, error: SignerError, reference: RequestReference | None) -> Response:
        record, trace_id = fault(error, csr_uid="", event_id=""), ""
        if reference is not None:
            trace_id = reference.trace_id
            record = fault(error, csr_uid=reference.uid, event_id=reference.event_id, cluster=reference.cluster)
        try:
            await self._audit.record(record, trace_id=trace_id)
        except SignerError as failure:
            return cloud_event.answer_fault(failure)
        return cloud_event.answer_fault(error)


def concurrency() -> int:
    """Returns the number of concurrent requests that Cloud Run sends to this process.

    Raises:
        ConfigurationError: the environment variable holds no such number.
    """
    text = os.environ.get(CONCURRENCY, str(DEFAULT_CONCURRENCY))
    if not re.fullmatch("[1-9][0-9]{0,2}|1000", text):
        message = field_error.invalid(f"environment variable {CONCURRENCY}", text, "must be a number from 1 to 1000")
        raise ConfigurationError(message)
    return int(text)
