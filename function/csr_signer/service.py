"""The service of one process: loads the configuration, connects the pipeline, and answers every request."""

import contextlib
import os
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from werkzeug.wrappers import Request, Response

from csr_signer.audit import Audit, AuditRecord, fault
from csr_signer.ca import issuer
from csr_signer.cluster.client import KubernetesCluster
from csr_signer.cluster.credentials import api_client
from csr_signer.concurrency import ConcurrencyLimiter
from csr_signer.configuration import loader
from csr_signer.configuration.loader import Configuration
from csr_signer.errors import ConfigurationError, ItemError, SignerError
from csr_signer.events import cloud_event
from csr_signer.events.cloud_event import RequestReference
from csr_signer.kms.client import Connection, connect
from csr_signer.kms.key import CloudKmsKey
from csr_signer.pipeline import Pipeline
from csr_signer.policy.signer import Signer
from csr_signer.single_flight import SingleFlight

CONFIGURATION: Final = "CSR_SIGNER_CONFIGURATION"
"""The environment variable with the path of the configuration document."""
THREADS: Final = "THREADS"
"""functions-framework's environment variable with the number of concurrent requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration, and the pipeline over its clusters and keys."""

    configuration: Configuration
    pipeline: Pipeline


def load(audit: Audit) -> Loaded:
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
    client = Connection(
        lambda: connect(
            endpoint=settings.kms.endpoint, unsafe_plaintext_endpoint=settings.kms.unsafe_plaintext_endpoint
        )
    )
    keys = {
        name: CloudKmsKey(
            client=client,
            key_version=signer.issuer.key_version,
            protection_level=signer.issuer.protection_level,
        )
        for name, signer in settings.signers.items()
    }
    clusters = {name: KubernetesCluster(api_client(cluster)) for name, cluster in settings.clusters.items()}
    limiter = ConcurrencyLimiter(clusters=len(clusters), concurrency=concurrency())
    pipeline = Pipeline(clusters=clusters, signers=settings.signers, keys=keys, audit=audit, limiter=limiter)
    return Loaded(configuration=settings, pipeline=pipeline)


def record_expiries(signers: Mapping[tuple[str, str], Signer], audit: Audit, now: datetime) -> None:
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
            audit.record(record)


class OnceADay:
    """Runs an action at the first request of each day (UTC); after a failure, the next request runs it again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._day: date | None = None

    def run(self, day: date, action: Callable[[], None]) -> None:
        """Runs the action, unless it already ran on that day or another thread runs it."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._day is None or day > self._day:  # a request that was delayed past midnight is no new day
                with contextlib.suppress(SignerError):
                    action()
                    self._day = day
        finally:
            self._lock.release()


class Service:
    """One process: loads its configuration at the first request, and answers every request.

    If loading fails, the next request loads the configuration again, because permissions may still be propagating. The
    configuration is never loaded at import.
    """

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._loaded: Loaded | None = None
        self._loading: SingleFlight[Loaded] = SingleFlight()
        self._daily = OnceADay()

    def respond(self, request: Request) -> Response:
        """Answers a request; every fault leads to one record and one answer."""
        reference: RequestReference | None = None
        try:
            loaded = self._loaded or self._loading.get(self._load)
            reference = cloud_event.receive(request, loaded.configuration.clusters)
            now = datetime.now(UTC)
            self._daily.run(now.date(), lambda: self._record_expiries(loaded, now))
            return cloud_event.answer(loaded.pipeline.process(reference, now))
        except SignerError as error:
            return self._fault(error, reference)
        except Exception as error:  # noqa: BLE001 - every request needs a record and an answer
            return self._fault(_unexpected(error), reference)

    def _record_expiries(self, loaded: Loaded, now: datetime) -> None:
        try:
            record_expiries(loaded.configuration.signers, self._audit, now)
        except SignerError:
            raise
        except Exception as error:  # noqa: BLE001 - a failed warning must not stop the service
            self._audit.record(fault(_unexpected(error), csr_uid="", event_id=""))

    def _load(self) -> Loaded:
        if self._loaded is None:
            self._loaded = load(self._audit)
        return self._loaded

    def _fault(self, error: SignerError, reference: RequestReference | None) -> Response:
        record, trace_id = fault(error, csr_uid="", event_id=""), ""
        if reference is not None:
            trace_id = reference.trace_id
            record = fault(error, csr_uid=reference.uid, event_id=reference.event_id, cluster=reference.cluster)
        try:
            self._audit.record(record, trace_id=trace_id)
        except SignerError as failure:
            return cloud_event.answer_fault(failure)
        return cloud_event.answer_fault(error)


def concurrency() -> int:
    """Returns functions-framework's number of concurrent requests, by its own rule (`GunicornApplication`)."""
    return int(os.environ.get(THREADS, (os.cpu_count() or 1) * 4))


def _unexpected(error: Exception) -> ItemError:
    """Returns a fault of this program: its kind and place, without its text, which may come from a requester."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = ", ".join(f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno}" for frame in frames)
    return ItemError(f"unexpected {type(error).__name__} at {places}")
