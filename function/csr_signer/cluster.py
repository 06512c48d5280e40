"""The API server: the calls of one CSR's way, and what their answers mean.

Everything is read consistently (no resourceVersion), every write carries uid and resourceVersion, names are quoted, and
an absent object is `None`. The kubernetes package's `ApiClient` does the HTTP; its generated API classes are not
loaded: they cost a second at start and validate what the API server has validated.
"""

import base64
import hashlib
import json
import re
import time
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

import urllib3
from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException

from csr_signer import api_object
from csr_signer.attestation import Node, Pod, PodIdentity
from csr_signer.credentials import BEARER
from csr_signer.csr import APPROVED, DENIED, FAILED, CertificateSigningRequest
from csr_signer.errors import ConfigurationError, ConflictError, ItemError, SignerError, UnavailableError
from csr_signer.violation import quote

CSRS: Final = "/apis/certificates.k8s.io/v1/certificatesigningrequests/{name}"
TIMEOUT: Final = (3.0, 8.0)
"""Seconds to connect and to wait for an answer; far below the 90 s that Calico's client waits in all."""
LONGEST_NOTE: Final = 1000
COMPONENT: Final = "kms-csr-signer"
WHOLE_ANSWER: Final = 12.0
"""Seconds in which an answer must be complete."""
LARGEST_ANSWER: Final = 16 * 1024 * 1024
"""Bytes: etcd stores about 1.5 MiB of an object, and kube-apiserver writes each `<`, `>` and `&` as six."""
_PIECE: Final = 64 * 1024
_LONGEST_RETRY_AFTER: Final = 60
# RBAC's words, and those of the CertificateApproval and CertificateSigning admission plugins; another 403 is a
# policy's.
_MISSING_RIGHT: Final = re.compile(r'User "|user not permitted to (?:approve|sign) requests')
_ITEM_REFUSED: Final = (400, 403, 405, 413, 415, 422)
_TOO_LARGE: Final = "request is too large"  # etcd's limit, which kube-apiserver answers with 500


