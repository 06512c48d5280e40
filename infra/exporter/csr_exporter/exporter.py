"""All parts together: which threads there are, how they start and how they end.

A reflector per signerName, the resync, the identity, the dispatcher, the status line, the health pages, and the worker
pool.
"""

import threading
from typing import Self

from csr_exporter.clock import MonotonicClock
from csr_exporter.configuration import Configuration
from csr_exporter.delivery.dispatcher import Dispatcher
from csr_exporter.delivery.sender import Sender
from csr_exporter.health import Health, HealthServer
from csr_exporter.identity import google
from csr_exporter.identity.token import CachedToken, IdentityError
from csr_exporter.log import Log
from csr_exporter.metrics import Exposition, Metrics
from csr_exporter.queue.work_queue import WorkQueue
from csr_exporter.watch.client import ApiClient
from csr_exporter.watch.reflector import Reflector
from csr_exporter.watch.resync import Resync

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
        self._sender = Sender(source=configuration.source, function=configuration.function, token=self._token)
        self._client = ApiClient(configuration.api_server)
        self._dispatcher = Dispatcher(
            stages={signer.signer_name: signer.stages for signer in configuration.signers},
            send=self._sender.send,
            clock=self._clock,
            log=self._log,
            metrics=self.metrics,
            queue=WorkQueue(rate_limit=configuration.rate_limit, replicas=configuration.replicas),
        )
        reflectors = [
            Reflector(
                signer.signer_name,
                client=self._client,
                dispatcher=self._dispatcher,
                clock=self._clock,
                log=self._log,
                metrics=self.metrics,
            )
            for signer in configuration.signers
        ]
        resync = Resync(
            reflectors,
            client=self._client,
            dispatcher=self._dispatcher,
            clock=self._clock,
            log=self._log,
            metrics=self.metrics,
        )
        self._health = Health(
            reflectors=[reflector.status for reflector in reflectors],
            dispatcher=self._dispatcher,
            token=self._token,
            clock=self._clock,
        )
        exposition = Exposition(
            status=self._dispatcher.status,
            unready=self._health.unready,
            token_expires_in=lambda: None if self._token is None else self._token.expires_in,
            clock=self._clock,
            log=self._log,
            metrics=self.metrics,
        )
        self._server = HealthServer(
            configuration.health, self._health, exposition=exposition.page, queue=self._dispatcher.snapshot
        )
        bodies = [
            *(reflector.run for reflector in reflectors),
            resync.run,
            self._dispatcher.run,
            exposition.run,
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
        self._client.interrupt()
        for thread in self._threads:
            thread.join(1.0)
        self._server.stop()
        self._sender.close()
        self._client.close()
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
