"""An operator who follows docs/rotation.md: at every step, each pod accepts every other pod's certificate."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID

from sandbox.kms import KmsServer, connect, create_signing_key
from tests.unit.signerctl.authorities import Corporate
from tests.unit.signerctl.runbook import LOCATION, WORKLOADS, Operator, SplitError, sections
from tests.unit.signerctl.stage import Stage

NEXT_VERSION = (
    "gcloud kms keys versions create"
    " --project example-keys --location europe-west1 --keyring csr-signer --key prod-calico"
)
NO_VIOLATIONS = "errors: 0, warnings: 0"


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    """An operator with two new keys in KMS, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with KmsServer(instant=True) as server, connect(server.endpoint) as client:
        for key in ("prod-calico", "prod-calico-root"):
            create_signing_key(client, location=LOCATION, key=key)
        follower = Operator(stage=Stage(server=server, client=client), folder=tmp_path)
        follower.follow("The issuing CA")
        yield follower


def start(operator: Operator) -> bytes:
    """Starts a cluster with its own root, and returns a certificate."""
    assert NO_VIOLATIONS in operator.follow("Making a root of your own")[-1]
    for workload in WORKLOADS:
        operator.restart(workload)
    return operator.issue()


def test_a_rotation_never_splits_the_cluster(operator: Operator) -> None:
    """After each step and after each pod's restart, every pod accepts every other pod's certificate."""
    before = start(operator)
    assert operator.refusals(before, operator.published()) == []

    said = operator.follow("1. Prepare the new key version and its CA")
    assert "enabled" in said[-1]
    assert '"CN=Calico CA 2027"' in said[-1]
    assert operator.failed_handshakes() == []

    said = operator.follow("2. Trust both")
    assert NO_VIOLATIONS in said[-1]
    published_both = operator.published()
    assert [name_of(each) for each in parsed(published_both)] == ["Calico CA 2026", "Calico CA 2027"]
    waiting = operator.issue()
    assert operator.refusals(waiting, published_both) == []
    assert operator.failed_handshakes() == []

    operator.follow("3. Wait until every pod trusts both")
    assert {pod.trusts for pod in operator.pods.values()} == {published_both}

    said = operator.follow("4. Switch the function")
    assert "errors: 0, warnings: 1" in said[-1]
    assert '"CN=Calico CA 2026" is first' in said[-1]
    switched = operator.issue()
    assert [operator.refusals(each, published_both) for each in (before, waiting, switched)] == [[], [], []]
    operator.restart(WORKLOADS[1])  # a pod may restart at any time; the other pod still has its old certificate
    assert operator.failed_handshakes() == []

    said = operator.follow("5. Roll, so that every certificate is the new CA's")
    assert NO_VIOLATIONS in said[-1]
    assert [name_of(each) for each in parsed(operator.published())] == ["Calico CA 2027", "Calico CA 2026"]
    rolled = operator.issue()
    assert [operator.refusals(each, operator.published()) for each in (before, switched, rolled)] == [[], [], []]

    said = operator.follow("6. Drop the old CA")
    assert NO_VIOLATIONS in said[-1]
    after = operator.issue()
    assert [operator.refusals(each, operator.published()) for each in (switched, rolled, after)] == [[], [], []]
    assert operator.refusals(before, operator.published())  # no pod trusts the old CA any more

    said = operator.follow("7. Disable the old key version")
    assert "cannot read the public key" in said[-1]
    operator.restart(WORKLOADS[0])
    assert operator.failed_handshakes() == []


def test_a_switch_before_peers_trust_the_new_ca_splits_the_cluster(operator: Operator) -> None:
    """Without step 3, a pod trusts only the old CA, and refuses certificates of the new one."""
    start(operator)
    operator.follow("1. Prepare the new key version and its CA")
    operator.follow("2. Trust both")
    operator.follow("4. Switch the function")
    with pytest.raises(SplitError, match="daemonset/calico-node refuses deployment/calico-typha"):
        operator.restart("deployment/calico-typha")


