"""When a pod's certificate ends, and whether the pod is due."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from csr_signer import field_error
from signerctl.program import CommandError
from signerctl.renewal.pods import Pod
from signerctl.renewal.requesters import Requesters

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """The validity of a certificate.

    Attributes:
        start: Its start.
        end: Its end.
        recorded: Whether a record says so; otherwise it is derived from the pod's start.
    """

    start: datetime
    end: datetime
    recorded: bool = False

    def is_due(self, now: datetime, remaining: Fraction) -> bool:
        """Tells whether less than a part of the lifetime is left."""
        left = self.end - now
        return left * remaining.denominator < (self.end - self.start) * remaining.numerator


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A pod that holds a certificate.

    Attributes:
        pod: The pod.
        validity: The validity of its certificate; with several, of the one that ends first.
        due: Whether the pod must be replaced.
    """

    pod: Pod
    validity: Validity
    due: bool


def holders(
    pods: Iterable[Pod],
    requesters: Sequence[Requesters],
    recorded: Mapping[str, Validity],
    *,
    now: datetime,
    remaining: Fraction,
) -> tuple[Holder, ...]:
    """Returns the pods that hold a certificate, in the order of its end.

    Args:
        pods: The pods of the requesters' namespaces.
        requesters: The signers' requesters.
        recorded: Recorded validities by the pod's uid. For other pods, the certificate is as old as the pod: Calico's
            client asks once, in an init container.
        now: The time.
        remaining: A pod is due if less than this part of the lifetime is left.
    """
    found = []
    for pod in pods:
        validity = recorded.get(pod.uid) or _from_start(pod, requesters)
        if validity is not None and pod.is_replaceable:
            found.append(Holder(pod=pod, validity=validity, due=validity.is_due(now, remaining)))
    return tuple(sorted(found, key=lambda each: (each.validity.end, each.pod.path)))


def _from_start(pod: Pod, requesters: Iterable[Requesters]) -> Validity | None:
    lifetimes = [each.lifetime for each in requesters if pod.account in each.accounts]
    if not lifetimes or pod.on_windows:
        return None
    return Validity(start=pod.started, end=pod.started + min(lifetimes))


def from_records(entries: Iterable[Json], signer_names: Iterable[str]) -> Mapping[str, Validity]:
    """Returns the validities by the pod's uid: for each component, of its newest certificate; the first end counts.

    Args:
        entries: Log entries or records of any kind.
        signer_names: The signers.

    Raises:
        CommandError: A record has no valid times.
    """
    newest: dict[tuple[str, str], Validity] = {}
    for uid, component, validity in _issued(entries, frozenset(signer_names)):
        known = newest.get((uid, component))
        if known is None or known.end < validity.end:
            newest[uid, component] = validity
    found: dict[str, Validity] = {}
    for (uid, _), validity in newest.items():
        found[uid] = min(found.get(uid, validity), validity, key=lambda each: each.end)
    return found


def _issued(entries: Iterable[Json], signer_names: frozenset[str]) -> Iterator[tuple[str, str, Validity]]:
    for entry in entries:
        payload = entry.get("jsonPayload")
        record = payload if isinstance(payload, dict) else entry
        if record.get("event") == "issued" and record.get("pod_uid") and record.get("signer_name") in signer_names:
            validity = Validity(start=_time(record, "not_before"), end=_time(record, "not_after"), recorded=True)
            yield str(record["pod_uid"]), str(record.get("component")), validity


def _time(record: Json, name: str) -> datetime:
    value = record.get(name)
    try:
        when = datetime.fromisoformat(str(value))
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        must = "must be a time with its offset: the record is not as the function wrote it"
        raise CommandError(field_error.invalid(f"--records: {name}", str(value), must))
    return when


def left(validity: Validity, now: datetime) -> str:
    """Returns the rest of the lifetime in whole days or hours, such as `120d`; `ended` after the end."""
    rest = validity.end - now
    if rest <= timedelta(0):
        return "ended"
    return f"{rest.days}d" if rest.days else f"{rest.seconds // 3600}h"
