"""A fault proxy: in front of any TCP server, it delays, holds, cuts and refuses connections, and plain HTTP requests.

It does not decrypt TLS. In reading order: `faults` (the possible faults), `counters` (their counts), `messages` (finds
the end of HTTP messages), `relay` (one connection), `server` (all connections).
"""

from sandbox.proxy.counters import Counts
from sandbox.proxy.faults import HALF_OPEN, Fault, HttpFault
from sandbox.proxy.server import FaultProxy

__all__ = ["HALF_OPEN", "Counts", "Fault", "FaultProxy", "HttpFault"]
