"""/readyz for the kubelet, and /metrics for Prometheus, which beyond loopback has an address of its own.

Alive means that each reflector shows signs of life, and no delivery takes too long. It does not depend on the function:
a restart would not fix that. A hanging resync, identity, status line or page does not count. `__main__` ends a dead
process; /livez is for people, and for manifests of earlier releases. Ready means that the exporter sees what happens in
the cluster and can send it on. /debug/queue shows the work queue, on loopback only.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest

from csr_exporter.clock import Clock
from csr_exporter.configuration import Health as Location
from csr_exporter.delivery import sender
from csr_exporter.delivery.dispatcher import Dispatcher
from csr_exporter.delivery.misconfiguration import WRONG
from csr_exporter.document import LOOPBACK
from csr_exporter.identity import CachedToken
from csr_exporter.log import Log
from csr_exporter.pages import Page, PageServer
from csr_exporter.watch import client
from csr_exporter.watch.reflector import ReflectorStatus

# Three watches in a row without a byte, and twice the time of a delivery.
LONGEST_SILENCE = 3 * client.TIMEOUTS.read
LONGEST_DELIVERY = 2 * (sender.TIMEOUTS.connect + sender.TIMEOUTS.read)
LONGEST_WITHOUT_CONTACT = 120.0


@dataclass(kw_only=True, eq=False)
class Health:
    """What the pages show: why the exporter is dead or unready, its metrics and its work queue."""

    reflectors: Sequence[ReflectorStatus]
    dispatcher: Dispatcher
    token: CachedToken | None
    clock: Clock
    registry: CollectorRegistry
    servers: Sequence[PageServer] = ()
    stopping: bool = False

    def dead(self) -> list[str]:
        """Returns why a new process should replace this one; empty if it is alive."""
        now = self.clock.now()
        reasons = [
            f"reflector {index}: no heartbeat for {now - each.beat:.0f} s"
            for index, each in enumerate(self.reflectors)
            if now - each.beat > LONGEST_SILENCE
        ]
        if self.dispatcher.oldest_sending > LONGEST_DELIVERY:
            reasons.append(f"a delivery takes {self.dispatcher.oldest_sending:.0f} s")
        return reasons

    def unready(self) -> list[str]:
        """Returns why the exporter cannot do its work now; empty if it is ready."""
        now = self.clock.now()
        reasons = ["stopping"] if self.stopping else []
        for index, each in enumerate(self.reflectors):
            if not each.listed:
                reasons.append(f"reflector {index}: no list yet")
            elif each.refused:
                reasons.append(f"reflector {index}: the API server refuses the list or the watch; check RBAC")
            elif each.contact is None or now - each.contact > LONGEST_WITHOUT_CONTACT:
                reasons.append(f"reflector {index}: no answer from the API server for {LONGEST_WITHOUT_CONTACT:.0f} s")
        if self.token is not None and not self.token.obtained:
            reasons.append("no ID token yet")
        return reasons

    def warnings(self) -> list[str]:
        """Returns what an operator must fix elsewhere. The exporter is ready all the same.

        All replicas see the same function. If they turned unready together, a rollout of the StatefulSet would stop and
        the PodDisruptionBudget would allow no disruption, while each replica does its work. A port that another program
        has taken stops no delivery.
        """
        wrong = [f"{signer_name}: {WRONG}" for signer_name in self.dispatcher.misconfigured]
        return wrong + [server.fault for server in self.servers if server.fault]

    def metrics(self) -> tuple[int, str, bytes]:
        """Returns the page of the metrics as they are now, in Prometheus' text format."""
        self.dispatcher.update_gauges()
        return 200, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self.registry)


class HealthServer(PageServer):
    """The kubelet's pages; on loopback, also those for an operator on the node."""

    def __init__(self, location: Location, health: Health, log: Log) -> None:
        """Tries to bind the address."""
        pages: dict[str, Page] = {
            "/livez": lambda: _verdict(health.dead()),
            "/readyz": lambda: _verdict(health.unready(), health.warnings()),
        }
        if location.address in LOOPBACK:
            pages["/metrics"] = health.metrics
            pages["/debug/queue"] = lambda: _json(200, health.dispatcher.snapshot())
        super().__init__("health", location.address, location.port, pages, log=log)


def _verdict(reasons: list[str], warnings: Sequence[str] = ()) -> tuple[int, str, bytes]:
    return _json(503 if reasons else 200, {"ok": not reasons, "reasons": [*reasons, *warnings]})


def _json(status: int, document: object) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(document).encode() + b"\n"
