"""The API server: the calls for one CSR, and the meaning of their answers.

All reads are consistent (no resourceVersion), all writes have uid and resourceVersion, all names are quoted, and an
absent object is `None`. A failed call counts as a fault of its item, unless a probe of `api_server` fails too:
otherwise one CSR could stop all others by its name or content.
"""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from http import HTTPStatus
from typing import Any, Final, TypeVar

from csr_signer.cluster.api_server import OF_PROBE, Answer, ApiServer, NoAnswer, Right, Status, is_refusal
from csr_signer.cluster.parsing import ClusterParser
from csr_signer.cluster.session import Session
from csr_signer.errors import ConflictError, ItemError, ItemUnavailableError, UnavailableError
from csr_signer.objects.csr import APPROVED, DENIED, FAILED, CertificateSigningRequest
from csr_signer.objects.event import Event
from csr_signer.objects.pod import Node, Pod, PodIdentity
from csr_signer.violation import LONGEST_SENTENCE, quote

T = TypeVar("T")

CSRS: Final = "/apis/certificates.k8s.io/v1/certificatesigningrequests/{name}"
PODS: Final = "/api/v1/namespaces/{namespace}/pods/{name}"
NODES: Final = "/api/v1/nodes/{name}"
EVENTS: Final = "/api/v1/namespaces/{namespace}/events"
STRATEGIC_MERGE_PATCH: Final = "application/strategic-merge-patch+json"

_CREDENTIAL: Final = re.compile(r"(?i:bearer)\s+\S+|eyJ[\w-]+(?:\.[\w-]*){0,2}|ya29\.\S+")
_GROUP: Final = "certificates.k8s.io"
_RESOURCE: Final = "certificatesigningrequests"
_GET_CSR: Final = Right(verb="get", group=_GROUP, resource=_RESOURCE)


