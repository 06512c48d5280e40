"""CertificateSigningRequests: who asked is recorded, and neither a decision nor a certificate is taken back.

Source: kubernetes pkg/apis/certificates/validation, pkg/registry/certificates/certificates.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from sandbox.kubernetes.resources import Resource
from sandbox.kubernetes.status import Cause

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sandbox.api import Json
    from sandbox.kubernetes.authentication import User

GROUP = "certificates.k8s.io"
_CLAIMED = frozenset({"username", "uid", "groups", "extra"})
_DECISIONS = ("Approved", "Denied")
_LASTING = (*_DECISIONS, "Failed")


def complete(new: Json, user: User) -> None:
    """Records who asks in place of what the client claims, and drops any status."""
    new["spec"] = {key: value for key, value in new["spec"].items() if key not in _CLAIMED} | user.described
    new["status"] = {}


def update(subresource: str, old: Json, new: Json) -> list[Cause]:
    """Lets `approval` change conditions, `status` also the certificate, and the main resource neither.

    Returns:
        The rules that the change breaks.
    """
    new["spec"] = old["spec"]
    if not subresource:
        new["status"] = old["status"]
        return []
    stored = {key: value for key, value in old["status"].items() if key == "certificate"}
    given = new.get("status", {})
    if subresource == "approval":
        given = {key: value for key, value in given.items() if key != "certificate"} | stored
    before = old["status"].get("conditions", [])
    after = [_with_times(condition) for condition in given.get("conditions", [])]
    new["status"] = {**given, "conditions": after} if after else given
    causes = [*_check_decisions(before, after, may_decide=subresource == "approval")]
    if stored and given.get("certificate") != stored["certificate"]:
        causes.append(_forbidden("status.certificate", "updates may not modify existing certificate content"))
    return causes


RESOURCE = Resource(
    group=GROUP,
    plural="certificatesigningrequests",
    kind="CertificateSigningRequest",
    subresources=frozenset({"approval", "status"}),
    selectable={"spec.signerName": lambda csr: str(csr["spec"].get("signerName", ""))},
    blank={"spec": {"request": None, "signerName": ""}, "status": {}},
    complete=complete,
    update=update,
)


def _check_decisions(before: list[Json], after: list[Json], *, may_decide: bool) -> Iterator[Cause]:
    for kind in _LASTING:
        was, now = _count(before, kind), _count(after, kind)
        if now < was:
            yield _forbidden("status.conditions", f'updates may not remove a condition of type "{kind}"')
        elif now > was and kind in _DECISIONS and not may_decide:
            yield _forbidden("status.conditions", f'updates may not add a condition of type "{kind}"')
    if all(_count(after, kind) for kind in _DECISIONS):
        message = 'Invalid value: "Approved" and "Denied": at most one of them may be there'
        yield Cause(reason="FieldValueInvalid", field="status.conditions", message=message)


def _count(conditions: Iterable[Json], kind: str) -> int:
    return sum(condition["type"] == kind for condition in conditions)


def _with_times(condition: Json) -> Json:
    """Fills in the times that the client left out; it may write and later edit any others."""
    now = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
    return {"lastUpdateTime": now, "lastTransitionTime": now, **condition}


def _forbidden(field: str, message: str) -> Cause:
    return Cause(reason="FieldValueForbidden", field=field, message=f"Forbidden: {message}")
