"""All parts together: which threads there are, how they start and how they end.

A reflector per signerName, the resync, the dispatcher, the status line, the identity, and the worker pool. The servers
of the health pages and of the metrics beyond loopback have a thread each.
"""

import threading
from typing import Self

from csr_exporter import identity
from csr_exporter.clock import MonotonicClock
from csr_exporter.configuration import Configuration
from csr_exporter.delivery.dispatcher import Dispatcher
from csr_exporter.delivery.sender import Sender
from csr_exporter.health import Health, HealthServer
from csr_exporter.identity import CachedToken, IdentityError
from csr_exporter.log import Log
from csr_exporter.metrics import Metrics
from csr_exporter.metrics_server import MetricsServer
from csr_exporter.pages import PageServer
from csr_exporter.queue.work_queue import WorkQueue
from csr_exporter.watch.client import ApiClient
from csr_exporter.watch.reflector import Reflector
from csr_exporter.watch.resync import Resync
from csr_exporter.watch.store import Store

# Kubernetes gives a pod 30 seconds to end.
DRAIN = 25.0
STATUS_PERIOD = 60.0
# How often the exporter looks whether the ID token must be renewed.
_IDENTITY_TICK = 5.0


class Exporter:
    """A running exporter: `start` to `stop`, or a `with` block."""

    def __init__(self, configuration: Configuration, *, log: Log | None = None) -> None:
        """Opens nothing but the ports of the health pages and of the metrics, if they are free."""
        self._log = log = log or Log()
        log.project = identity.project(configuration.identity)
        self._clock = clock = MonotonicClock()
        self.metrics = metrics = Metrics()
        metrics.log_lines_lost.set_function(lambda: log.lost)
        fetch = identity.source(configuration.identity, configuration.function.audience)
        self._token = None if fetch is None else CachedToken(fetch, clock, metrics=metrics)
        self._sender = Sender(source=configuration.source, function=configuration.function, token=self._token)
        self._client = client = ApiClient(configuration.api_server)
        stages = {signer.signer_name: signer.stages for signer in configuration.signers}
        queue = WorkQueue(rate_limit=configuration.rate_limit, replicas=configuration.replicas)
        changed = threading.Condition()
        store = Store(stages=stages, queue=queue, changed=changed, clock=clock, log=log, metrics=metrics)
        self._dispatcher = dispatcher = Dispatcher(
            queue=queue, changed=changed, send=self._sender.send, clock=clock, log=log, metrics=metrics
        )
        reflectors = [
            Reflector(signer_name=signer_name, client=client, store=store, clock=clock, log=log, metrics=metrics)
            for signer_name in stages
        ]
        resync = Resync(reflectors=reflectors, client=client, store=store, clock=clock, log=log, metrics=metrics)
        statuses = [reflector.status for reflector in reflectors]
        self._health = Health(
            reflectors=statuses, dispatcher=dispatcher, token=self._token, clock=clock, registry=metrics.registry
        )
        metrics.ready.set_function(lambda: not self._health.unready())
        self._servers: list[PageServer] = [HealthServer(configuration.health, self._health, log)]
        if (endpoint := configuration.metrics) is not None:
            self._servers.append(MetricsServer(endpoint, self._health.metrics, log))
        self._health.servers = self._servers
        loops = [*(each.run for each in reflectors), resync.run, dispatcher.run, self._log_status, self._keep_identity]
        self._threads = [threading.Thread(target=loop, daemon=True, name=loop.__qualname__) for loop in loops]

    def dead(self) -> list[str]:
        """Returns why a new process should replace this one; empty if it is alive."""
        return self._health.dead()

    @property
    def health_address(self) -> str:
        """HOST:PORT of /readyz, for the kubelet, and of /livez, for people."""
        return self._servers[0].address

    @property
    def metrics_address(self) -> str | None:
        """HOST:PORT of the metrics for scrapers on other machines; None without."""
        return self._servers[1].address if len(self._servers) > 1 else None

    def start(self) -> None:
        """Starts all threads."""
        for server in self._servers:
            server.start()
        for thread in self._threads:
            thread.start()
        self._log.info("started", health=self.health_address, metrics=self.metrics_address)

    def stop(self, drain: float = DRAIN) -> None:
        """Sends nothing new, waits at most `drain` seconds for the events in flight, and ends the threads.

        The next start lists the rest again.
        """
        self._health.stopping = True
        waiting, in_flight = self._dispatcher.drain(drain)
        self._clock.stop()
        self._client.interrupt()
        for thread in self._threads:
            thread.join(1.0)
        for server in self._servers:
            server.stop()
        self._sender.close()
        self._client.close()
        self._log.info("stopped", waiting=waiting, in_flight=in_flight, counts=self.metrics.counts)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _log_status(self) -> None:
        while not self._clock.wait(STATUS_PERIOD):
            self._dispatcher.update_gauges()
            self.metrics.log_status(self._log, self._health.unready(), self._health.warnings())

    def _keep_identity(self) -> None:
        """Fetches the first ID token and renews it early; logs a failure once."""
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
