"""When a pod's certificate ends, and whether the pod is due."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from signerctl.recorded import Certificate
from signerctl.renewal.pods import Pod
from signerctl.renewal.requesters import Requesters


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """The validity of a certificate.

    Attributes:
        start: Its start.
        end: Its end.
        recorded: Whether a record says so; otherwise it is derived from the pod's creation.
    """

    start: datetime
    end: datetime
    recorded: bool = False

    def is_due(self, now: datetime, remaining: Fraction) -> bool:
        """Tells whether less than a part of the lifetime is left."""
        return self.end - now < (self.end - self.start) * float(remaining)


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
    known: Mapping[str, Validity],
    *,
    now: datetime,
    remaining: Fraction,
) -> tuple[Holder, ...]:
    """Returns the pods that hold a certificate, in the order of its end.

    Args:
        pods: The pods of the requesters' namespaces.
        requesters: The signers' requesters.
        known: Recorded validities by the pod's uid. For other pods, the certificate is as old as the pod: Calico's
            client asks once, in an init container.
        now: The time.
        remaining: A pod is due if less than this part of the lifetime is left.
    """
    found = []
    for pod in pods:
        validity = _from_creation(pod, requesters)
        if validity is not None and pod.is_replaceable:
            validity = known.get(pod.uid, validity)
            found.append(Holder(pod=pod, validity=validity, due=validity.is_due(now, remaining)))
    return tuple(sorted(found, key=lambda each: (each.validity.end, each.pod.path)))


def _from_creation(pod: Pod, requesters: Iterable[Requesters]) -> Validity | None:
    """Returns the validity without a record; None if the pod is not a requester's, whatever a record says."""
    lifetimes = [each.lifetime for each in requesters if pod.account in each.accounts]
    if not lifetimes or pod.on_windows:
        return None
    return Validity(start=pod.created, end=pod.created + min(lifetimes))


def recorded(certificates: Iterable[Certificate]) -> Mapping[str, Validity]:
    """Returns the validities by the pod's uid: of each component's newest certificate, the one that ends first."""
    newest: dict[tuple[str, str, str], Validity] = {}
    for each in certificates:
        of_pod = (each.pod_uid, each.signer_name, each.component)
        validity = Validity(start=each.not_before, end=each.not_after, recorded=True)
        newest[of_pod] = max(newest.get(of_pod, validity), validity, key=lambda known: known.end)
    found: dict[str, Validity] = {}
    for (uid, _, _), validity in newest.items():
        found[uid] = min(found.get(uid, validity), validity, key=lambda known: known.end)
    return found