class KubernetesCluster:
    """One cluster's API server.

    Args:
        session: an authenticated session, which follows no redirects. It repeats a GET once if the connection ends
            before the answer, and never repeats a write.
    """

    def __init__(self, session: Session) -> None:
        self._api = ApiServer(session)
        self._parser = ClusterParser()

    async def get_csr(self, name: str) -> CertificateSigningRequest | None:
        """Reads a CSR by name.

        Raises:
            ItemError: this call failed, but the API server serves the function.
            UnavailableError, ConfigurationError: the API server does not serve the function. All calls of this class
                raise the same errors.
        """
        read = partial(CertificateSigningRequest.from_api, name=name)
        return await self._call("GET", CSRS, {"name": name}, kind=_RESOURCE, read=read, rights=(_GET_CSR,))

    async def get_pod(self, identity: PodIdentity) -> Pod | None:
        """Reads a pod by namespace and name; `attest` checks whether it is the token's pod."""
        namespace, name = identity.namespace, identity.pod_name
        # A right that is missing in one namespace concerns only its pods, so the probe does not check it.
        read = partial(Pod.from_api, name=name, namespace=namespace)
        return await self._call("GET", PODS, {"namespace": namespace, "name": name}, kind="pods", read=read)

    async def get_node(self, name: str) -> Node | None:
        """Reads a node by the name in the pod's spec."""
        return await self._call("GET", NODES, {"name": name}, kind="nodes", read=partial(Node.from_api, name=name))

    async def approve(self, csr: CertificateSigningRequest, message: str) -> CertificateSigningRequest | None:
        """Adds Approved to a CSR of a configured signerName. None: the CSR is gone.

        Raises:
            ConflictError: the CSR has changed since the function read it.
        """
        return await self._patch(csr, "approval", _with(csr, APPROVED, "PodVerified", message))

    async def deny(self, csr: CertificateSigningRequest, reason: str, message: str) -> CertificateSigningRequest | None:
        """Adds Denied; otherwise like `approve`."""
        return await self._patch(csr, "approval", _with(csr, DENIED, reason, message))

    async def fail(self, csr: CertificateSigningRequest, reason: str, message: str) -> CertificateSigningRequest | None:
        """Adds Failed; otherwise like `approve`."""
        return await self._patch(csr, "status", _with(csr, FAILED, reason, message))

    async def write_certificate(self, csr: CertificateSigningRequest, pem: bytes) -> CertificateSigningRequest | None:
        """Writes the certificate, which the API server accepts once; otherwise like `approve`."""
        return await self._patch(csr, "status", {"certificate": base64.b64encode(pem).decode("ascii")})

    async def create_event(self, event: Event) -> None:
        """Creates an Event. An Event of the same name is the same Event, so the function needs no right to read it.

        A caller waits for its answer meanwhile, so the time is short, and no probe follows.

        Raises:
            ItemError: the API server refuses the Event.
            ItemUnavailableError: there is no answer, or a transient fault.
            UnavailableError: there is no credential.
        """
        where = f"API server: POST {EVENTS}"
        names = {"namespace": event.namespace}
        answer = await self._api.exchange("POST", EVENTS, names, event.to_api(), patience=OF_PROBE)
        if isinstance(answer, NoAnswer):
            raise ItemUnavailableError(f"{where}: {answer.cause}")
        if answer.ok or answer.status == HTTPStatus.CONFLICT:
            return
        status = await self._parser.parse(answer.body, Status.of)
        fault = ItemError if is_refusal(answer, status) else ItemUnavailableError
        raise fault(f"{where}: {answer.status}: {_said(status)}")

    async def _patch(
        self, csr: CertificateSigningRequest, subresource: str, status: Mapping[str, Any]
    ) -> CertificateSigningRequest | None:
        """Changes only the status, because a requester's metadata may contain bytes that JSON cannot carry.

        A PUT would replace these bytes with U+FFFD. kube-apiserver applies this kind of patch to the decoded object,
        and keeps them. The resourceVersion causes a conflict if the object has changed, for example to a new CSR of the
        name.
        """
        body = {"metadata": {"uid": csr.uid, "resourceVersion": csr.resource_version}, "status": status}
        return await self._call(
            "PATCH",
            f"{CSRS}/{subresource}",
            {"name": csr.name},
            body,
            kind=_RESOURCE,
            read=partial(CertificateSigningRequest.from_api, name=csr.name),
            rights=_rights_to_write(subresource, csr.signer_name),
        )

    async def _call(
        self,
        method: str,
        path: str,
        names: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        *,
        kind: str,
        read: Callable[[bytes], T],
        rights: Sequence[Right] = (),
    ) -> T | None:
        """Makes one call about one item; returns the object in the answer, or None if the object is gone.

        Args:
            method: the HTTP method.
            path: the path with placeholders.
            names: the names for the placeholders.
            body: the request's body.
            kind: the resource's name in a Status.
            read: parses the object.
            rights: the rights that the call needs for every item.
        """
        where = f"API server: {method} {path}"
        answer = await self._fetch(method, path, names, body, read)
        if isinstance(answer, NoAnswer):
            await self._api.confirm()
            raise ItemUnavailableError(f"{where}: {answer.cause}")
        if not isinstance(answer, Answer):
            return answer
        status = await self._parser.parse(answer.body, Status.of)
        if status is not None and (status.reason, status.kind, status.name) == ("NotFound", kind, names.get("name")):
            return None
        text = f"{where}: {answer.status}: {_said(status)}"
        if answer.status == HTTPStatus.CONFLICT:
            raise ConflictError(text)
        user = await self._api.confirm(rights if answer.status == HTTPStatus.FORBIDDEN else ())
        if is_refusal(answer, status):
            raise ItemError(f"{text} (for {user})")
        raise ItemUnavailableError(text, retry_after=answer.retry_after)

    async def _fetch(
        self,
        method: str,
        path: str,
        names: Mapping[str, str],
        body: Mapping[str, Any] | None,
        read: Callable[[bytes], T],
    ) -> T | Answer | NoAnswer:
        """Makes one call; returns the object in a successful answer, or the answer.

        The cluster's place for a large answer is free afterwards, so no probe holds it.
        """
        media_type = STRATEGIC_MERGE_PATCH if method == "PATCH" else "application/json"
        async with AsyncExitStack() as large:
            answer = await self._api.exchange(method, path, names, body, media_type=media_type, large=large)
            if isinstance(answer, NoAnswer) or not answer.ok:
                return answer
            try:
                return await self._parser.parse(answer.body, read)
            except UnavailableError as error:  # a server in between may have sent it, for this item or for all
                return NoAnswer(cause=str(error))


def _said(status: Status | None) -> str:
    """Returns the API server's words for a record and an Event, without a token that a proxy on the way may repeat."""
    if status is None:
        return "no Kubernetes Status"
    return quote(_CREDENTIAL.sub("...", status.message), most=LONGEST_SENTENCE)


def _with(csr: CertificateSigningRequest, kind: str, reason: str, message: str) -> dict[str, Any]:
    """Returns the status with one more condition, because a patch replaces the whole list."""
    condition = {"type": kind, "status": "True", "reason": reason, "message": message}
    return {"conditions": [*csr.stored_conditions, condition]}


def _rights_to_write(subresource: str, signer_name: str) -> tuple[Right, ...]:
    """Returns the rights of RBAC and of the admission plugins CertificateApproval and CertificateSigning."""
    verb = "approve" if subresource == "approval" else "sign"
    names = (signer_name, f"{signer_name.partition('/')[0]}/*")
    return (
        Right(verb="patch", group=_GROUP, resource=_RESOURCE, subresource=subresource),
        Right(verb=verb, group=_GROUP, resource="signers", names=names),
    )
