"""Restores a decision's inputs from its audit record: the opposite of `csr_signer.policy.inputs`."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cache
from typing import Annotated, Final

from pydantic import AfterValidator, PlainValidator, TypeAdapter, ValidationError

from csr_signer.objects.csr import CertificateSigningRequest, Requester
from csr_signer.objects.pod import Address, Node, Pod, PodIdentity
from csr_signer.policy.inputs import OMITTED
from signerctl.recorded.entries import Json, instant, text

_YEARS: Final = range(1970, 9000)
"""The years of a CSR's creation: a decision adds and subtracts lifetimes."""


class NotRecordedError(Exception):
    """The new configuration reads an input that the old one did not read; the message says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Omitted:
    """Inputs that the function left out.

    Attributes:
        why: They were too large, or not valid Unicode.
    """

    why: str


def _decoded(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004 - pydantic expects a ValueError
    return base64.b64decode(value, validate=True)


def _within_years(value: datetime) -> datetime:
    if value.year not in _YEARS:
        raise ValueError(f"must be a time between {_YEARS.start} and {_YEARS.stop}")
    return value


Time = Annotated[datetime, PlainValidator(instant)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCsr:
    """The CSR in the record."""

    name: str
    created: Annotated[Time, AfterValidator(_within_years)]
    size: int
    usages: tuple[str, ...] = ()
    expiration_seconds: int | None = None
    username: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    request: Annotated[bytes, PlainValidator(_decoded)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPod:
    """The pod in the record: `exists`, and the fields of a Pod."""

    exists: bool
    uid: str = ""
    service_account: str = ""
    node_name: str = ""
    terminating: bool = False
    finished: bool = False
    host_network: bool = False
    addresses: frozenset[Address] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedIssuer:
    """The validity of the issuer's chain."""

    not_before: Time
    not_after: Time


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The inputs of a decision; also the cluster that `attest_requester` reads.

    Attributes:
        csr: The CSR.
        pod: The pod of the token's name; None if the function did not read it.
        node: Its node; None if the function did not read it.
        issuer: The issuer.
    """

    csr: RecordedCsr
    pod: RecordedPod | None = None
    node: Node | None = None
    issuer: RecordedIssuer

    @classmethod
    def of(cls, json: Json) -> "Inputs | Omitted":
        """Parses the inputs in a record.

        Raises:
            ValueError: They cannot be parsed.
        """
        if OMITTED in json:
            return Omitted(why=text(json, OMITTED))
        try:
            return _adapter().validate_python(json)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            path = ".".join(map(str, ("decision_inputs", *first["loc"])))
            raise ValueError(f"{path}: {first['msg']}") from error

    def certificate_signing_request(self, *, uid: str, signer_name: str) -> CertificateSigningRequest:
        """Returns the CSR with the fields that a decision reads."""
        csr = self.csr
        return CertificateSigningRequest(
            size=csr.size,
            name=csr.name,
            uid=uid,
            resource_version="",
            created=csr.created,
            deleting=False,
            signer_name=signer_name,
            request=csr.request,
            usages=csr.usages,
            expiration_seconds=csr.expiration_seconds,
            requester=Requester(username=csr.username, uid=csr.uid, groups=csr.groups, extra=csr.extra),
            conditions=frozenset(),
            approval="",
            certificate=b"",
            stored_conditions=(),
        )

    async def get_pod(self, identity: PodIdentity) -> Pod | None:
        """Returns the pod that the API server had.

        Raises:
            NotRecordedError: The function did not read it.
        """
        if self.pod is None:
            account = f"{identity.namespace}/{identity.service_account}"
            raise NotRecordedError(
                f"the function did not read the pod: its profile had no component for service account {account}"
            )
        if not self.pod.exists:
            return None
        return Pod(**{each.name: getattr(self.pod, each.name) for each in fields(Pod)})

    async def get_node(self, name: str) -> Node | None:
        """Returns the node that the API server had.

        Raises:
            NotRecordedError: The function did not read it.
        """
        if self.node is None:
            raise NotRecordedError(
                f"the function did not read node {name}: its profile certified no addresses of the pod"
            )
        return self.node


@cache
def _adapter() -> TypeAdapter[Inputs]:
    return TypeAdapter(Inputs)
