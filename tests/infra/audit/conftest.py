"""One run of the sandbox in which everything happens that a filter looks for, and the lines that it left behind."""

import contextlib
import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import urllib3

from csr_exporter.log import Log
from csr_exporter.metrics import Metrics
from sandbox.api import csr_path
from sandbox.calico.fleet import Submission
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.calico.stories import STORIES
from sandbox.deployment import Deployment, Settings, UserProfile
from sandbox.documents import SOURCE
from sandbox.kms import AuditRecord, Fault, KmsServer, connect, data_access_entry
from signerctl.interface import progress
from tests.end_to_end.conftest import PATIENCE
from tests.end_to_end.issuing import SIGN, Issuing, with_issuer
from tests.end_to_end.judged import Judged, certifying_profile
from tests.infra.audit import entries
from tests.infra.audit.entries import Entry
from tests.unit.signerctl.answers import answering
from tests.unit.signerctl.stage import Stage, signerctl

RELEASE = "3.31"
ADDRESSES = "csr-signer.example.com/addresses"
SPAN = "00f067aa0ba902b7"
STRANGER = "mallory@example.com"
UNKNOWN = "csr-uid=00000000-0000-4000-8000-000000000000;tbs-sha256=" + "0" * 64
UNDELIVERED = (0.0, 30.0, 75.0)
"""Ages that an exporter's signs of life report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What happened, and what was written of it.

    Attributes:
        issued: CSRs that got their certificate at once.
        attacks: uids of the CSRs of attackers.
        deferred: uids of CSRs whose pod's address was not visible.
        foreign: uid of a CSR in which another's certificate was put.
        failed: uid of the CSR for which Cloud KMS did not answer.
        records: the function's lines, as they are.
        administration: lines of signerctl, as they are.
        signatures: Cloud KMS's entries of signatures.
        rogue: those among them that nobody recorded, by what is wrong with each.
        entries: all entries of all projects.
    """

    issued: list[str]
    attacks: list[str]
    deferred: list[str]
    foreign: str
    failed: str
    records: list[str]
    administration: list[str]
    signatures: list[Entry]
    rogue: dict[str, Entry]
    entries: list[Entry] = field(repr=False)


