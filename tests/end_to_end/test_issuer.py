"""The issuer in a whole deployment: one TBSCertificate, one certificate, by the key that was meant, at every moment."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import SignatureAlgorithmOID

from csr_signer.policy.profile import SHIPPED
from sandbox.api import csr_path
from sandbox.calico.fleet import Fleet, Submission
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.deployment import Settings, UserProfile
from sandbox.documents import CLUSTER, SOURCE
from sandbox.function_runtime import FunctionError
from sandbox.kms import Fault, KmsServer, connect, create_signing_key
from sandbox.manifests import SIGNER_NAME
from tests.end_to_end.conftest import eventually, started
from tests.end_to_end.issuing import (
    SIGN,
    Issuing,
    accepts,
    frozen,
    issuer_of,
    second_cluster,
    send,
    tbs_sha256,
    with_issuer,
)
from tests.end_to_end.rotation import ClusterOperator
from tests.unit.signerctl.runbook import LOCATION, WORKLOADS, sections
from tests.unit.signerctl.stage import Stage

RAW = f"{SIGNER_NAME}-rsa"
DUPLICATES = 200
PROCESSES = 3
STEPS = [title for title in sections() if re.match(r"[1-9]\. ", title)]


@pytest.fixture(scope="module")
def issuing(tmp_path_factory: pytest.TempPathFactory, keys: KeyPool) -> Iterator[Issuing]:
    """A deployment with two signerNames of Calico's profile, whose KMS is in this process."""
    with KmsServer(instant=True) as server, connect(server.endpoint) as client:
        settings = Settings(
            directory=tmp_path_factory.mktemp("issuing"),
            kms=server.endpoint,
            signer_name=SIGNER_NAME,
            profiles={RAW: UserProfile(file=SHIPPED / "calico.yaml", release="3.31")},
            front_door=False,
        )
        with started(settings) as deployment, Observer(deployment.api) as observer:
            yield Issuing(deployment, Stage(server=server, client=client), keys, observer)
            deployment.function.kill()  # nobody waits for it, nor for it to stop


@pytest.fixture(autouse=True)
def _healed(issuing: Issuing) -> Iterator[None]:
    """No fault of one story is left to the next."""
    yield
    issuing.stage.server.faults.clear()
    issuing.stage.server.faults.release()


def test_duplicates_race_over_several_processes(issuing: Issuing) -> None:
    """200 events of one CSR at three processes: one TBSCertificate, one certificate, every signature accounted for.

    Of the first CSR nobody gets a signature before all three have asked for one: each signs, one writes. The second
    one's events go as they come.
    """
    document = issuing.document
    with issuing.without_exporter(), issuing.functions(racing1=document, racing2=document) as further:
        urls = [function.url for function in (issuing.deployment.function, *further)] * DUPLICATES
        forced, free = issuing.fleet(2).submit()
        with ThreadPoolExecutor(DUPLICATES) as executor:
            with issuing.key_hangs() as until:
                racing = [executor.submit(send, url, forced) for url in urls[:DUPLICATES]]
                until(PROCESSES)
            answers = Counter(each.result() for each in racing)
            others = Counter(executor.map(lambda url: send(url, free), urls[:DUPLICATES]))
    for submission, answered in ((forced, answers), (free, others)):
        assert answered.total() == DUPLICATES
        assert answered.keys() <= {200, 425}
        assert_raced(issuing, submission)
    assert len(issuing.records(forced.uid, "intent")) == PROCESSES
    assert len(issuing.records(forced.uid, "abandoned")) == PROCESSES - 1


def assert_raced(issuing: Issuing, submission: Submission) -> None:
    """One TBSCertificate, one certificate; whatever else the key made is an intent that came to nothing, and why."""
    (certificate,) = issuing.issued([submission])
    (issued,) = issuing.records(submission.uid, "issued")
    assert {each["tbs_sha256"] for each in issuing.records(submission.uid, "intent")} == {issued["tbs_sha256"]}
    assert tbs_sha256(certificate) == issued["tbs_sha256"]
    assert {each["fault"] for each in issuing.records(submission.uid, "abandoned")} <= {"ConflictError"}
    assert issuing.calls(submission.uid, used=True).total() <= PROCESSES
    issuing.assert_accounted_for(submission.uid)


