"""The main job: Calico's pods get their certificates."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sandbox.api import NODES, Api, ApiError
from sandbox.calico.fleet import Fleet
from sandbox.calico.keys import subject_public_key_info
from sandbox.calico.observer import Observer
from sandbox.control_plane.real import RealControlPlane
from sandbox.deployment import Deployment
from sandbox.kms import KmsControl
from sandbox.kubernetes import KubernetesServer
from sandbox.manifests import FUNCTION_USER
from tests.end_to_end.conftest import PATIENCE, audit_records


@pytest.fixture(scope="module")
def issued(make_fleet: Callable[..., Fleet], observer: Observer) -> Fleet:
    """A fleet of every component and key type, all of whose CSRs have ended."""
    fleet = make_fleet(24, mixed=True)
    fleet.submit()
    assert observer.wait([submission.uid for submission in fleet.submissions], PATIENCE)
    return fleet


def test_every_component_with_every_key_type_is_approved_and_issued(issued: Fleet, observer: Observer) -> None:
    """Every honest CSR ends as kubectl's Approved,Issued."""
    states = {submission.name: observer.observations()[submission.uid].state for submission in issued.submissions}
    assert set(states.values()) == {"Approved,Issued"}
    assert {submission.member.component.workload for submission in issued.submissions} == {
        "calico-node",
        "calico-typha",
        "calico-apiserver",
    }


def test_kubectl_says_approved_issued(issued: Fleet, deployment: Deployment) -> None:
    """What an operator sees: kubectl get csr, on the real control plane."""
    kubectl = getattr(deployment.plane, "kubectl", None)
    if kubectl is None:  # the double has no discovery, so kubectl cannot talk to it: its list is read as kubectl's is
        listed = deployment.api.get("/apis/certificates.k8s.io/v1/certificatesigningrequests")["items"]
        names = {csr["metadata"]["name"] for csr in listed if csr["status"].get("certificate")}
    else:
        shown = subprocess.run(
            [str(kubectl), "--kubeconfig", str(deployment.plane.kubeconfig), "get", "csr", "--no-headers"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        names = {line.split()[0] for line in shown.splitlines() if line.split()[-1] == "Approved,Issued"}
    assert {submission.name for submission in issued.submissions} <= names


def test_every_chain_verifies_with_openssl_for_both_purposes(
    issued: Fleet, observer: Observer, deployment: Deployment, tmp_path: Path
) -> None:
    """Typha and Felix verify server and client certificates: openssl accepts each chain for both, strictly."""
    for number, submission in enumerate(issued.submissions):
        leaf = tmp_path / f"{number}.pem"
        leaf.write_bytes(observer.observations()[submission.uid].certificate)
        for purpose in ("sslserver", "sslclient"):
            command = ["openssl", "verify", "-x509_strict", "-purpose", purpose]
            done = subprocess.run(
                [*command, "-CAfile", str(deployment.certificate_authority), str(leaf)],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr


def test_each_certificate_says_what_was_asked_for_and_no_more(issued: Fleet, observer: Observer) -> None:
    """Key byte for byte, the component's names, no address, no requested subject attribute but the common name."""
    for submission in issued.submissions:
        certificate = x509.load_pem_x509_certificate(observer.observations()[submission.uid].certificate)
        component = submission.member.component
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert key == subject_public_key_info(submission.key)
        assert certificate.subject.rfc4514_string() == f"CN={component.common_name}"
        assert tuple(names.get_values_for_type(x509.DNSName)) == component.dns_names
        assert list(names.get_values_for_type(x509.IPAddress)) == []


def test_every_signature_has_its_intent_and_every_certificate_its_record(issued: Fleet, deployment: Deployment) -> None:
    """KMS's log and ours match: signatures per TBS hash are the attempts recorded, and one TBS hash per uid."""
    records = audit_records(deployment.log("function"))
    uids = {submission.uid for submission in issued.submissions}
    for uid in uids:
        mine = [record for record in records if record["csr_uid"] == uid]
        events = [record["event"] for record in mine if record["event"] != "ignored"]
        assert events == ["intent", "issued"]
        assert len({record["tbs_sha256"] for record in mine}) == 1
    with KmsControl(deployment.kms) as control:
        reasons = [record.reason for record in control.records("AsymmetricSign")]
    for record in records:
        if record["event"] == "issued" and record["csr_uid"] in uids:
            reason = f"csr-uid={record['csr_uid']};tbs-sha256={record['tbs_sha256']}"
            assert reasons.count(reason) == record["kms_attempts"]


def test_the_shipped_profile_needs_no_right_to_read_nodes(issued: Fleet, deployment: Deployment) -> None:
    """All were issued without it: where there is RBAC the function may not, and where there is none it did not."""
    if isinstance(deployment.plane, KubernetesServer):
        paths = [request.path for request in deployment.plane.requests if request.user == FUNCTION_USER]
        assert paths
        assert not [path for path in paths if path.startswith(NODES)]
        return
    assert isinstance(deployment.plane, RealControlPlane)
    node = f"{NODES}/{issued.members[0].node.name}"
    assert deployment.api.get(node)
    function = deployment.plane.kubeconfig_for(FUNCTION_USER)
    with Api.from_kubeconfig(function) as api, pytest.raises(ApiError, match="403"):
        api.get(node)