class _Unwatched(Deployment):
    """Without an exporter: events are sent one by one here, so that it is known what each must leave behind."""

    def start_exporter(self) -> None:
        """Nothing is started."""


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The run; it takes a few seconds."""
    folder = tmp_path_factory.mktemp("audit")
    profile = certifying_profile(folder / "addresses.yaml", RELEASE)
    with (
        pytest.MonkeyPatch.context() as patch,
        KmsServer(instant=True) as server,
        connect(server.endpoint) as client,
        KeyPool() as keys,
    ):
        patch.setenv("GOOGLE_CLOUD_PROJECT", entries.FUNCTION_PROJECT)  # as Terraform sets it
        settings = Settings(
            directory=tmp_path_factory.mktemp("deployment"),
            kms=server.endpoint,
            release=RELEASE,
            profiles={ADDRESSES: UserProfile(file=profile, release=RELEASE, nodes=True)},
            front_door=False,
        )
        with _Unwatched(settings) as deployment, Observer(deployment.api) as observer:
            stage = Stage(server=server, client=client)
            yield _Staging(Judged(deployment, keys, observer), Issuing(deployment, stage, keys, observer)).run()
            deployment.function.kill()


class _Staging:
    """Makes everything happen, in this order."""

    def __init__(self, judged: Judged, issuing: Issuing) -> None:
        self._judged = judged
        self._issuing = issuing
        self._deployment = issuing.deployment
        self._server = issuing.stage.server

    def run(self) -> Run:
        """What is left of it."""
        made = len(self._server.audit.records(SIGN))  # so far only by the CA's administrator
        honest, unlucky, victim = (self._judged.fleet(count) for count in (4, 1, 1))
        issued = [submission.uid for submission in honest.submit()]
        assert {self._send(each) for each in honest.submissions} == {200}
        assert self._send(honest.submissions[0]) == 200  # a duplicate: ignored
        self._garbage()
        attacks = self._attacks()
        late = self._judged.fleet(2, ADDRESSES)
        self._judged.hide(late)
        assert {self._send(each) for each in late.submit()} == {425}
        (failed,) = unlucky.submit()
        self._server.faults.add(Fault(method=SIGN, status="PERMISSION_DENIED"))
        assert self._send(failed) >= 500
        (foreign,) = victim.submit()
        self._put_certificate(foreign, honest.submissions[0])
        assert self._send(foreign) == 200
        self._ending_authority()
        assert self._send(late.submissions[0]) == 425  # the first event that this process serves
        known = self._server.audit.records(SIGN)
        signatures = [data_access_entry(each, entries.ADMINISTRATOR) for each in known[:made]]
        for each in known[made:]:
            ours = each.reason.startswith("csr-uid=")
            signatures.append(data_access_entry(each, entries.FUNCTION if ours else entries.ADMINISTRATOR))
        rogue = self._rogue_signatures(str(self._issuing.document["signers"][0]["issuer"]["key_version"]))
        records = self._lines("function")
        return Run(
            issued=issued,
            attacks=attacks,
            deferred=[each.uid for each in late.submissions],
            foreign=foreign.uid,
            failed=failed.uid,
            records=records,
            administration=[line for line in self._lines("signerctl") if line.startswith("{")],
            signatures=[*signatures, *rogue.values()],
            rogue=rogue,
            entries=[
                *entries.of_function(records),
                *entries.of_exporter(_exporter_lines()),
                *entries.of_cron_job("renewal.yaml", _renewal_lines()),
                *entries.of_cron_job("key-pairs.yaml", _key_pairs_lines(self._deployment.directory)),
                *signatures,
                *rogue.values(),
                entries.of_administration("cloudkms.googleapis.com", "DestroyCryptoKeyVersion"),
                entries.of_administration("cloudresourcemanager.googleapis.com", "SetIamPolicy"),
            ],
        )

    def _send(self, submission: Submission) -> int:
        return self._send_event(submission.name, submission.uid)

    def _send_event(self, name: str, uid: str) -> int:
        """Sends a CSR's event; returns the answer's status."""
        event = {
            "specversion": "1.0",
            "type": "dev.csrsigner.certificatesigningrequest.actionable.v1",
            "source": SOURCE,
            "subject": name,
            "id": f"{uid}/pending",
            "datacontenttype": "application/json",
            "data": {"name": name, "uid": uid},
        }
        headers = {
            "Content-Type": "application/cloudevents+json",
            "traceparent": f"00-{uid.replace('-', '')}-{SPAN}-01",
        }
        url = self._deployment.function.url
        answer = urllib3.request("POST", url, json=event, headers=headers, timeout=PATIENCE, retries=False)
        return answer.status

    def _lines(self, part: str) -> list[str]:
        return self._deployment.log(part).read_text(encoding="utf-8", errors="replace").splitlines()

    def _garbage(self) -> None:
        sent = urllib3.request("POST", self._deployment.function.url, body=b"{}", timeout=PATIENCE, retries=False)
        assert sent.status == 400

    def _attacks(self) -> list[str]:
        filed = [each for each in self._judged.file(self._judged.attackers(*STORIES)) if each.uid]
        for each in filed:
            assert self._send_event(each.attacker.csr["metadata"]["name"], each.uid) == 200
        return [each.uid for each in filed]

    def _put_certificate(self, into: Submission, of: Submission) -> None:
        """Approves a CSR and puts another's certificate into it, as only somebody with too many rights can."""
        api = self._deployment.api
        condition = {"type": "Approved", "status": "True", "reason": "Meddling", "message": "by an administrator"}
        approved = api.get(csr_path(into.name)) | {"status": {"conditions": [condition]}}
        approved = api.put(csr_path(into.name, "approval"), approved)
        approved["status"]["certificate"] = api.get(csr_path(of.name))["status"]["certificate"]
        api.put(csr_path(into.name, "status"), approved)

    def _ending_authority(self) -> None:
        """The function is deployed again with a CA that expires soon, and with a release after the profile's newest."""
        key = self._issuing.stage.key("EC_SIGN_P256_SHA256", len(self._issuing.stage.keys) + 7)
        path = self._deployment.directory / "ending.pem"
        log = self._deployment.log("signerctl")
        self._issuing.stage.create(path, "--days", "20", "--audit-log", log, key=key, name="Ending")
        ending = {"key_version": key, "certificate": path.name, "trust_bundle": path.name}
        document = with_issuer(self._issuing.document, ending)
        document["signers"][0]["profile"] = {"name": "calico", "release": "3.99"}
        self._issuing.redeploy(document)

    def _rogue_signatures(self, key_version: str) -> dict[str, Entry]:
        """Signatures past everything, made with the real client library: whoever holds the right can."""
        asked = (
            ("by a stranger", STRANGER, UNKNOWN),
            ("by nobody", "", ""),
            ("as the function, without a reason", entries.FUNCTION, ""),
            ("as the function, for no CSR", entries.FUNCTION, "csr-uid=;tbs-sha256="),
            ("as the function, with a reason that nobody recorded", entries.FUNCTION, UNKNOWN),
        )
        return {name: data_access_entry(self._sign(key_version, reason), who) for name, who, reason in asked}

    def _sign(self, key_version: str, reason: str) -> AuditRecord:
        digest = hashlib.sha256(reason.encode()).digest()
        metadata = (("x-goog-request-reason", reason),) if reason else ()
        self._issuing.stage.client.asymmetric_sign(
            request={"name": key_version, "digest": {"sha256": digest}}, metadata=metadata
        )
        return self._server.audit.records(SIGN)[-1]


def _renewal_lines() -> list[str]:
    """The lines of a run that renewed a pod, and stopped at the next one."""
    with contextlib.redirect_stdout(io.StringIO()) as lines:
        progress.to_log("pod_renewed", "calico-system/calico-node-b: Ready", {"pod": "calico-system/calico-node-b"})
        progress.to_log(progress.STOPPED, "calico-system/calico-node-c: not evicted", {})
    return lines.getvalue().splitlines()


def _key_pairs_lines(folder: Path) -> list[str]:
    """The lines of a run that provided a key pair, and of a run that failed: its cluster has no Installation."""
    with contextlib.redirect_stdout(io.StringIO()) as lines:
        progress.to_log("key_pair_provided", "Secret tigera-operator/goldmane-key-pair", {"component": "goldmane"})
    with answering() as api:
        api.kubeconfig(folder)
        command = ("key-pairs", "--kubeconfig", folder / "answers.kubeconfig", "--log-format", "json")
        failed = signerctl(*command, "--signer", "csr-signer.example.com/calico", "--release", RELEASE)
    return [*lines.getvalue().splitlines(), *failed.stdout.splitlines()]


def _exporter_lines() -> list[str]:
    """The exporter's own lines: its status once a minute, the first one before it is ready, and another line."""
    reading, writing = os.pipe()
    log, metrics = Log(writing), Metrics()
    metrics.log_status(log, ["reflector 0: no list yet"])
    log.warning("not delivered", uid="00000000-0000-4000-8000-000000000000", oldest_undelivered_seconds=99.0)
    for age in UNDELIVERED:
        metrics.oldest_undelivered.set(age)
        metrics.log_status(log, [])
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as lines:
        return lines.read().splitlines()
