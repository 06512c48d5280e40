"""A fault proxy: in front of any TCP server, it delays, holds, cuts and refuses connections, and plain HTTP requests.

It does not decrypt TLS. In reading order: `faults` (the possible faults), `tally` (their counts), `messages` (finds the
end of HTTP messages), `relay` (one connection), `server` (all connections).
"""

from sandbox.proxy.faults import HALF_OPEN, Fault, HttpFault
from sandbox.proxy.server import FaultProxy
from sandbox.proxy.tally import Counts

__all__ = ["HALF_OPEN", "Counts", "Fault", "FaultProxy", "HttpFault"]
