"""The rules of CertificateSigningRequests.

Source: kubernetes pkg/apis/certificates/validation, pkg/registry/certificates/certificates; what v1.37.2 answers.
"""

from __future__ import annotations

import base64
import datetime as dt
from typing import TYPE_CHECKING

from sandbox.kubernetes import pem, schema, status
from sandbox.kubernetes.resource import Resource, Rules, path_segment_violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sandbox.api import Json
    from sandbox.kubernetes.authentication import User
    from sandbox.kubernetes.status import Cause

GROUP = "certificates.k8s.io"
_DECIDED = ("Approved", "Denied")
_LASTING = (*_DECIDED, "Failed")
_STATUSES = ("True", "False", "Unknown")
_USAGES = frozenset(
    {
        *("signing", "digital signature", "content commitment", "key encipherment", "key agreement"),
        *("data encipherment", "cert sign", "crl sign", "encipher only", "decipher only", "any"),
        *("server auth", "client auth", "code signing", "email protection", "s/mime", "ipsec end system"),
        *("ipsec tunnel", "ipsec user", "timestamping", "ocsp signing", "microsoft sgc", "netscape sgc"),
    }
)
_MINIMUM_SECONDS = 600

_CONDITION = schema.struct(
    {
        "type": schema.text,
        "status": schema.text,
        "reason": schema.text,
        "message": schema.text,
        "lastUpdateTime": schema.time,
        "lastTransitionTime": schema.time,
    },
    defaults={"type": "", "status": ""},
)
_DOCUMENT = schema.struct(
    {
        "metadata": schema.OBJECT_META,
        "spec": schema.struct(
            {
                "request": schema.octets,
                "signerName": schema.text,
                "expirationSeconds": schema.int32,
                "usages": schema.list_of(schema.text),
                "username": schema.text,
                "uid": schema.text,
                "groups": schema.list_of(schema.text),
                "extra": schema.map_of(schema.list_of(schema.text)),
            },
            defaults={"request": None, "signerName": ""},
        ),
        "status": schema.struct({"conditions": schema.list_of(_CONDITION), "certificate": schema.octets}),
    },
    defaults={"metadata": {}, "spec": {"request": None, "signerName": ""}, "status": {}},
)


class CertificateSigningRequestRules(Rules):
    """What creates, approves and fulfils a CertificateSigningRequest, and what does not."""

    def check_name(self, name: str) -> str | None:
        """Any name that is one segment of a path, of any length."""
        return path_segment_violation(name)

    def create(self, new: Json, user: User) -> list[Cause]:
        """Record who asks, forget any status, check the spec."""
        spec = new["spec"]
        for claimed in ("username", "uid", "groups", "extra"):
            spec.pop(claimed, None)
        new["spec"] = spec | user.described
        new["status"] = {}
        causes = [*_check_request(spec), *_check_usages(spec), *_check_lifetime(spec)]
        return causes if spec["signerName"] else [*causes, status.required("spec.signerName")]

    def update(self, subresource: str, old: Json, new: Json) -> list[Cause]:
        """Change conditions (approval), or conditions and certificate (status); the main resource keeps both."""
        new["spec"] = old["spec"]
        if not subresource:
            new["status"] = old["status"]
            return []
        before = old["status"].get("conditions", [])
        after = new["status"].get("conditions", [])
        if subresource == "approval":
            new["status"].pop("certificate", None)
            if "certificate" in old["status"]:
                new["status"]["certificate"] = old["status"]["certificate"]
        else:
            _put_back(before, after)
        _fill_times(before, after)
        causes = [*_check_conditions(after), *_check_certificate(new["status"])]
        causes += _check_transition(before, after, may_decide=subresource == "approval")
        stored = old["status"].get("certificate")
        if stored is not None and new["status"].get("certificate") != stored:
            message = "updates may not modify existing certificate content"
            causes.append(status.forbidden_change("status.certificate", message))
        return causes


