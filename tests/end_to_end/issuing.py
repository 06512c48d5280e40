"""A deployment whose KMS runs in this process: functions, CAs and clients of it, and what their records add up to."""

import base64
import contextlib
import copy
import hashlib
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import urllib3
from cryptography import x509

from sandbox import control_plane
from sandbox.api import Api, csr_path
from sandbox.calico.components import components
from sandbox.calico.fleet import Fleet, Submission, managements, plan
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.calico.world import World
from sandbox.deployment import Deployment
from sandbox.documents import SOURCE
from sandbox.function_runtime import FunctionRuntime
from sandbox.kms import Fault
from sandbox.manifests import FUNCTION_USER
from tests.end_to_end.conftest import KEYS, PATIENCE, audit_records, eventually
from tests.end_to_end.events import event
from tests.unit.signerctl.stage import Stage, verified

SIGN: Final = "AsymmetricSign"
Document = dict[str, Any]
Record = dict[str, Any]


class Issuing:
    """The deployment as the stories use it.

    Attributes:
        deployment: what runs; its function is one of several.
        stage: KMS, and an administrator's client of it.
        observer: sees how every CSR ends.
        keys: for all fleets.
    """

    def __init__(self, deployment: Deployment, stage: Stage, keys: KeyPool, observer: Observer) -> None:
        self.deployment = deployment
        self.stage = stage
        self.observer = observer
        self.keys = keys
        self._logs = [deployment.log("function")]
        self._fleets = 0

    @property
    def document(self) -> Document:
        """The function's configuration document as it is now; a copy."""
        found: Document = json.loads(self._path.read_text(encoding="utf-8"))
        return found

    def redeploy(self, document: Document) -> None:
        """Starts the function anew with another document, once nobody waits for an answer of it."""
        self._path.write_text(json.dumps(document), encoding="utf-8")
        self.deployment.function.kill()
        self.deployment.function.start()

    @property
    def _path(self) -> Path:
        return self.deployment.directory / "function.json"

    @contextlib.contextmanager
    def functions(self, **documents: Document) -> Iterator[list[FunctionRuntime]]:
        """Further processes of the function, each by its name and with a document of its own."""
        runtimes = [self._function(name, document) for name, document in documents.items()]
        try:
            with ThreadPoolExecutor() as executor:
                list(executor.map(FunctionRuntime.start, runtimes))
            yield runtimes
        finally:
            for runtime in runtimes:
                runtime.kill()

    def _function(self, name: str, document: Document) -> FunctionRuntime:
        path, log = (self.deployment.directory / f"{name}.{kind}" for kind in ("json", "log"))
        path.write_text(json.dumps(document), encoding="utf-8")
        self._logs.append(log)
        return FunctionRuntime(path, log)

    def authority(self, name: str, algorithm: str = "EC_SIGN_P256_SHA256", **options: Any) -> dict[str, str]:
        """A CA with a new key, made with signerctl and its options; gives the document's `issuer`."""
        key = self.stage.key(algorithm, len(self.stage.keys))
        out = self.deployment.directory / f"{name}.pem"
        more = [text for option, value in options.items() for text in (f"--{option.replace('_', '-')}", str(value))]
        self.stage.create(out, *more, key=key, name=name)
        issuer = {"key_version": key, "certificate": out.name, "trust_bundle": out.name}
        return issuer | {option: value for option, value in options.items() if option == "signature_hash"}

    def bundle(self, issuer: Mapping[str, str]) -> Path:
        """The file with what relying parties of an issuer trust."""
        return self.deployment.directory / issuer["trust_bundle"]

    def fleet(self, count: int, *, signer_name: str = "", published: bytes = b"") -> Fleet:
        """Calico's pods with tokens and prepared requests; `submit` files them, `run_clients` waits for them too.

        Args:
            count: how many.
            signer_name: whom they ask; the first signer by default.
            published: caCert, which they get as a file.
        """
        self._fleets += 1
        wanted = managements(signer_name or self.deployment.signer.signer_name, published, KEYS)
        rows = components(self.deployment.settings.release)
        prefix = f"fleet{self._fleets}"
        members = plan(count, components=rows, managements=wanted, seed=self._fleets, prefix=prefix)
        fleet = Fleet(self.deployment.world, members, keys=self.keys)
        fleet.enter()
        fleet.prepare()
        return fleet

    @contextlib.contextmanager
    def without_exporter(self) -> Iterator[None]:
        """Only the test sends events; whatever is left is found by the exporter's list afterwards."""
        self.deployment.kill_exporter()
        try:
            yield
        finally:
            self.deployment.start_exporter()

    @contextlib.contextmanager
    def key_hangs(self) -> Iterator[Callable[[int], None]]:
        """No signature is given for what is asked inside; what it gives waits until so many are asked for."""
        faults = self.stage.server.faults
        faults.add(Fault(method=SIGN, hang=True, times=0))
        try:
            yield lambda calls: faults.wait_until_hanging(calls, PATIENCE)
        finally:
            faults.clear()
            faults.release()

    def issued(self, submissions: Sequence[Submission]) -> list[bytes]:
        """Certificates, PEM with intermediates; fails where a CSR does not end as Approved,Issued."""
        assert self.observer.wait([submission.uid for submission in submissions], PATIENCE)
        # The certificate is in the CSR before its record is in the log.
        eventually(lambda: all(self.records(submission.uid, "issued") for submission in submissions))
        seen = self.observer.observations()
        assert {seen[submission.uid].state for submission in submissions} == {"Approved,Issued"}
        return [seen[submission.uid].certificate for submission in submissions]

    def records(self, uid: str, *events: str) -> list[Record]:
        """What all functions recorded of one CSR, of these kinds or all, each process's in its order."""
        found = [record for log in self._logs for record in audit_records(log)]
        return [each for each in found if each["csr_uid"] == uid and (not events or each["event"] in events)]

    def calls(self, uid: str, *, used: bool = False) -> Counter[str]:
        """How often KMS was asked for a signature of each TBSCertificate of one CSR, or gave one, by its hash."""
        records = [record for record in self.stage.server.audit.records(SIGN) if record.key_used or not used]
        reasons = [record.reason.partition(";tbs-sha256=") for record in records]
        return Counter(tbs for who, _, tbs in reasons if who == f"csr-uid={uid}")

    def assert_accounted_for(self, uid: str) -> None:
        """Each use of the key has an intent, each intent one outcome, and they say how often KMS was asked."""
        intents = Counter(record["tbs_sha256"] for record in self.records(uid, "intent"))
        outcomes = self.records(uid, "issued", "abandoned")
        assert Counter(record["tbs_sha256"] for record in outcomes) == intents
        recorded: Counter[str] = Counter()
        for record in outcomes:
            recorded[record["tbs_sha256"]] += record["kms_attempts"]
        assert self.calls(uid) == recorded


