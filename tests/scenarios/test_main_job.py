"""The main job: Calico's pods get their certificates, attackers get a reason."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sandbox.calico import attackers
from sandbox.calico.fleet import Fleet
from sandbox.calico.keys import subject_public_key_info
from sandbox.calico.observer import Observer
from sandbox.calico.stories import STORIES
from sandbox.deployment import Deployment
from sandbox.kms import KmsControl
from tests.scenarios.conftest import PATIENCE, audit_records, eventually


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


def test_attackers_are_refused_with_every_reason(deployment: Deployment, observer: Observer) -> None:
    """Each attack ends Denied or Failed, its codes in the condition; none gets a certificate."""
    filed = [
        attackers.file(deployment.world, attacker)
        for attacker in attackers.prepare(
            deployment.world, deployment.signer.signer_name, release=deployment.signer.release
        )
    ]
    let_in = {attack.uid: attack.attacker.story for attack in filed if attack.uid}
    assert observer.wait(let_in, PATIENCE)
    seen = observer.observations()
    for uid, story in let_in.items():
        assert seen[uid].refused, story.name
        assert not seen[uid].certificate, story.name
        assert [code for code in story.expected_codes if code not in seen[uid].message] == [], story.name


def test_another_service_account_is_denied_with_every_violation_named(
    deployment: Deployment, observer: Observer
) -> None:
    """A pod of another account that asks for node's names learns all that is wrong, and so does its operator."""
    story = next(story for story in STORIES if story.name == "wrong component")
    (attacker,) = attackers.prepare(
        deployment.world,
        deployment.signer.signer_name,
        release=deployment.signer.release,
        stories=[story],
        seed=7,
        prefix="other-account",
    )
    filed = attackers.file(deployment.world, attacker)
    assert observer.wait([filed.uid], PATIENCE)
    seen = observer.observations()[filed.uid]
    assert seen.conditions == ("Denied",)
    for code in ("subject.common_name", "san.dns.not_allowed", "san.dns.missing"):
        assert code in seen.message

    def reasons() -> list[str]:
        events = deployment.api.get(f"/api/v1/namespaces/{attacker.pod.namespace}/events")["items"]
        return [event["reason"] for event in events if event["involvedObject"]["uid"] == attacker.pod.uid]

    eventually(lambda: reasons() == [seen.reason])  # the Event follows the denial