RESOURCE = Resource(
    group=GROUP,
    plural="certificatesigningrequests",
    kind="CertificateSigningRequest",
    subresources=("approval", "status"),
    document=_DOCUMENT,
    rules=CertificateSigningRequestRules(),
    selectable={"spec.signerName": lambda csr: str(csr["spec"]["signerName"])},
)


def _check_request(spec: Json) -> Iterator[Cause]:
    request = spec["request"] or ""
    violation = pem.request_violation(base64.b64decode(request))
    if violation is not None:
        yield status.invalid_value("spec.request", status.quote(request), violation)


def _check_usages(spec: Json) -> Iterator[Cause]:
    usages = spec.get("usages", [])
    if not usages:
        yield status.required("spec.usages")
    for index, usage in enumerate(usages):
        if usage not in _USAGES:
            yield status.not_supported(f"spec.usages[{index}]", usage, tuple(_USAGES))
        if usage in usages[:index]:
            yield status.duplicate(f"spec.usages[{index}]", usage)


def _check_lifetime(spec: Json) -> Iterator[Cause]:
    seconds = spec.get("expirationSeconds", _MINIMUM_SECONDS)
    if seconds < _MINIMUM_SECONDS:
        message = "may not specify a duration less than 600 seconds (10 minutes)"
        yield status.invalid_value("spec.expirationSeconds", str(seconds), message)


def _check_conditions(conditions: list[Json]) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        field, kind = f"status.conditions[{index}]", condition["type"]
        allowed = ("True",) if kind in _LASTING else _STATUSES
        if not kind:
            yield status.required(f"{field}.type")
        if not condition["status"]:
            yield status.required(f"{field}.status")
        elif condition["status"] not in allowed:
            yield status.not_supported(f"{field}.status", condition["status"], allowed)
        if kind in seen:
            yield status.duplicate(f"{field}.type", kind)
        seen.add(kind)
    if seen.issuperset(_DECIDED):
        message = 'must specify at most one of: `conditions[{"type": "Approved"}]`, `conditions[{"type": "Denied"}]`'
        yield status.invalid_value("status.conditions", '"Approved" and "Denied"', message)


def _check_certificate(new: Json) -> Iterator[Cause]:
    certificate = new.get("certificate")
    if certificate is not None:
        violation = pem.certificate_violation(base64.b64decode(certificate))
        if violation is not None:
            yield status.invalid_value("status.certificate", '"<certificate data>"', violation)


def _check_transition(before: list[Json], after: list[Json], *, may_decide: bool) -> Iterator[Cause]:
    for kind in _LASTING:
        was, now = _count(before, kind), _count(after, kind)
        message = None
        if now < was:
            message = f"updates may not remove a condition of type {status.quote(kind)}"
        elif now > was and kind in _DECIDED and not may_decide:
            message = f"updates may not add a condition of type {status.quote(kind)}"
        if message is not None:
            yield status.forbidden_change("status.conditions", message)


def _count(conditions: Iterable[Json], kind: str) -> int:
    return sum(condition["type"] == kind for condition in conditions)


def _put_back(before: list[Json], after: list[Json]) -> None:
    """Where as many entries of a decision come as there were, the stored ones win, silently."""
    for kind in _DECIDED:
        stored = [condition for condition in before if condition["type"] == kind]
        places = [index for index, condition in enumerate(after) if condition["type"] == kind]
        if len(stored) == len(places):
            for place, condition in zip(places, stored, strict=True):
                after[place] = condition


def _fill_times(before: list[Json], after: list[Json]) -> None:
    """Fill only what the client left empty: any other time is kept, and may be edited later."""
    now = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
    known = {(condition["type"], condition["status"]): condition for condition in reversed(before)}
    for index, condition in enumerate(after):
        earlier = known.get((condition["type"], condition["status"]), {})
        times = {"lastUpdateTime": now, "lastTransitionTime": earlier.get("lastTransitionTime", now)}
        after[index] = {**condition, **{key: condition.get(key, value) for key, value in times.items()}}
