"""What an event says about a CSR: only which one. It needs no HTTP, so that signerctl can run the pipeline."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReference:
    """A reference to a CSR; it has no facts about the CSR.

    Attributes:
        cluster: key of the cluster, from the event's source.
        name, uid: of the CSR; the name is safe as one path segment.
        event_id: the event's id, for audit records.
        trace_id: the trace of its traceparent (W3C Trace Context); empty if there is none.
    """

    cluster: str
    name: str
    uid: str
    event_id: str
    trace_id: str
