"""All parts together: which threads there are, how they start and how they end.

A reader per signerName, the relist, the identity, the dispatcher, the report, the health pages, and one thread per
delivery.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from csr_exporter import google
from csr_exporter.api_server import ApiServer
from csr_exporter.clock import MonotonicClock
from csr_exporter.delivery import Delivery
from csr_exporter.dispatcher import Dispatcher
from csr_exporter.health import Health, HealthServer
from csr_exporter.identity import CachedToken, IdentityError
from csr_exporter.log import Log
from csr_exporter.metrics import Metrics
from csr_exporter.reader import Reader
from csr_exporter.relist import Relist
from csr_exporter.report import Report
from csr_exporter.work import Work

if TYPE_CHECKING:
    from csr_exporter.configuration import Configuration

# Of the 30 seconds that Kubernetes gives a pod to end.
DRAIN = 25.0
# How often it is looked whether the ID token is to be renewed, or a failed attempt to be repeated.
_IDENTITY_TICK = 5.0


class Exporter:
    """A running exporter: `start` to `stop`, or a `with` block."""

    def __init__(self, configuration: Configuration, *, log: Log | None = None) -> None:
        """Nothing is opened but the health pages' port.

        Raises:
            OSError: that port cannot be had.
        """
        self._log = log or Log()
        self._log.project = google.project(configuration.identity)
        self._clock = MonotonicClock()
        self.metrics = Metrics()
        fetch = google.source(configuration.identity, configuration.function.audience)
        self._token = None if fetch is None else CachedToken(fetch, self._clock, metrics=self.metrics)
        self._delivery = Delivery(source=configuration.source, function=configuration.function, token=self._token)
        self._api_server = ApiServer(configuration.api_server)
        self._dispatcher = Dispatcher(
            stages={signer.signer_name: signer.stages for signer in configuration.signers},
            send=self._delivery.send,
            clock=self._clock,
            log=self._log,
            metrics=self.metrics,
            work=Work(limits=configuration.budget, replicas=configuration.replicas),
        )
        readers = [
            Reader(
                signer.signer_name,
                api_server=self._api_server,
                dispatcher=self._dispatcher,
                clock=self._clock,
                log=self._log,
                metrics=self.metrics,
            )
            for signer in configuration.signers
        ]
        relist = Relist(
            readers,
            api_server=self._api_server,
            dispatcher=self._dispatcher,
            clock=self._clock,
            log=self._log,
            metrics=self.metrics,
        )
        report = Report(
            dispatcher=self._dispatcher,
            token=self._token,
            clock=self._clock,
            log=self._log,
            metrics=self.metrics,
        )
        self._health = Health(
            readers=[reader.vitals for reader in readers],
            dispatcher=self._dispatcher,
            token=self._token,
            clock=self._clock,
        )
        self._server = HealthServer(
            configuration.health, self._health, exposition=report.page, work=self._dispatcher.entries
        )
        bodies = [
            *(reader.run for reader in readers),
            relist.run,
            self._dispatcher.run,
            report.run,
            self._keep_identity,
        ]
        self._threads = [threading.Thread(target=body, daemon=True, name=body.__qualname__) for body in bodies]

    @property
    def health_address(self) -> str:
        """HOST:PORT of /livez, /readyz and /metrics."""
        return self._server.address

    @property
    def counts(self) -> dict[str, int]:
        """What has happened so far: the counters of the metrics that are not 0."""
        return self.metrics.counts

    def start(self) -> None:
        """Starts all threads."""
        self._server.start()
        for thread in self._threads:
            thread.start()
        self._log.info("started", health=self.health_address)

    def stop(self, drain: float = DRAIN) -> None:
        """Sends nothing new, waits at most `drain` seconds for what is in flight, and ends the threads.

        What is left is found again by the next start.
        """
        self._health.stopping = True
        waiting, in_flight = self._dispatcher.drain(drain)
        self._clock.stop()
        self._api_server.interrupt()
        for thread in self._threads:
            thread.join(1.0)
        self._server.stop()
        self._delivery.close()
        self._api_server.close()
        self._log.info("stopped", waiting=waiting, in_flight=in_flight, counts=self.metrics.counts)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _keep_identity(self) -> None:
        """Gets the first ID token and renews it early; a failure is logged once until it changes."""
        failing = ""
        while self._token is not None:
            try:
                self._token.renew_early()
                failing = ""
            except IdentityError as error:
                if str(error) != failing:
                    failing = str(error)
                    self._log.warning("no ID token", error=error)
            if self._clock.wait(_IDENTITY_TICK):
                return
