"""The CloudEvent that tells the function which CSR to look at: CloudEvents 1.0, JSON format, structured mode.

Every attribute follows from the CSR alone, so that a retry, the other replica and the next start of this
process write the same event under the same id (only `resourceVersion` says what each of them saw first). It is a
hint and no more: the function decides by what the API server says.

All events of a CSR, on whatever way and of whichever process, belong to one trace, which its uid names.
"""

import json
from dataclasses import dataclass

from csr_exporter.csr import Reference, Stage, event_id, span_of, trace_of

CONTENT_TYPE = "application/cloudevents+json"
TYPE = "dev.csrsigner.certificatesigningrequest.actionable.v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """An event ready to be sent; `body` is what `CONTENT_TYPE` describes.

    `traceparent` is for the HTTP header of that name (CloudEvents distributed tracing: both must be equal).
    """

    id: str
    traceparent: str
    body: bytes


def encode(*, source: str, reference: Reference, stage: Stage, resend: int = 0) -> CloudEvent:
    """Makes the event of a CSR in a stage; `resend` counts deliberate repetitions after an acknowledgement.

    A retry is the same event and keeps the id; a resend is another one (CloudEvents 1.0, `id`).
    """
    identifier = event_id(reference.uid, stage, resend)
    traceparent = f"00-{trace_of(reference.uid)}-{span_of(identifier)}-01"
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
        "traceparent": traceparent,
        "data": {
            "name": reference.name,
            "uid": reference.uid,
            "resourceVersion": reference.resource_version,
            "signerName": reference.signer_name,
        },
    }
    # Pure ASCII: one spelling only, whatever the name holds.
    body = json.dumps(attributes, separators=(",", ":")).encode("ascii")
    return CloudEvent(id=identifier, traceparent=traceparent, body=body)
