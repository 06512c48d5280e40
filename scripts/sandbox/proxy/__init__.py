"""A fault proxy: in front of any TCP server, it delays, holds, cuts and refuses; for plain HTTP it knows requests too.

TLS passes through unopened. In reading order: `faults` (what may go wrong), `tally` (what did), `messages` (HTTP, just
enough to tell where a message ends), `relay` (one connection), `server` (all of them).
"""

from sandbox.proxy.faults import HALF_OPEN, Fault, HttpFault
from sandbox.proxy.server import FaultProxy
from sandbox.proxy.tally import Counts

__all__ = ["HALF_OPEN", "Counts", "Fault", "FaultProxy", "HttpFault"]
