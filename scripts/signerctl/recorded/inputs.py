"""Restores a decision's inputs from its audit record: the opposite of `csr_signer.policy.inputs`."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cache

from pydantic import TypeAdapter

from csr_signer.objects.csr import CertificateSigningRequest, Requester
from csr_signer.objects.pod import Address, Node, Pod, PodIdentity
from csr_signer.policy.inputs import OMITTED
from signerctl.recorded.entries import Json


class NotRecordedError(Exception):
    """The record lacks an input; the message says which and why.

    Attributes:
        needs_more: Whether the new configuration reads an input that the old one did not read.
    """

    def __init__(self, message: str, *, needs_more: bool) -> None:
        super().__init__(message)
        self.needs_more = needs_more


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCsr:
    """The CSR in the record."""

    name: str
    created: datetime
    size: int
    usages: tuple[str, ...] = ()
    expiration_seconds: int | None = None
    username: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    request: str


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

    not_before: datetime
    not_after: datetime


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
    def of(cls, json: Json) -> "Inputs":
        """Parses the inputs in a record.

        Raises:
            NotRecordedError: The function left them out.
            ValueError: They cannot be read.
        """
        if OMITTED in json:
            raise NotRecordedError(f"not recorded: {json[OMITTED]}", needs_more=False)
        return _adapter().validate_python(json)

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
            request=base64.b64decode(csr.request, validate=True),
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
                f"the function did not read the pod: its profile had no component for service account {account}",
                needs_more=True,
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
                f"the function did not read node {name}: its profile certified no addresses of the pod",
                needs_more=True,
            )
        return self.node


@cache
def _adapter() -> TypeAdapter[Inputs]:
    return TypeAdapter(Inputs)
