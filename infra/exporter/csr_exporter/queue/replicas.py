"""Several exporters at once, without a lease: one sends at once, the others only if it does not.

The CSR's uid says which one. The replicas do not talk to each other: a replica that is gone costs the delay, and a
wrong replica count costs duplicate events.
"""

import zlib
from dataclasses import dataclass
from typing import Annotated

from csr_exporter.document import integer


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicas:
    """How many replicas there are, and which of them this process is (the pod's index in its StatefulSet).

    Attributes:
        count: the number of replicas.
        ordinal: which of them this process is, from 0.
        delay_seconds: how long a replica waits for the one before it.
    """

    count: Annotated[int, integer(1, 9)] = 1
    ordinal: int = 0
    delay_seconds: Annotated[float, integer(1, 300)] = 15.0

    def delay(self, uid: str) -> float:
        """Returns the seconds for which this replica leaves a new CSR to those before it; 0 for the CSR's owner."""
        if self.count == 1:
            return 0.0
        owner = zlib.crc32(uid.encode("utf-8", "surrogatepass")) % self.count
        return (self.ordinal - owner) % self.count * self.delay_seconds
