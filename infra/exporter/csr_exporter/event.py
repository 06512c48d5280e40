"""The CloudEvent that tells the function which CSR to look at: CloudEvents 1.0, JSON format, structured mode.

Every attribute follows from the CSR alone, so that a retry, the other replica and the next start of this
process write the same event under the same id (only `resourceVersion` says what each of them saw first). It is a
hint and no more: the function decides by what the API server says.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from csr_exporter.csr import Reference, Stage

CONTENT_TYPE = "application/cloudevents+json"
TYPE = "dev.csrsigner.certificatesigningrequest.actionable.v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event ready to be sent; `body` is what `CONTENT_TYPE` describes."""

    id: str
    body: bytes


def encode(*, source: str, reference: Reference, stage: Stage, resend: int = 0) -> Event:
    """Makes the event of a CSR in a stage; `resend` counts deliberate repetitions after an acknowledgement.

    A retry is the same event and keeps the id; a resend is another one (CloudEvents 1.0, `id`).
    """
    identifier = f"{reference.uid}/{stage.value}" + (f"/r{resend}" if resend else "")
    attributes = {
        "specversion": "1.0",
        "id": identifier,
        "source": source,
        "type": TYPE,
        "subject": reference.name,
        # Never a condition's time: an approver chooses those and may change them.
        "time": reference.creation_timestamp,
        "datacontenttype": "application/json",
        "partitionkey": reference.uid,
        "data": {
            "name": reference.name,
            "uid": reference.uid,
            "resourceVersion": reference.resource_version,
            "signerName": reference.signer_name,
        },
    }
    # Pure ASCII: one spelling only, whatever the name holds.
    return Event(id=identifier, body=json.dumps(attributes, separators=(",", ":")).encode("ascii"))
