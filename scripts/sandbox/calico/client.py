"""Calico's client key-cert-provisioner, the program of the init container, with its faults.

It makes a key, files a CSR, and waits for it on one watch over all CSRs of the cluster. It recognizes its CSR
only by name, accepts any certificate, and never notices a denial. If the API server closes the watch, it reports
success. Sources: key-cert-provisioner/pkg/{cfg,k8s,keycert}.
"""

import base64
import binascii
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from urllib3.exceptions import ProtocolError, ReadTimeoutError

from sandbox.api import CSRS, Api, ApiError, csr_path
from sandbox.calico.keys import PrivateKey, generate, private_key_pem
from sandbox.calico.request import Content, certification_request, pem

BUDGET_SECONDS = 90.0  # for everything, including key generation; the operator cannot raise it
USAGES = ("server auth", "client auth", "digital signature", "key agreement", "key encipherment")
_CONFLICT = 409
_GRACE_SECONDS = 2.0

Clock = Callable[[], float]


class ClientError(Exception):
    """The client exits with status 1, and kubelet restarts it later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The client's configuration, from environment variables.

    Attributes:
        request_name: The CSR's name.
        legacy: Whether the name has the form of Calico 3.27 and older; those set one label only.
        signer_name: The signerName of its CSR.
        common_name: Subject's common name.
        dns_names: DNS names for the SAN; one empty name if the variable is empty or missing.
        pod_ip: The one address for the SAN, unchecked.
        email_address: Subject's e-mail address; the operator never sets one.
        key_algorithm: Name of a key algorithm; an unknown name means RSA 2048.
        signature_algorithm: Name of a signature algorithm; an unknown name means SHA256WithRSA.
        directory: Where the files go.
        key_name: File name of the key.
        certificate_name: File name of the certificate.
        authority_name: File name of the CA certificate, if there is one.
        authority_pem: Content of that file; the client never reads it.
        app_name: Value of the CSR's labels; the operator puts the namespace there.
    """

    request_name: str
    legacy: bool
    signer_name: str
    common_name: str
    dns_names: tuple[str, ...]
    pod_ip: str
    email_address: str
    key_algorithm: str
    signature_algorithm: str
    directory: Path
    key_name: str
    certificate_name: str
    authority_name: str
    authority_pem: bytes
    app_name: str

    @classmethod
    def from_variables(cls, variables: Mapping[str, str]) -> "Environment":
        """Reads the variables of the init container.

        Raises:
            ClientError: A required variable is not set, or CA_CERT is not base64.
        """
        legacy = not variables.get("SECRET_NAME")
        prefix = _required(variables, "POD_NAMESPACE") if legacy else variables["SECRET_NAME"]
        authority = variables.get("CA_CERT", "")
        return cls(
            request_name=f"{prefix}:{_required(variables, 'POD_NAME')}",
            legacy=legacy,
            signer_name=_required(variables, "SIGNER"),
            common_name=_required(variables, "COMMON_NAME"),
            dns_names=tuple(variables.get("DNS_NAMES", "").split(",")),
            pod_ip=_required(variables, "POD_IP"),
            email_address=variables.get("EMAIL_ADDRESS", ""),
            key_algorithm=variables.get("KEY_ALGORITHM", ""),
            signature_algorithm=variables.get("SIGNATURE_ALGORITHM", ""),
            directory=Path(_required(variables, "CERTIFICATE_PATH")),
            key_name=_required(variables, "KEY_NAME"),
            certificate_name=_required(variables, "CERT_NAME"),
            authority_name=_required(variables, "CA_CERT_NAME") if authority else "",
            authority_pem=_decoded(authority),
            app_name=_required(variables, "APP_NAME"),
        )

    @property
    def content(self) -> Content:
        """Returns the content of the CertificationRequest."""
        return Content(
            common_name=self.common_name,
            dns_names=self.dns_names,
            address=self.pod_ip,
            email_address=self.email_address,
        )