def test_dropping_the_old_ca_too_early_splits_the_cluster(operator: Operator) -> None:
    """Without step 5, a pod still has a certificate of the old CA when another pod stops trusting it."""
    start(operator)
    for title in (
        "1. Prepare the new key version and its CA",
        "2. Trust both",
        "3. Wait until every pod trusts both",
        "4. Switch the function",
    ):
        operator.follow(title)
    with pytest.raises(SplitError, match="daemonset/calico-node refuses deployment/calico-typha"):
        operator.follow("6. Drop the old CA")


def test_cross_certificates_rotate_issuing_cas_below_one_root(operator: Operator) -> None:
    """Certificates of both CAs always verify, and caCert never changes."""
    title = "A root above issuing CAs"
    operator.follow(title, only=0)
    operator.run("kubectl patch installation default --type merge --patch-file installation-root.yaml")
    operator.follow(title, only=1)
    operator.follow(title, only=2)
    published = operator.published()
    for workload in WORKLOADS:
        operator.restart(workload)
    before = operator.issue()
    assert len(parsed(before)) == 2

    operator.run(NEXT_VERSION)
    next_one = {"$KEY/cryptoKeyVersions/1": "$KEY/cryptoKeyVersions/2", "2026": "2027"}
    operator.follow(title, only=1, change=next_one)
    operator.follow(title, only=2, change={"calico/cryptoKeyVersions/1": "calico/cryptoKeyVersions/2", "2026": "2027"})
    said = operator.run(
        "kubectl get installation default -o yaml |"
        " signerctl ca verify --configuration configuration.yaml --installation -"
    )
    assert NO_VIOLATIONS in said
    after = operator.issue()
    assert [name_of(each) for each in parsed(after)][1:] == ["Calico CA 2027"]
    for workload in WORKLOADS:
        operator.restart(workload)
    assert operator.published() == published
    assert [operator.refusals(each, published) for each in (before, after)] == [[], []]


def test_issuing_cas_rotate_below_a_corporate_root(operator: Operator, corporate: Corporate) -> None:
    """The operator requests and imports twice; caCert holds the corporate root before and after."""
    title = "Below a corporate CA"

    def answered(change: dict[str, str], number: int) -> bytes:
        operator.follow(title, only=0, change=change)
        (request,) = operator.folder.glob(f"calico-{2025 + number}.csr")
        found = [corporate.intermediate, corporate.answer(request)]
        (operator.folder / "answer.p7b").write_bytes(pkcs7.serialize_certificates(found, Encoding.PEM))
        (operator.folder / "corporate-root.pem").write_bytes(corporate.root.public_bytes(Encoding.DER))
        operator.follow(title, only=1, change=change | {"--out-trust-bundle": "--force --out-trust-bundle"})
        operator.run("kubectl patch installation default --type merge --patch-file installation.yaml")
        _, (_, text), *_ = sections()["Making a root of your own"]
        issuer = yaml.safe_load(text.replace("Versions/1", f"Versions/{number}").replace("2026", f"{2025 + number}"))
        operator.configure(issuer)
        return operator.issue()

    first = answered({}, 1)
    published = operator.published()
    operator.run(NEXT_VERSION)
    second = answered({"cryptoKeyVersions/1": "cryptoKeyVersions/2", "2026": "2027"}, 2)
    assert operator.published() == published == corporate.root.public_bytes(Encoding.PEM)
    assert [len(parsed(each)) for each in (first, second)] == [3, 3]
    assert [operator.refusals(each, published) for each in (first, second)] == [[], []]


def parsed(pem: bytes) -> list[x509.Certificate]:
    """Parses the certificates of a PEM text."""
    return x509.load_pem_x509_certificates(pem)


def name_of(certificate: x509.Certificate) -> str:
    """Returns the subject's common name."""
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
