"""The init container's program: what it files, what it believes, and what it never notices."""

import base64
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from sandbox.api import CSRS, Api, ApiError, csr_path
from sandbox.calico import client
from sandbox.calico.client import ClientError, Environment
from sandbox.calico.components import components
from sandbox.calico.fleet import Fleet
from sandbox.calico.keys import KeyMismatchError, generate
from sandbox.calico.render import CertificateManagement, resolved, variables
from sandbox.calico.request import certification_request, pem
from tests.patience import PATIENCE
from tests.sandbox.calico.helpers import SIGNER, set_certificate, set_conditions, wait_for_csr

_POD = {"name": "calico-node-abcde", "namespace": "calico-system", "address": "10.128.0.2"}


def _variables(release: str = "3.31", **changes: str) -> dict[str, str]:
    management = CertificateManagement(
        signer_name=SIGNER,
        authority_pem=b"the CA certificate>>>",
        key_algorithm="ECDSAWithCurve256",
        signature_algorithm="ECDSAWithSHA256",
    )
    return resolved(variables(components(release)[0], management), **_POD) | changes


def _csr(**changes: str) -> dict[str, Any]:
    return client.csr_object(Environment.from_variables(_variables(**changes)), b"request")


def test_csr_object() -> None:
    """The CSR has the client's name, labels and usages, and neither expirationSeconds nor annotations."""
    assert _csr() == {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {
            "name": "node-certs:calico-node-abcde",
            "labels": {"k8s-app": "calico-system", "operator.tigera.io/csr": "calico-system"},
        },
        "spec": {
            "request": base64.b64encode(b"request").decode(),
            "signerName": SIGNER,
            "usages": ["server auth", "client auth", "digital signature", "key agreement", "key encipherment"],
        },
    }


def test_csr_object_of_old_releases() -> None:
    """Until 3.27 no key pair is named: the CSR is called for the namespace and has one label."""
    environment = Environment.from_variables(_variables("3.27"))
    assert client.csr_object(environment, b"request")["metadata"] == {
        "name": "calico-system:calico-node-abcde",
        "labels": {"k8s-app": "calico-system"},
    }


@pytest.mark.parametrize(
    "missing", ["POD_NAME", "POD_IP", "SIGNER", "COMMON_NAME", "CERTIFICATE_PATH", "KEY_NAME", "CERT_NAME", "APP_NAME"]
)
def test_missing_variable(missing: str) -> None:
    """A variable that must be set ends the client, by name."""
    with pytest.raises(ClientError, match=missing):
        Environment.from_variables(_variables(**{missing: ""}))


def test_namespace_is_needed_without_secret_name() -> None:
    """Without SECRET_NAME the namespace is the prefix, so it must be there."""
    with pytest.raises(ClientError, match="POD_NAMESPACE"):
        Environment.from_variables(_variables("3.27", POD_NAMESPACE=""))


def test_empty_dns_names() -> None:
    """An empty DNS_NAMES is one empty name: the client's test for emptiness never fires."""
    assert Environment.from_variables(_variables(DNS_NAMES="")).dns_names == ("",)


def test_ca_cert_is_base64url() -> None:
    """The CA certificate travels in base64 with the URL alphabet and is not looked at."""
    environment = Environment.from_variables(_variables())
    assert (environment.authority_name, environment.authority_pem) == ("ca.crt", b"the CA certificate>>>")
    with pytest.raises(ClientError, match="CA_CERT"):
        Environment.from_variables(_variables(CA_CERT="a"))


def test_mismatched_algorithms_make_no_csr(fleet: Fleet, api: Api, tmp_path: Path) -> None:
    """A key on a curve with an RSA signature algorithm: the client ends before it files anything."""
    environment = Environment.from_variables(_variables(SIGNATURE_ALGORITHM="", CERTIFICATE_PATH=str(tmp_path)))
    with pytest.raises(KeyMismatchError):
        client.run(environment, api)
    with pytest.raises(ApiError, match="404"):
        api.get(csr_path(environment.request_name))


def test_files(fleet: Fleet, api: Api, tmp_path: Path, certificate: bytes) -> None:
    """The client files a CSR, waits, and writes certificate, key and CA certificate with the right modes."""
    environment = fleet.environment(0, str(tmp_path))
    wrote: list[bool] = []
    thread = threading.Thread(target=lambda: wrote.append(client.run(environment, fleet.apis[0])))
    thread.start()
    wait_for_csr(api, environment.request_name)
    set_conditions(api, environment.request_name, "Approved")
    set_certificate(api, environment.request_name, certificate)
    thread.join(PATIENCE)
    assert wrote == [True]
    assert (tmp_path / "tls.crt").read_bytes() == certificate
    assert (tmp_path / "ca.crt").read_bytes() == b"the CA certificate"
    assert (tmp_path / "tls.key").read_bytes().startswith(b"-----BEGIN EC PRIVATE KEY-----")
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "tls.crt": 0o644,
        "tls.key": 0o600,
        "ca.crt": 0o644,
    }