def run(
    environment: Environment,
    api: Api,
    *,
    key: PrivateKey | None = None,
    budget: float = BUDGET_SECONDS,
    clock: Clock = time.monotonic,
) -> bool:
    """Asks for a certificate and writes it, as the init container does once.

    Args:
        environment: The client's configuration.
        api: The API server as the pod sees it.
        key: A key made in advance; by default, the client makes one within the budget.
        budget: Seconds for everything.
        clock: Monotonic seconds.

    Returns:
        True if the client wrote the files. False if the watch ended first: the client then reports success too, so
        that the pod's main container starts without its files.

    Raises:
        ClientError: The budget ran out, or the API server refused a request.
        KeyMismatchError: The signature algorithm is not for this kind of key; no CSR was made.
    """
    deadline = clock() + budget
    key = key or generate(environment.key_algorithm)
    csr = new_csr(environment, key)
    try:
        submit(api, csr)
        certificate = wait(api, environment.request_name, deadline=deadline, clock=clock)
    except ApiError as error:
        raise ClientError(f"{environment.request_name!r}: {error}") from error
    if certificate is None:
        return False
    write_files(environment, certificate, private_key_pem(key))
    return True


def new_csr(environment: Environment, key: PrivateKey) -> dict[str, Any]:
    """Returns the CertificateSigningRequest for a key.

    Raises:
        KeyMismatchError: The signature algorithm is not for this kind of key.
    """
    request = certification_request(environment.content, key, environment.signature_algorithm)
    return csr_object(environment, pem(request))


def csr_object(environment: Environment, request_pem: bytes) -> dict[str, Any]:
    """Returns the CertificateSigningRequest that the client creates; it never sets expirationSeconds."""
    labels = {"k8s-app": environment.app_name}
    if not environment.legacy:
        labels["operator.tigera.io/csr"] = environment.app_name
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": environment.request_name, "labels": labels},
        "spec": {
            "request": base64.b64encode(request_pem).decode(),
            "signerName": environment.signer_name,
            "usages": list(USAGES),
        },
    }


def submit(api: Api, csr: Mapping[str, Any]) -> dict[str, Any]:
    """Creates a CSR; first deletes any CSR of the same name, without a precondition.

    Raises:
        ApiError: The API server refused the CSR.
    """
    try:
        return api.post(CSRS, csr)
    except ApiError as error:
        if error.status != _CONFLICT:
            raise
    api.delete(csr_path(csr["metadata"]["name"]))
    return api.post(CSRS, csr)


def wait(api: Api, name: str, *, deadline: float, clock: Clock = time.monotonic) -> bytes | None:
    """Watches all CSRs until one of that name is Approved and has a certificate.

    Returns:
        `status.certificate`; None if the watch ended first.

    Raises:
        ClientError: The deadline has passed, the watch reports an error, or a certificate came with a denial.
        ApiError: The API server refused the watch.
    """
    # The real client ends the request itself after its time; here the server does, which looks the same to others.
    seconds = max(math.ceil(deadline - clock()), 1)
    try:
        with api.watch(CSRS, timeoutSeconds=seconds, read_seconds=seconds + _GRACE_SECONDS, about=name) as events:
            for event in events:
                if clock() >= deadline:
                    break
                certificate = _certificate(event, name)
                if certificate is not None:
                    return certificate
    except ReadTimeoutError as error:
        raise ClientError(f"{name!r}: timeout expired") from error
    except ProtocolError:
        pass  # in the real client, a broken connection closes the channel
    if clock() >= deadline:
        raise ClientError(f"{name!r}: timeout expired")
    return None


def write_files(environment: Environment, certificate: bytes, key_pem: bytes) -> None:
    """Writes certificate, key and CA certificate without checks."""
    environment.directory.mkdir(parents=True, exist_ok=True)
    _write(environment.directory / environment.certificate_name, certificate, 0o644)
    _write(environment.directory / environment.key_name, key_pem, 0o600)
    if environment.authority_pem:
        _write(environment.directory / environment.authority_name, environment.authority_pem, 0o644)


def _certificate(event: Mapping[str, Any], name: str) -> bytes | None:
    csr = event["object"]
    if event["type"] == "ERROR":
        raise ClientError(f"unexpected type in the watch: {csr!r}")
    status = csr.get("status", {})
    if csr["metadata"]["name"] != name or not status.get("certificate"):
        return None
    # The client reads conditions in order, and only with a certificate: it never sees a plain denial.
    for condition in status.get("conditions", []):
        if condition["status"] != "True":
            continue
        if condition["type"] == "Approved":
            return base64.b64decode(status["certificate"])
        if condition["type"] in {"Denied", "Failed"}:
            raise ClientError(f"{name!r}: {condition['type']}")
    return None


def _required(variables: Mapping[str, str], name: str) -> str:
    value = variables.get(name, "")
    if not value:
        raise ClientError(f"environment variable {name} cannot be empty")
    return value


def _decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text)
    except binascii.Error as error:
        raise ClientError(f"CA_CERT must be base64: {error}") from error


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