def with_issuer(document: Document, issuer: Mapping[str, str], *, number: int = 0) -> Document:
    """A document whose signer of that number has another issuer."""
    changed = copy.deepcopy(document)
    changed["signers"][number]["issuer"] = dict(issuer)
    return changed


def send(url: str, submission: Submission, source: str = SOURCE) -> int:
    """Sends a CSR's event; returns the answer's status."""
    body = json.dumps(json.loads(event(submission)) | {"source": source})
    headers = {"Content-Type": "application/cloudevents+json"}
    return urllib3.request("POST", url, body=body, headers=headers, timeout=PATIENCE, retries=False).status


def accepts(trusted: Path, certificate: bytes, folder: Path) -> bool:
    """Whether openssl verifies a certificate with its intermediates, as server's and as client's."""
    shown = folder / "shown.pem"
    shown.write_bytes(certificate)
    return not verified(shown, trusted, shown)


def tbs_sha256(certificate: bytes) -> str:
    """SHA-256 of the TBSCertificate, hexadecimal."""
    return hashlib.sha256(x509.load_pem_x509_certificate(certificate).tbs_certificate_bytes).hexdigest()


def issuer_of(certificate: bytes) -> str:
    """The issuer's name as a text."""
    return x509.load_pem_x509_certificate(certificate).issuer.rfc4514_string()


@contextlib.contextmanager
def frozen(function: FunctionRuntime) -> Iterator[None]:
    """The process does nothing, as an instance whose CPU the platform takes away between requests."""
    assert function.pid is not None
    os.killpg(function.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(function.pid, signal.SIGCONT)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondCluster:
    """Another cluster, on the API double, for which no exporter runs.

    Attributes:
        world: its objects.
        kubeconfig: the function's.
    """

    name: ClassVar[str] = "second"
    source: ClassVar[str] = f"{SOURCE}-2"
    world: World
    kubeconfig: Path

    def added_to(self, document: Document, issuer: Mapping[str, str]) -> Document:
        """The document with this cluster and the first signer's signerName in it, under another issuer."""
        signer = {**document["signers"][0], "cluster": self.name, "issuer": dict(issuer)}
        cluster = {"source": self.source, "authentication": {"kubeconfig": str(self.kubeconfig)}}
        clusters = {**document["clusters"], self.name: cluster}
        return {**document, "clusters": clusters, "signers": [*document["signers"], signer]}

    def certificate(self, submission: Submission) -> bytes:
        """What a CSR has in its status."""
        return base64.b64decode(self.world.api.get(csr_path(submission.name))["status"]["certificate"])


@contextlib.contextmanager
def second_cluster(directory: Path) -> Iterator[SecondCluster]:
    """It runs while something is done."""
    with (
        control_plane.start("embedded", directory / SecondCluster.name) as plane,
        Api.from_kubeconfig(plane.kubeconfig) as api,
        World(api) as world,
    ):
        world.create(components("3.31"))
        yield SecondCluster(world=world, kubeconfig=plane.kubeconfig_for(FUNCTION_USER))
