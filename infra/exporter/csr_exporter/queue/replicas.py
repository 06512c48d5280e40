"""Several exporters at once, without a lease: each sees everything, one sends at once, the others only if it does not.

Which one follows from the CSR's uid. Nothing is agreed upon: a replica that is gone costs the delay, and one that has
another idea of their number costs events that the function sees twice.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from csr_exporter.document import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicas:
    """How many replicas there are, and which of them this process is (the pod's index in its StatefulSet)."""

    count: int = 1
    ordinal: int = 0
    delay_seconds: float = 15.0

    def delay(self, uid: str) -> float:
        """Seconds for which this replica leaves a new CSR to those before it; 0 where it is the CSR's owner."""
        if self.count == 1:
            return 0.0
        owner = zlib.crc32(uid.encode("utf-8", "surrogatepass")) % self.count
        return (self.ordinal - owner) % self.count * self.delay_seconds


def from_document(document: Document, environment: Mapping[str, str]) -> Replicas:
    """Reads `replicas` of the configuration document; one, where it is not there."""
    if not document.has("replicas"):
        return Replicas()
    given, usual = document.child("replicas"), Replicas()
    count = given.integer("count", least=1, most=9, default=usual.count)
    delay = given.integer("delay_seconds", least=1, most=300, default=int(usual.delay_seconds))
    given.refuse_other_keys()
    return Replicas(count=count, delay_seconds=delay, ordinal=_ordinal(document, environment) if count > 1 else 0)


def _ordinal(document: Document, environment: Mapping[str, str]) -> int:
    """Which replica this is. Never by the host name, which is the node's on the host's network."""
    index, name = environment.get("POD_INDEX", ""), environment.get("POD_NAME", "")
    ordinal = re.fullmatch(r"[0-9]{1,4}", index) if index else re.search(r"(?<=-)[0-9]{1,4}\Z", name)
    if ordinal is not None:
        return int(ordinal[0])
    document.error(
        "replicas.count",
        f"is more than 1, and environment variables POD_INDEX {index!r} and POD_NAME {name!r} do not say which this "
        "is, allowed is the index of a StatefulSet's pod, or its name NAME-INDEX",
    )
    return 0
