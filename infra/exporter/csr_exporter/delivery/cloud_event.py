"""The CloudEvent that tells the function which CSR to look at: CloudEvents 1.0, JSON format, structured mode.

Every attribute follows from the CSR, so that a retry, another replica and the next process write the same event under
the same id; only `resourceVersion` differs. The event is a hint: the function decides by what the API server says. All
events of a CSR belong to one trace.
"""

import json
from dataclasses import dataclass

from csr_exporter.csr import Reference, Stage, event_id, span_of, trace_of

CONTENT_TYPE = "application/cloudevents+json"
TYPE = "dev.csrsigner.certificatesigningrequest.actionable.v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """An event ready to be sent: its id, its body, and the traceparent header (equal to the attribute)."""

    id: str
    traceparent: str
    body: bytes


def encode(*, source: str, reference: Reference, stage: Stage, resend: int = 0) -> CloudEvent:
    """Returns the event of a CSR in a stage.

    A retry is the same event and keeps its id. A resend after an acknowledgement is another event (CloudEvents 1.0,
    `id`).
    """
    identifier = event_id(reference.uid, stage, resend)
    traceparent = f"00-{trace_of(reference.uid)}-{span_of(identifier)}-01"
    attributes = {
        "specversion": "1.0",
        "id": identifier,
        "source": source,
        "type": TYPE,
        "subject": reference.name,
        # Not a condition's time: an approver may choose and change it.
        "time": reference.creation_timestamp,
        "datacontenttype": "application/json",
        "partitionkey": reference.uid,
        "traceparent": traceparent,
        "data": {
            "name": reference.name,
            "uid": reference.uid,
            "resourceVersion": reference.resource_version,
            "signerName": reference.signer_name,
        },
    }
    body = json.dumps(attributes, separators=(",", ":")).encode("ascii")
    return CloudEvent(id=identifier, traceparent=traceparent, body=body)