def test_api_server_records_the_pod(fleet: Fleet, api: Api) -> None:
    """A CSR filed with the pod's token names the pod, its uid and its node in what no client can forge."""
    fleet.submit()
    for number, submission in enumerate(fleet.submissions):
        spec = api.get(csr_path(submission.name))["spec"]
        pod = next(pod for pod in fleet.pods if submission.name.endswith(f":{pod.name}"))
        assert spec["username"] == f"system:serviceaccount:{pod.namespace}:{pod.service_account}", number
        extra = spec["extra"]
        assert extra["authentication.kubernetes.io/pod-name"] == [pod.name]
        assert extra["authentication.kubernetes.io/pod-uid"] == [pod.uid]
        assert extra["authentication.kubernetes.io/node-name"] == [pod.node]
        assert extra["authentication.kubernetes.io/credential-id"][0].startswith("JTI=")


def test_request_in_the_csr_is_the_pods(fleet: Fleet, api: Api) -> None:
    """Common name, DNS names and the one address in the request are the component's and the pod's."""
    fleet.submit()
    for submission in fleet.submissions:
        request = base64.b64decode(api.get(csr_path(submission.name))["spec"]["request"])
        names = x509.load_pem_x509_csr(request).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert tuple(names.get_values_for_type(x509.DNSName)) == submission.member.component.dns_names
        addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
        assert addresses == [submission.member.plan.addresses[0]]


def test_same_name_is_deleted_and_created_again(fleet: Fleet, api: Api) -> None:
    """After a crash the name is taken: the client deletes that CSR, whatever its state, and files a new one."""
    csr = client.csr_object(fleet.environment(0), _request(fleet))
    first = client.submit(fleet.apis[0], csr)
    set_conditions(api, first["metadata"]["name"], "Denied")
    second = client.submit(fleet.apis[0], csr)
    assert second["metadata"]["name"] == first["metadata"]["name"]
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert "conditions" not in api.get(csr_path(first["metadata"]["name"])).get("status", {})


def test_other_errors_of_create_are_final(fleet: Fleet, api: Api) -> None:
    """What the API server refuses for another reason ends the client, with nothing deleted."""
    csr = {**client.csr_object(fleet.environment(0), b"request"), "metadata": {"name": ".."}}
    with pytest.raises(ApiError) as caught:
        client.submit(fleet.apis[0], csr)
    assert caught.value.status in {400, 422}


@pytest.mark.parametrize(
    "conditions", [["Approved"], ["Approved", "Failed"]], ids=["approved", "Failed comes after Approved"]
)
def test_success(fleet: Fleet, api: Api, certificate: bytes, conditions: list[str]) -> None:
    """Approved and a certificate are a success; what follows Approved in the list is not read."""
    name = _submitted(fleet, api, certificate, *conditions)
    assert client.wait(fleet.apis[0], name, deadline=time.monotonic() + PATIENCE) == certificate


@pytest.mark.parametrize("conditions", [["Denied"], ["Failed"], ["Failed", "Approved"]])
def test_refusal_beside_a_certificate_is_an_error(
    fleet: Fleet, api: Api, certificate: bytes, conditions: list[str]
) -> None:
    """Denied or Failed, before any Approved, end the client where there is a certificate as well."""
    name = _submitted(fleet, api, certificate, *conditions)
    with pytest.raises(ClientError, match=conditions[0]):
        client.wait(fleet.apis[0], name, deadline=time.monotonic() + PATIENCE)


@pytest.mark.parametrize(
    ("conditions", "with_certificate"),
    [(["Denied"], False), (["Failed"], False), (["Approved"], False), ([], True)],
    ids=["denied", "failed", "approved only", "certificate only"],
)
def test_not_noticed(
    fleet: Fleet, api: Api, certificate: bytes, conditions: list[str], *, with_certificate: bool
) -> None:
    """A denial without a certificate, or half of a success, is waited out like silence until the budget ends."""
    name = _submitted(fleet, api, certificate if with_certificate else b"", *conditions)
    with pytest.raises(ClientError, match="timeout expired"):
        client.wait(fleet.apis[0], name, deadline=time.monotonic() + 0.5)


def test_the_client_recognizes_its_csr_only_by_name(fleet: Fleet, api: Api, certificate: bytes) -> None:
    """It accepts a certificate under the right name, even of another pod's CSR."""
    name = fleet.environment(0).request_name
    foreign = client.csr_object(fleet.environment(0), _request(fleet))
    foreign["spec"]["signerName"] = "example.com/somebody-else"
    api.post(CSRS, foreign)
    set_conditions(api, name, "Approved")
    set_certificate(api, name, certificate)
    assert client.wait(fleet.apis[0], name, deadline=time.monotonic() + PATIENCE) == certificate


def test_closed_watch_passes_for_success(fleet: Fleet, api: Api) -> None:
    """When the API server ends the watch first, the client ends well and has no certificate."""
    fleet.submit()
    # The API server counts whole seconds; this clock stands still, so that the deadline is never reached.
    assert client.wait(fleet.apis[0], fleet.environment(0).request_name, deadline=0.9, clock=lambda: 0.0) is None


def _request(fleet: Fleet) -> bytes:
    environment = fleet.environment(0)
    key = generate(environment.key_algorithm)
    return pem(certification_request(environment.content, key, environment.signature_algorithm))


def _submitted(fleet: Fleet, api: Api, certificate: bytes, *conditions: str) -> str:
    name = str(
        client.submit(fleet.apis[0], client.csr_object(fleet.environment(0), _request(fleet)))["metadata"]["name"]
    )
    set_conditions(api, name, *conditions)
    if certificate:
        set_certificate(api, name, certificate)
    return name
