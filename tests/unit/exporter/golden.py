"""The golden events as the exporter writes them; `scripts/python -m tests.unit.exporter.golden` writes them anew.

Every byte of them is part of the contract with the function: a change is one of the contract.
"""

from csr_exporter.csr import Reference, Stage
from csr_exporter.delivery import cloud_event
from csr_exporter.delivery.cloud_event import CloudEvent
from tests.paths import GOLDEN

FOLDER = GOLDEN / "events"
UID = "5d2a4b1e-8f0c-4e57-9a39-0c6f2e1b7d44"
TRACE = "5d2a4b1e8f0c4e579a390c6f2e1b7d44"
SOURCE = "//container.googleapis.com/projects/example-project/locations/europe-west1/clusters/demo"


def referring_to(name: str) -> Reference:
    """A CSR of that name."""
    return Reference(
        uid=UID,
        name=name,
        resource_version="184467",
        signer_name="csr-signer.example.com/calico",
        creation_timestamp="2026-11-24T10:00:00Z",
        requester="never sent",
    )


def encoded(name: str, stage: Stage, resend: int = 0) -> CloudEvent:
    """The event of a CSR of that name."""
    return cloud_event.encode(source=SOURCE, reference=referring_to(name), stage=stage, resend=resend)


CASES = {
    "pending.json": ("node-certs:calico-node-x7k2p", Stage.PENDING, 0),
    "approved.json": ("node-certs:calico-node-x7k2p", Stage.APPROVED, 0),
    "resent.json": ("node-certs:calico-node-x7k2p", Stage.APPROVED, 2),
    "name-with-json-syntax.json": ('"},{"name":"x\\', Stage.PENDING, 0),
    "name-beyond-ascii.json": ("zertifikat-für-knoten-№7-🔑", Stage.PENDING, 0),
    "name-of-512-bytes.json": ("é" * 256, Stage.PENDING, 0),
}

if __name__ == "__main__":
    for file, case in CASES.items():
        (FOLDER / file).write_bytes(encoded(*case).body)