class KubernetesCluster:
    """One cluster's API server.

    Args:
        client: authenticated, without retries and redirects.
    """

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def get_csr(self, name: str) -> CertificateSigningRequest | None:
        """The CSR of a name.

        Raises:
            UnavailableError, ConfigurationError: as every call of this class.
        """
        answer = self._call("GET", CSRS, {"name": name})
        return None if answer is None else CertificateSigningRequest.from_api(answer, name=name)

    def get_pod(self, identity: PodIdentity) -> Pod | None:
        """The pod of a namespace and name; whether it is the token's is `attest`'s question."""
        path = "/api/v1/namespaces/{namespace}/pods/{name}"
        answer = self._call("GET", path, {"namespace": identity.namespace, "name": identity.pod_name})
        return None if answer is None else Pod.from_api(answer, name=identity.pod_name, namespace=identity.namespace)

    def get_node(self, name: str) -> Node | None:
        """A node, as the pod's spec names it."""
        answer = self._call("GET", "/api/v1/nodes/{name}", {"name": name})
        return None if answer is None else Node.from_api(answer, name=name)

    def approve(self, csr: CertificateSigningRequest, message: str) -> CertificateSigningRequest | None:
        """Adds Approved. None: the CSR is gone.

        Raises:
            ConflictError: it was modified since it was read.
        """
        return self._put(csr, "approval", conditions=_condition(APPROVED, "PodVerified", message))

    def deny(self, csr: CertificateSigningRequest, reason: str, message: str) -> CertificateSigningRequest | None:
        """Adds Denied; as `approve`."""
        return self._put(csr, "approval", conditions=_condition(DENIED, reason, message))

    def fail(self, csr: CertificateSigningRequest, reason: str, message: str) -> CertificateSigningRequest | None:
        """Adds Failed; as `approve`."""
        return self._put(csr, "status", conditions=_condition(FAILED, reason, message))

    def write_certificate(self, csr: CertificateSigningRequest, pem: bytes) -> CertificateSigningRequest | None:
        """Stores the certificate, which the API server lets be written once; as `approve`."""
        return self._put(csr, "status", certificate=base64.b64encode(pem).decode("ascii"))

    def report_on_pod(self, identity: PodIdentity, *, csr_uid: str, reason: str, message: str, now: datetime) -> None:
        """A Kubernetes Event on the pod: Calico's client never tells that it was denied, so the operator must be told.

        Its name follows from the CSR's uid, so that a repeated refusal is one Event.
        """
        suffix = hashlib.sha256(csr_uid.encode()).hexdigest()[:16]
        moment = f"{now:%Y-%m-%dT%H:%M:%SZ}"
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{identity.pod_name[:230].rstrip('.-')}.{suffix}",
                "namespace": identity.namespace,
            },
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "namespace": identity.namespace,
                "name": identity.pod_name,
                "uid": identity.pod_uid,
            },
            "type": "Warning",
            "reason": reason,
            "message": message[:LONGEST_NOTE],
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": COMPONENT,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }
        path = "/api/v1/namespaces/{namespace}/events"
        try:
            self._call("POST", path, {"namespace": identity.namespace}, event)
        except ConflictError:
            return  # it was reported before

    def _put(
        self,
        csr: CertificateSigningRequest,
        subresource: str,
        *,
        conditions: Mapping[str, str] | None = None,
        certificate: str | None = None,
    ) -> CertificateSigningRequest | None:
        """The object as it was read, with one addition: a PUT must carry every condition and all metadata.

        All but managedFields: the API server keeps its own where there are none, and what a requester nested there
        could be too deep to be written.
        """
        document: dict[str, Any] = api_object.parse(csr.document)
        document["metadata"].pop("managedFields", None)
        status = document["status"] = document.get("status") or {}
        if conditions is not None:
            status["conditions"] = [*(status.get("conditions") or ()), conditions]
        if certificate is not None:
            status["certificate"] = certificate
        answer = self._call("PUT", f"{CSRS}/{subresource}", {"name": csr.name}, document)
        return None if answer is None else CertificateSigningRequest.from_api(answer, name=csr.name)

    def _call(
        self, method: str, path: str, names: Mapping[str, str], body: Mapping[str, Any] | None = None
    ) -> bytes | None:
        """One HTTP call; None where the object is gone."""
        call = f"API server: {method} {path}"
        status, headers, answer = self._ask(method, path, names, body)
        if 200 <= status < 300:  # noqa: PLR2004 - HTTP's class of success
            return answer
        message = _message(answer)
        if _is_gone(status, answer, message, names.get("name")):
            return None
        text = f"{call}: {status}: {quote(message)}"
        match status:
            case HTTPStatus.CONFLICT:
                raise ConflictError(text)
            case HTTPStatus.UNAUTHORIZED:
                raise ConfigurationError(f"{text} (for {self._whoami()})")
            case HTTPStatus.FORBIDDEN if method == "GET" and path != CSRS:
                # A right that is missing in one namespace concerns its pods alone.
                raise ItemError(f"{text} (for {self._whoami()})")
            case HTTPStatus.FORBIDDEN if method == "GET" or _MISSING_RIGHT.search(message):
                raise ConfigurationError(f"{text} (for {self._whoami()})")
        if method != "GET" and (status in _ITEM_REFUSED or _TOO_LARGE in message):
            raise ItemError(text)
        raise UnavailableError(text, retry_after=_retry_after(headers))

    def _ask(
        self, method: str, path: str, names: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of an answer, in bounded time and size.

        Raises:
            ConfigurationError: the server's certificate is not its own.
            UnavailableError: there is no whole answer in time.
        """
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        serialized = self._client.param_serialize(
            method, path, path_params=dict(names), header_params=headers, body=body, auth_settings=[BEARER]
        )
        deadline = time.monotonic() + WHOLE_ANSWER
        try:
            response = self._client.call_api(*serialized, _request_timeout=TIMEOUT)
            # Read to its end: an unread answer closes its connection, and the next call would pay for TLS.
            answer = bytearray()
            for part in response.response.stream(_PIECE):
                answer += part
                if len(answer) > LARGEST_ANSWER:
                    response.response.close()
                    raise ItemError(f"API server: {method} {path}: an answer of more than {LARGEST_ANSWER} bytes")
                if time.monotonic() > deadline:
                    response.response.close()
                    raise UnavailableError(f"API server: {method} {path}: an answer that takes too long")
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise ConfigurationError(
                    f"API server: its certificate is not by the configured CA: {method} {path}"
                ) from error
            raise UnavailableError(f"API server: {method} {path}: {type(error).__name__}") from error
        return response.status, response.headers, bytes(answer)

    def _whoami(self) -> str:
        """The user that the API server sees, for the operator who must grant it something."""
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            _, _, answer = self._ask("POST", path, {}, body)
            return f"user {quote(json.loads(answer)['status']['userInfo']['username'])}"
        except (SignerError, ValueError, KeyError, TypeError, RecursionError):
            return "an unknown user"


def _is_gone(status: int, answer: bytes, message: str, name: str | None) -> bool:
    """Absent, or another object of the same name: 409 has two meanings.

    Only the API server's own word counts: a load balancer's 404 says nothing about an object.
    """
    if status == HTTPStatus.CONFLICT:
        # What comes before may be a requester's text: the object's own name.
        return "Precondition failed: UID" in message.partition(f'"{name}": ')[2]
    if status != HTTPStatus.NOT_FOUND:
        return False
    try:
        api = json.loads(answer)
        return bool(api["kind"] == "Status" and api["reason"] == "NotFound" and api["details"]["name"] == name)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _retry_after(headers: Mapping[str, str]) -> int | None:
    """Seconds that the API server asks for, within bounds; None where it asks for nothing that can be read."""
    match = re.fullmatch(r"[0-9]{1,6}", headers.get("Retry-After", ""))
    return min(max(int(match[0]), 1), _LONGEST_RETRY_AFTER) if match else None


def _condition(kind: str, reason: str, message: str) -> dict[str, str]:
    return {"type": kind, "status": "True", "reason": reason, "message": message}


def _message(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "no Kubernetes Status"
