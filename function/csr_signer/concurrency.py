"""Limits the concurrent requests of one process: one per CSR, and a share per cluster.

A request waits for its cluster's API server for seconds. Without shares, a cluster with a hanging API server, or an
exporter that sends without end, would use up the process's concurrent requests, and other clusters' pods would wait.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from csr_signer.errors import ConcurrencyLimitError


class ConcurrencyLimiter:
    """Admits or refuses a request at once, because Cloud Run counts a waiting request as concurrent too.

    Attributes:
        share: number of requests that one cluster may have in flight.
    """

    def __init__(self, *, clusters: int, concurrency: int) -> None:
        """Divides the process among its clusters.

        A single cluster may use four times the concurrency: Cloud Run limits what it sends, but a request goes on after
        its caller has disconnected.

        Args:
            clusters: number of clusters that the process serves.
            concurrency: number of concurrent requests that it serves.
        """
        self.share = max(1, concurrency // clusters) if clusters > 1 else 4 * concurrency
        self._in_flight: set[tuple[str, str]] = set()
        self._held: Counter[str] = Counter()

    @contextmanager
    def admit(self, cluster: str, uid: str) -> Iterator[bool]:
        """Occupies one of the cluster's places; yields False if another request for the same CSR is in flight.

        A uid is unique only within its cluster: the owner of another cluster can choose the same uid.

        Raises:
            ConcurrencyLimitError: the cluster already uses its whole share.
        """
        if (cluster, uid) in self._in_flight:
            yield False
            return
        if self._held[cluster] >= self.share:
            raise ConcurrencyLimitError(
                f"clusters[{cluster}]: Too many: {self._held[cluster] + 1}: "
                f"must have at most {self.share} requests in flight in this process"
            )
        self._in_flight.add((cluster, uid))
        self._held[cluster] += 1
        try:
            yield True
        finally:
            self._in_flight.remove((cluster, uid))
            self._held[cluster] -= 1