def test_a_new_configuration_overtakes_an_instance_that_is_held_up(issuing: Issuing) -> None:
    """A frozen instance had its intent; another one issues by the new configuration, and the first comes to nothing."""
    shorter = issuing.document
    shorter["signers"][0]["lifetime"] = "30d"
    with issuing.functions(shorter=shorter) as (newer,), contextlib.ExitStack() as stack:
        with issuing.key_hangs() as until:
            (submission,) = issuing.fleet(1).submit()
            until(1)
            stack.enter_context(frozen(issuing.deployment.function))
        assert send(newer.url, submission) == 200
    (certificate,) = issuing.issued([submission])
    eventually(lambda: bool(issuing.records(submission.uid, "abandoned")))
    (abandoned,) = issuing.records(submission.uid, "abandoned")
    assert lifetime(certificate) == timedelta(days=30, minutes=5)
    assert abandoned["fault"] == "ConflictError"
    assert_superseded(issuing, submission, certificate)


def test_another_key_takes_over_what_the_old_one_could_not_sign(issuing: Issuing, tmp_path: Path) -> None:
    """Approved and intended under a key that KMS refuses: issued by the CA that is configured next, and only by it."""
    document = issuing.document
    old = document["signers"][0]["issuer"]
    with issuing.without_exporter():
        (submission,) = issuing.fleet(1).submit()
        issuing.stage.server.faults.add(Fault(method=SIGN, status="PERMISSION_DENIED", times=0))
        # Not 503: the cluster's other signer is in order, and nobody has to wait for this one.
        assert send(issuing.deployment.function.url, submission) == 500
        issuing.stage.server.faults.clear()
        new = issuing.authority("Taken over", "EC_SIGN_P384_SHA384")
        issuing.redeploy(with_issuer(document, new))
    (certificate,) = issuing.issued([submission])
    (issued,), (abandoned,) = (issuing.records(submission.uid, event) for event in ("issued", "abandoned"))
    assert [accepts(issuing.bundle(each), certificate, tmp_path) for each in (old, new)] == [False, True]
    assert abandoned["fault"] == "ConfigurationError"
    assert [each["key_version"] for each in (abandoned, issued)] == [old["key_version"], new["key_version"]]
    assert_superseded(issuing, submission, certificate)


def assert_superseded(issuing: Issuing, submission: Submission, certificate: bytes) -> None:
    """The outcome names the hash that was approved first; under each configuration there was one TBSCertificate."""
    (issued,), (abandoned,) = (issuing.records(submission.uid, event) for event in ("issued", "abandoned"))
    assert tbs_sha256(certificate) == issued["tbs_sha256"]
    assert issued["superseded_intent"] == abandoned["tbs_sha256"] != issued["tbs_sha256"]
    (approved,) = issuing.deployment.api.get(csr_path(submission.name))["status"]["conditions"]
    assert approved["message"].endswith(f"tbs-sha256={abandoned['tbs_sha256']}")
    intents = {(each["configuration_digest"], each["tbs_sha256"]) for each in issuing.records(submission.uid, "intent")}
    assert len(intents) == len({digest for digest, _ in intents}) == 2
    issuing.assert_accounted_for(submission.uid)


def test_two_signers_with_their_own_cas_see_nothing_of_one_another(issuing: Issuing, tmp_path: Path) -> None:
    """P-384, and raw RSA with SHA-384: each certificate, record and use of a key is its own signer's."""
    elliptic = issuing.authority("Elliptic", "EC_SIGN_P384_SHA384")
    raw = issuing.authority("Raw", "RSA_SIGN_RAW_PKCS1_2048", signature_hash="SHA384")
    issuing.redeploy(with_issuer(with_issuer(issuing.document, elliptic), raw, number=1))
    fleets = {name: issuing.fleet(3, signer_name=name) for name in (SIGNER_NAME, RAW)}
    with ThreadPoolExecutor() as executor:
        list(executor.map(Fleet.submit, fleets.values()))
    for name, own, other, algorithm in (
        (SIGNER_NAME, elliptic, raw, SignatureAlgorithmOID.ECDSA_WITH_SHA384),
        (RAW, raw, elliptic, SignatureAlgorithmOID.RSA_WITH_SHA384),
    ):
        for submission in fleets[name].submissions:
            (certificate,) = issuing.issued([submission])
            assert [accepts(issuing.bundle(each), certificate, tmp_path) for each in (own, other)] == [True, False]
            assert x509.load_pem_x509_certificate(certificate).signature_algorithm_oid == algorithm
            assert {each["signer_name"] for each in issuing.records(submission.uid)} == {name}
            assert_own_key(issuing, submission, own["key_version"])


def assert_own_key(issuing: Issuing, submission: Submission, key_version: str) -> None:
    """Only this key version was used for a CSR, as the function says and as KMS says."""
    assert {each["key_version"] for each in issuing.records(submission.uid, "intent", "issued")} == {key_version}
    calls = [each for each in issuing.stage.server.audit.records(SIGN) if f"csr-uid={submission.uid};" in each.reason]
    assert {each.resource for each in calls} == {key_version}
    issuing.assert_accounted_for(submission.uid)


