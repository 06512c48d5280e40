"""What commands read of the API server's objects: CSRs, users and their rights, and Events."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote as percent_encode

from csr_signer.objects.csr import DENIED, FAILED
from csr_signer.objects.json_fields import OTHERS, Mask
from signerctl.api_server import ApiServer, Json

CSRS: Final = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
SERVICE_ACCOUNT: Final = "system:serviceaccount:"
_METADATA: Final[dict[str, Mask]] = dict.fromkeys(
    ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp")
)
_CONDITIONS: Final[Mask] = [{OTHERS: None}]
CSR: Final[dict[str, Mask]] = {
    "metadata": _METADATA,
    "spec": {"signerName": None, "username": None, "extra": {OTHERS: [None]}},
    "status": {"conditions": _CONDITIONS, "certificate": None},
}
"""The fields of a CSR that commands read."""
POD: Final[dict[str, Mask]] = {
    "metadata": _METADATA,
    "spec": {
        "serviceAccountName": None,
        "nodeName": None,
        "initContainers": [{"name": None}],
    },
    "status": {
        "phase": None,
        "conditions": _CONDITIONS,
        "initContainerStatuses": [{"name": None, "state": {"waiting": {"reason": None}}}],
    },
}
"""The fields of a pod that commands read."""
_EVENT: Final[dict[str, Mask]] = {
    "involvedObject": {"kind": None, "name": None, "uid": None},
    "source": {"component": None},
    **dict.fromkeys(("lastTimestamp", "eventTime", "type", "reason", "message", "reportingComponent")),
}
_REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def named(collection: str, name: str) -> str:
    """Returns the path of an object of a collection."""
    return f"{collection}/{percent_encode(name, safe='')}"


def created(item: Json) -> datetime:
    """Returns when an object was created."""
    return datetime.fromisoformat(item["metadata"]["creationTimestamp"])


def conditions(csr: Json) -> Sequence[Json]:
    """Returns a CSR's conditions."""
    return (csr.get("status") or {}).get("conditions") or ()


def has_certificate(csr: Json) -> bool:
    """Tells whether a CSR has its certificate."""
    return bool((csr.get("status") or {}).get("certificate"))


def refusal(csr: Json) -> Json | None:
    """Returns the condition that refuses a CSR for good, Denied or Failed; None if there is none."""
    return next((each for each in conditions(csr) if each["type"] in {DENIED, FAILED}), None)


def is_final(csr: Json) -> bool:
    """Tells whether a CSR has its certificate, or will never have one."""
    return has_certificate(csr) or refusal(csr) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user of the API server."""

    name: str
    groups: tuple[str, ...]

    @classmethod
    def of(cls, name: str) -> "User":
        """Returns the user of a name, with the groups that the API server gives such a user."""
        if not name.startswith(SERVICE_ACCOUNT):
            return cls(name=name, groups=("system:authenticated",))
        namespace = name.removeprefix(SERVICE_ACCOUNT).partition(":")[0]
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
        return cls(name=name, groups=groups)


def allows(api: ApiServer, user: User, attributes: Json) -> bool:
    """Asks whether a user has a right.

    Args:
        api: The API server.
        user: The user.
        attributes: The resourceAttributes of a SubjectAccessReview.

    Raises:
        ApiServerError: There was no answer, or the operator may not ask.
    """
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user.name, "groups": list(user.groups), "resourceAttributes": dict(attributes)},
    }
    return bool(api.create(_REVIEWS, body)["status"].get("allowed"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An Event on an object.

    Attributes:
        kind, name, uid: Of the object.
        time: RFC 3339, as written; empty without.
        type, reason, message: As written.
        component: The program that reports it.
    """

    kind: str
    name: str
    uid: str
    time: str
    type: str
    reason: str
    message: str
    component: str

    @classmethod
    def from_api(cls, item: Json) -> "Event":
        """Returns an Event of the API server's JSON."""
        involved: dict[str, Any] = item["involvedObject"]
        return cls(
            kind=str(involved.get("kind", "")),
            name=str(involved.get("name", "")),
            uid=str(involved.get("uid", "")),
            time=str(item.get("lastTimestamp") or item.get("eventTime") or ""),
            type=str(item.get("type", "")),
            reason=str(item.get("reason", "")),
            message=str(item.get("message", "")),
            component=str(item.get("reportingComponent") or (item.get("source") or {}).get("component", "")),
        )


def events(api: ApiServer, namespace: str, **about: str) -> list[Event]:
    """Returns the Events of a namespace, the oldest first.

    Args:
        api: The API server.
        namespace: The namespace; `default` has the Events on CSRs.
        about: What the object must be: its `kind`, `name` or `uid`. A CSR's name may have characters that a field
            selector cannot have, so give its uid.

    Raises:
        ApiServerError: There was no answer, or the operator may not read Events.
    """
    selector = ",".join(f"involvedObject.{field}={value}" for field, value in about.items())
    path = f"/api/v1/namespaces/{namespace}/events"
    return sorted(_events(api, path, selector, about), key=lambda event: event.time)


def _events(api: ApiServer, path: str, selector: str, about: Json) -> Iterator[Event]:
    for item in api.list(path, _EVENT, fieldSelector=selector):
        event = Event.from_api(item)
        if all(getattr(event, field) == value for field, value in about.items()):
            yield event
