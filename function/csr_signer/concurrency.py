"""Limits the requests that one process works on at a time: one for each CSR, and a share for each cluster.

A request waits for its cluster's API server for seconds. Without a share, a cluster whose API server hangs, or whose
exporter sends without end, would hold every place that Cloud Run gives the process, and the other clusters' pods would
wait for it.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from csr_signer.errors import ConcurrencyLimitError


class ConcurrencyLimiter:
    """Admits a request or turns it away at once: a request that waited here would hold its place."""

    def __init__(self, *, clusters: int, concurrency: int) -> None:
        """Divides the process among its clusters. A process that serves one cluster has no limit.

        Args:
            clusters: how many the process serves.
            concurrency: how many requests it serves at a time.
        """
        self._share = max(1, concurrency // clusters) if clusters > 1 else None
        self._in_flight: set[tuple[str, str]] = set()
        self._held: Counter[str] = Counter()

    @contextmanager
    def admit(self, cluster: str, uid: str) -> Iterator[bool]:
        """Holds one of the cluster's places; gives False where another request for the same CSR is in flight.

        A uid is unique within its cluster only: an owner of another cluster can choose the same one.

        Raises:
            ConcurrencyLimitError: the cluster's requests in flight are its whole share.
        """
        if (cluster, uid) in self._in_flight:
            yield False
            return
        if self._share is not None and self._held[cluster] >= self._share:
            raise ConcurrencyLimitError(
                f"clusters[{cluster}]: Too many: {self._held[cluster] + 1}: "
                f"must have at most {self._share} requests in flight in this process"
            )
        self._in_flight.add((cluster, uid))
        self._held[cluster] += 1
        try:
            yield True
        finally:
            self._in_flight.remove((cluster, uid))
            self._held[cluster] -= 1
