"""What one process serves: the configuration's clusters and keys behind the pipeline, and every request answered."""

import contextlib
import os
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from werkzeug.wrappers import Request, Response

from csr_signer import configuration
from csr_signer.audit import Audit, AuditRecord, fault
from csr_signer.ca import issuer
from csr_signer.cluster.client import KubernetesCluster
from csr_signer.cluster.credentials import api_client
from csr_signer.concurrency import ConcurrencyLimiter
from csr_signer.configuration import Configuration
from csr_signer.errors import ConfigurationError, ItemError, SignerError
from csr_signer.events import cloud_event
from csr_signer.events.cloud_event import RequestReference
from csr_signer.kms.client import Connection, connect
from csr_signer.kms.key import CloudKmsKey
from csr_signer.pipeline import Pipeline, ServedCluster
from csr_signer.single_flight import SharedFetch

CONFIGURATION: Final = "CSR_SIGNER_CONFIGURATION"
"""Environment variable that names the configuration document."""
THREADS: Final = "THREADS"
"""Environment variable of functions-framework: how many requests a process serves at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A loaded configuration at work."""

    configuration: Configuration
    pipeline: Pipeline

    @classmethod
    def load(cls, audit: Audit) -> "Service":
        """The service that the environment's configuration document describes.

        Raises:
            ConfigurationError: the variable is missing, or the document is not right.
        """
        path = os.environ.get(CONFIGURATION, "")
        if not path:
            raise ConfigurationError(f"environment variable {CONFIGURATION} does not name the configuration document")
        settings = configuration.load(Path(path))
        client = Connection(
            lambda: connect(
                endpoint=settings.kms.endpoint, unsafe_plaintext_endpoint=settings.kms.unsafe_plaintext_endpoint
            )
        )
        served = {}
        for key, cluster in settings.clusters.items():
            signers = {
                name: (
                    signer,
                    CloudKmsKey(
                        client=client,
                        key_version=signer.issuer.key_version,
                        protection_level=signer.issuer.protection_level,
                    ),
                )
                for (owner, name), signer in settings.signers.items()
                if owner == key
            }
            served[key] = ServedCluster(cluster=KubernetesCluster(api_client(cluster)), signers=signers)
        limiter = ConcurrencyLimiter(clusters=len(served), concurrency=concurrency())
        return cls(configuration=settings, pipeline=Pipeline(clusters=served, audit=audit, limiter=limiter))

    def note_expiry(self, now: datetime) -> None:
        """Records every CA that must be rotated, so that alerting can tell somebody in time.

        Raises:
            UnavailableError: a record could not be written.
        """
        for (cluster, signer_name), signer in self.configuration.signers.items():
            lifetime = min(signer.profile.lifetime.default, signer.lifetime)
            for found in issuer.warnings(signer.issuer, now, lifetime=lifetime):
                facts = {
                    "cluster": cluster,
                    "signer_name": signer_name,
                    "key_version": signer.issuer.key_version,
                    "ca": found.certificate,
                    "not_after": found.not_after.isoformat(),
                }
                record = AuditRecord(
                    event="issuer_expiry", severity=found.severity, message=found.message, csr_uid="", facts=facts
                )
                self.pipeline.audit.record(record)


class OnceADay:
    """Does something with the first request of each day (UTC); what fails is tried again with the next request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._day: date | None = None

    def run(self, day: date, action: Callable[[], None]) -> None:
        """Runs the action unless it was done on that day, or another thread is at it."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._day is None or day > self._day:  # a request that was held up over midnight is no new day
                with contextlib.suppress(SignerError):
                    action()
                    self._day = day
        finally:
            self._lock.release()


class Serving:
    """One process: loads its configuration when it is first asked, and answers everything.

    The configuration is read at each request until it is right, never at import, so that a start while permissions
    still propagate does not fail for good.
    """

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._service: Service | None = None
        self._fetch: SharedFetch[Service] = SharedFetch()
        self._daily = OnceADay()

    def respond(self, request: Request) -> Response:
        """The answer to any request; every fault is one record and one answer."""
        reference: RequestReference | None = None
        try:
            service = self._service or self._fetch.get(self._load)
            reference = cloud_event.receive(request, service.configuration.clusters)
            now = datetime.now(UTC)
            self._daily.run(now.date(), lambda: self._note_expiry(service, now))
            return cloud_event.answer(service.pipeline.process(reference, now))
        except SignerError as error:
            return self._fault(error, reference)
        except Exception as error:  # noqa: BLE001 - nothing may end without a record and an answer
            return self._fault(_unexpected(error), reference)

    def _note_expiry(self, service: Service, now: datetime) -> None:
        try:
            service.note_expiry(now)
        except SignerError:
            raise
        except Exception as error:  # noqa: BLE001 - warnings are no reason to serve nobody, nor to fail all day
            self._audit.record(fault(_unexpected(error), csr_uid="", event_id=""))

    def _load(self) -> Service:
        if self._service is None:
            self._service = Service.load(self._audit)
        return self._service

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
    """How many requests functions-framework serves at a time, by its own rule (its `GunicornApplication`)."""
    return int(os.environ.get(THREADS, (os.cpu_count() or 1) * 4))


def _unexpected(error: Exception) -> ItemError:
    """A fault of ours: its kind and place, without its text, which may be anybody's."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
    return ItemError(f"unexpected {type(error).__name__} at {places}")
