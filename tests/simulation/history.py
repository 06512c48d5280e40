"""What happened: the API server's changes, KMS's log, the audit records, and which processes were killed.

The checker reads nothing else. A simulated world writes a history, and so does a story on a real control plane.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Due(enum.Enum):
    """What a requester's CSR must end with, if it still exists in the end."""

    CERTIFICATE = "certificate"
    """An honest CSR: a certificate; Denied and Failed are violations."""
    REFUSAL = "refusal"
    """A hostile CSR: Denied or Failed; a certificate is a violation."""
    ANYTHING = "anything"
    """An approver or the requester decides, or the world ends too soon: any end, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """One CSR as its requester filed it, and what it must end with.

    Attributes:
        uid: the CSR's uid; `name` may be another CSR's too, earlier or later.
        at: seconds of the history's clock.
        due: what it must end with.
        names: the names that its certificate must have, exactly, as `DNS:web` or `IP:10.0.0.1`; empty if none is due.
        within: seconds within which it must end; infinite without a promise.
        pod_gone_at: when the requester's pod is gone: soon after, the key must not be used for it.
    """

    uid: str
    name: str
    at: float
    due: Due
    names: frozenset[str] = frozenset()
    within: float = float("inf")
    pod_gone_at: float = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The API server stored or deleted a CSR.

    Attributes:
        at: seconds of the history's clock; if a watch tells of the change, when it arrived.
        version: the resourceVersion; changes are in its order.
        is_deleted: whether the CSR is gone now.
        by: who did it: `function`, or another party's name; "" where the history does not tell.
        request: `spec.request`, PEM.
        conditions: the types, oldest first.
        certificate: PEM of `status.certificate`; empty without.
        lag: seconds by which the change may have been earlier than `at`.
    """

    at: float
    version: int
    uid: str
    name: str
    by: str
    request: bytes
    conditions: tuple[str, ...]
    certificate: bytes = b""
    is_deleted: bool = False
    lag: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """KMS used the key: an entry of its audit log.

    Attributes:
        at: seconds of the history's clock.
        reason: the request's reason, `csr-uid=UID;tbs-sha256=HASH`.
        digest: what was signed.
    """

    at: float
    reason: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A process of the function wrote an audit record.

    Attributes:
        at: seconds of the history's clock.
        process: which process.
        line: the record as Cloud Logging gets it.
    """

    at: float
    process: str
    line: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """A process ended without warning: its requests in flight have no outcome.

    Attributes:
        at: seconds of the history's clock.
        process: which process; one of the function begins with `function`.
    """

    at: float
    process: str


@dataclass(slots=True, kw_only=True)
class History:
    """All that happened in one world, each list in the order of time.

    Attributes:
        unwritten: records that a process tried to write, and could not: nobody has them.
        authority: PEM of the CA that issues all certificates; empty where it is not known.
    """

    filed: list[Filed] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    signings: list[Signing] = field(default_factory=list)
    records: list[Recorded] = field(default_factory=list)
    unwritten: list[Recorded] = field(default_factory=list)
    kills: list[Killed] = field(default_factory=list)
    ended_at: float = 0.0
    authority: bytes = b""
