"""The program of Calico's init container, key-cert-provisioner, with its faults.

It makes a key, files a CSR, and waits for it on one watch over all CSRs of the cluster. It recognizes its CSR
by name alone, believes whatever certificate appears there, never notices a denial, and takes a watch that the
API server closes for success. Sources: key-cert-provisioner/pkg/{cfg,k8s,keycert}.
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

BUDGET_SECONDS = 90.0  # for everything, key generation included; the operator offers no way to raise it
USAGES = ("server auth", "client auth", "digital signature", "key agreement", "key encipherment")
_CONFLICT = 409
_GRACE_SECONDS = 2.0

Clock = Callable[[], float]


class ClientError(Exception):
    """The client exits with status 1; kubelet starts it again after a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the client is told, by environment variables alone.

    Attributes:
        request_name: The CSR's name.
        legacy: Whether the name has the form of Calico 3.27 and older; those set one label only.
        signer_name: Whom it asks.
        common_name: Subject's common name.
        dns_names: DNS names for the SAN; one empty name where the variable was empty or missing.
        pod_ip: The one address for the SAN, unchecked.
        email_address: Subject's e-mail address; the operator never sets one.
        key_algorithm: Name of a key algorithm; anything unknown means RSA 2048.
        signature_algorithm: Name of a signature algorithm; anything unknown means SHA256WithRSA.
        directory: Where the files go.
        key_name: File name of the key.
        certificate_name: File name of the certificate.
        authority_name: File name of the CA certificate, if there is one.
        authority_pem: Content of that file; never looked at.
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
        """Read the variables of the init container.

        Raises:
            ClientError: One that must be set is not, or CA_CERT is not base64.
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
        """What the CertificationRequest asks for."""
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
    """Ask for a certificate and write it, as the init container does once.

    Args:
        environment: What the client is told.
        api: The API server as the pod sees it.
        key: A key made ahead; by default one is made, which takes from the budget.
        budget: Seconds for everything.
        clock: Seconds that only grow.

    Returns:
        True when files were written. False when the watch ended first: the client reports success all the
        same, so that the pod's main container starts without its files.

    Raises:
        ClientError: The budget is used up, or the API server refused something.
        KeyMismatchError: The signature algorithm is not for this kind of key; no CSR was made.
    """
    deadline = clock() + budget
    key = key or generate(environment.key_algorithm)
    request = certification_request(environment.content, key, environment.signature_algorithm)
    try:
        submit(api, csr_object(environment, pem(request)))
        certificate = wait(api, environment.request_name, deadline=deadline, clock=clock)
    except ApiError as error:
        raise ClientError(f"{environment.request_name!r}: {error}") from error
    if certificate is None:
        return False
    write_files(environment, certificate, private_key_pem(key))
    return True


def csr_object(environment: Environment, request_pem: bytes) -> dict[str, Any]:
    """The CertificateSigningRequest that the client creates; it never sets expirationSeconds."""
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
    """Create a CSR; one that has its name already is deleted, whosever it is, without a precondition.

    Raises:
        ApiError: What the API server refused.
    """
    try:
        return api.post(CSRS, csr)
    except ApiError as error:
        if error.status != _CONFLICT:
            raise
    api.delete(csr_path(csr["metadata"]["name"]))
    return api.post(CSRS, csr)


def wait(api: Api, name: str, *, deadline: float, clock: Clock = time.monotonic) -> bytes | None:
    """Watch all CSRs, from now on, until one of that name is Approved and has a certificate.

    Returns:
        `status.certificate` as it is; None when the watch ended before.

    Raises:
        ClientError: The deadline has passed, the watch reports an error, or a certificate came with a denial.
        ApiError: The API server refused the watch.
    """
    # The real client ends the request itself when its time is up; to others it looks the same when the server does.
    seconds = max(math.ceil(deadline - clock()), 1)
    try:
        with api.watch(CSRS, timeoutSeconds=seconds, read_seconds=seconds + _GRACE_SECONDS) as events:
            for event in events:
                if clock() >= deadline:
                    break
                certificate = _certificate(event, name)
                if certificate is not None:
                    return certificate
    except ReadTimeoutError as error:
        raise ClientError(f"{name!r}: timeout expired") from error
    except ProtocolError:
        pass  # a connection that breaks is a channel that closes
    if clock() >= deadline:
        raise ClientError(f"{name!r}: timeout expired")
    return None


def write_files(environment: Environment, certificate: bytes, key_pem: bytes) -> None:
    """Write certificate, key and CA certificate, verbatim and unchecked."""
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
    # Conditions count in their order, and only where there is a certificate: a plain denial never gets here.
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