def test_two_clusters_of_one_function_see_nothing_of_one_another(issuing: Issuing, tmp_path: Path) -> None:
    """Pods and CSRs of the same names in both: an event is for its own cluster alone, and each has its own CA.

    The second one's CA ends in 300 days and cuts certificates short: the process says that once, not with each request.
    """
    own = issuing.document["signers"][0]["issuer"]
    ends = issuing.authority("Ends", days=300)
    begun = datetime.now(UTC).date()
    with second_cluster(tmp_path) as second, issuing.without_exporter():
        fleet = issuing.fleet(2)
        twins = Fleet(second.world, fleet.members, keys=issuing.keys)
        twins.enter()
        ours, theirs = fleet.submit(), twins.submit()
        assert {each.name for each in ours} == {each.name for each in theirs}
        with issuing.functions(clusters=second.added_to(issuing.document, ends)) as (function,):
            crossed = [send(function.url, each, second.source) for each in ours]
            crossed += [send(function.url, each, SOURCE) for each in theirs]
            untouched = [issuing.deployment.api.get(csr_path(each.name))["status"] for each in ours]
            untouched += [second.world.api.get(csr_path(each.name))["status"] for each in theirs]
            sent = [send(function.url, each, SOURCE) for each in ours]
            sent += [send(function.url, each, second.source) for each in theirs]
        certificates = [second.certificate(each) for each in theirs]
    assert crossed == sent == [200] * 4
    assert untouched == [{}] * 4
    for submission, certificate in zip(ours, issuing.issued(ours), strict=True):
        assert [accepts(issuing.bundle(each), certificate, tmp_path) for each in (own, ends)] == [True, False]
        assert _clusters(issuing, submission) == {CLUSTER}
        assert_own_key(issuing, submission, own["key_version"])
    for submission, certificate in zip(theirs, certificates, strict=True):
        assert [accepts(issuing.bundle(each), certificate, tmp_path) for each in (own, ends)] == [False, True]
        assert _clusters(issuing, submission) == {second.name}
        assert_own_key(issuing, submission, ends["key_version"])
    expiries = [each for each in issuing.records("", "issuer_expiry") if each["cluster"] == second.name]
    assert {(each["severity"], each["key_version"]) for each in expiries} == {("ERROR", ends["key_version"])}
    assert len(expiries) in {1, 1 + (datetime.now(UTC).date() - begun).days}


def _clusters(issuing: Issuing, submission: Submission) -> set[str]:
    """Where something was done about a CSR: an event for the other cluster found no such object there."""
    return {each["cluster"] for each in issuing.records(submission.uid) if each.get("reason") != "gone"}


def test_one_key_for_two_clusters_is_refused(issuing: Issuing, tmp_path: Path) -> None:
    """Who owns one cluster could pose in the other: such a function serves nobody, and says why."""
    document = issuing.document
    with second_cluster(tmp_path) as second:
        shared = second.added_to(document, document["signers"][0]["issuer"])
        with pytest.raises(FunctionError, match="share a key version or CA"), issuing.functions(shared=shared):
            pytest.fail("it serves")


def test_a_rotation_of_a_cluster_that_works(issuing: Issuing, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/rotation.md with function and clients: nothing is refused or lost, all verifies with the caCert of its time.

    At each deployment CSRs wait for the key and others find no function; at the switch the old one may still answer
    those that it has, otherwise it is killed.
    """
    create_signing_key(issuing.stage.client, location=LOCATION, key="prod-calico")
    operator = ClusterOperator(stage=issuing.stage, folder=issuing.deployment.directory, issuing=issuing)
    monkeypatch.chdir(operator.folder)
    operator.follow("The issuing CA")
    operator.follow("Making a root of your own")
    for workload in WORKLOADS:
        operator.restart(workload)
    before = operator.issue()
    for step in STEPS:
        operator.follow(step)
        operator.issue()
    old, new = "CN=Calico CA 2026", "CN=Calico CA 2027"
    assert operator.issuers == [
        [old] * 4,  # step 2: trust both
        [old, old, new, new],  # step 4: the switch
        [new] * 4,
        [new] * 4,
    ]
    assert issuer_of(operator.issue()) == new
    assert operator.refusals(before, operator.published())
    assert len(STEPS) == 7


def lifetime(certificate: bytes) -> timedelta:
    """From notBefore to notAfter."""
    read = x509.load_pem_x509_certificate(certificate)
    return read.not_valid_after_utc - read.not_valid_before_utc
