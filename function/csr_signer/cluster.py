"""The API server: the calls of one CSR's way, and what their answers mean.

Everything is read consistently (no resourceVersion), every write carries uid and resourceVersion, names are quoted, and
an absent object is `None`. The kubernetes package's `ApiClient` does the HTTP; its generated API classes are not
loaded: they cost a second at start and validate what the API server has validated.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

import urllib3
from kubernetes.client import ApiClient

from csr_signer.attestation import Pod, PodIdentity
from csr_signer.credentials import BEARER
from csr_signer.csr import APPROVED, DENIED, FAILED, CertificateSigningRequest
from csr_signer.errors import ConfigurationError, ConflictError, SignerError, UnavailableError
from csr_signer.violation import quote

CSRS: Final = "/apis/certificates.k8s.io/v1/certificatesigningrequests/{name}"
TIMEOUT: Final = (3.0, 8.0)
"""Seconds to connect and to wait for an answer; far below the 90 s that Calico's client waits in all."""
LONGEST_NOTE: Final = 1000
COMPONENT: Final = "kms-csr-signer"
_LONGEST_RETRY_AFTER: Final = 60


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
        return None if answer is None else CertificateSigningRequest.from_api(answer)

    def get_pod(self, identity: PodIdentity) -> Pod | None:
        """The pod of a namespace and name; whether it is the token's is `attest`'s question."""
        path = "/api/v1/namespaces/{namespace}/pods/{name}"
        answer = self._call("GET", path, {"namespace": identity.namespace, "name": identity.pod_name})
        return None if answer is None else Pod.from_api(answer)

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
        """The object as it was read, with one addition: a PUT must carry every condition and all metadata."""
        document: dict[str, Any] = json.loads(csr.document)
        status = document.setdefault("status", {})
        if conditions is not None:
            status["conditions"] = [*(status.get("conditions") or ()), conditions]
        if certificate is not None:
            status["certificate"] = certificate
        answer = self._call("PUT", f"{CSRS}/{subresource}", {"name": csr.name}, document)
        return None if answer is None else CertificateSigningRequest.from_api(answer)

    def _call(
        self, method: str, path: str, names: Mapping[str, str], body: Mapping[str, Any] | None = None
    ) -> bytes | None:
        """One HTTP call; None where the object is gone."""
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        serialized = self._client.param_serialize(
            method, path, path_params=dict(names), header_params=headers, body=body, auth_settings=[BEARER]
        )
        try:
            response = self._client.call_api(*serialized, _request_timeout=TIMEOUT)
            answer: bytes = response.read()  # an unread answer closes its connection: the next call would pay for TLS
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnavailableError(f"API server: {method} {path}: {type(error).__name__}") from error
        if 200 <= response.status < 300:  # noqa: PLR2004 - HTTP's class of success
            return answer
        if _is_gone(response.status, answer):
            return None
        raise self._fault(response.status, answer, response.headers, f"{method} {path}")

    def _fault(self, status: int, answer: bytes, headers: Mapping[str, str], call: str) -> SignerError:
        """What an answer other than success means (kubernetes apimachinery pkg/api/errors)."""
        message = quote(_message(answer))
        match status:
            case HTTPStatus.CONFLICT:
                return ConflictError(f"API server: {call}: {message}")
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                return ConfigurationError(f"API server: {call}: {status} for {self._whoami()}: {message}")
            case 400 | 405 | 413 | 415 | 422:
                return ConfigurationError(f"API server: {call}: refused with {status}: {message}")
            case _:
                wait = headers.get("Retry-After", "")
                seconds = min(int(wait), _LONGEST_RETRY_AFTER) if wait.isdecimal() else None
                return UnavailableError(f"API server: {call}: {status}: {message}", retry_after=seconds)

    def _whoami(self) -> str:
        """The user that the API server sees, for the operator who must grant it something."""
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        try:
            serialized = self._client.param_serialize(
                "POST", path, header_params=headers, body=body, auth_settings=[BEARER]
            )
            response = self._client.call_api(*serialized, _request_timeout=TIMEOUT)
            return f"user {quote(json.loads(response.read())['status']['userInfo']['username'])}"
        except (urllib3.exceptions.HTTPError, OSError, ValueError, KeyError, TypeError):
            return "an unknown user"


def _condition(kind: str, reason: str, message: str) -> dict[str, str]:
    return {"type": kind, "status": "True", "reason": reason, "message": message}


def _is_gone(status: int, answer: bytes) -> bool:
    """Absent, or another object of the same name: 409 has two meanings."""
    return status == HTTPStatus.NOT_FOUND or (
        status == HTTPStatus.CONFLICT and "Precondition failed: UID" in _message(answer)
    )


def _message(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        return "no Kubernetes Status"
