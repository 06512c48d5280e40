"""A cluster and a function for whole exporters: the API double behind its real protocol, and a sink that signs."""

import base64
import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from csr_exporter.configuration import ApiServer, Configuration, Function, Health, Identity, Signer, UnsafeNone
from csr_exporter.csr import Stage
from csr_exporter.queue.fair_queue import RateLimit
from sandbox.api import CSRS, NAMESPACES, Api, csr_path
from sandbox.kubernetes import KubernetesServer
from sandbox.pki import Authority
from tests.unit.exporter.support import SIGNER, SOURCE, Connection, Request, ScriptedServer, answer

NAMESPACE, ACCOUNT = "kms-csr-signer", "csr-exporter"
ENOUGH = RateLimit(burst=10_000, seconds=1)
"""All CSRs are filed by one administrator, who would exceed any sane rate limit."""


def _certification_request() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()


class Cluster:
    """The API double with the exporter's service account, and what tests do to CSRs."""

    def __init__(self, directory: Path) -> None:
        """Starts it; `stop` ends it."""
        self.server = KubernetesServer(directory / "kubernetes").start()
        self.api = Api.from_kubeconfig(self.server.kubeconfig)
        self._request = _certification_request()
        self._certificate = base64.b64encode(Authority.create("test").issue("leaf").certificate_pem).decode()
        self.api.post(NAMESPACES, {"metadata": {"name": NAMESPACE}})
        self.api.post(f"{NAMESPACES}/{NAMESPACE}/serviceaccounts", {"metadata": {"name": ACCOUNT}})
        self._directory = directory
        self.token_file = self.token_for()

    def stop(self) -> None:
        """Ends it."""
        self.api.close()
        self.server.stop()

    def token_for(self, *audiences: str) -> Path:
        """A file with a token of the exporter's service account, as the kubelet projects it."""
        path = f"{NAMESPACES}/{NAMESPACE}/serviceaccounts/{ACCOUNT}/token"
        token = self.api.post(path, {"spec": {"audiences": list(audiences)}})["status"]["token"]
        file = self._directory / ("token" if not audiences else "projected-token")
        file.write_text(token)
        return file

    def requester(self, name: str) -> Api:
        """The API server as a service account of its own sees it."""
        accounts = f"{NAMESPACES}/{NAMESPACE}/serviceaccounts"
        self.api.post(accounts, {"metadata": {"name": name}})
        return self.api.with_token(self.api.post(f"{accounts}/{name}/token", {"spec": {}})["status"]["token"])

    def create(
        self, name: str, *, approved: bool = False, signer_name: str = SIGNER, requester: Api | None = None
    ) -> str:
        """Files a CSR, as the administrator unless told otherwise, and returns its uid."""
        spec = {"signerName": signer_name, "request": self._request, "usages": ["client auth"]}
        csr = (requester or self.api).post(CSRS, {"metadata": {"name": name}, "spec": spec})
        if approved:
            self.condition(name, "Approved")
        return str(csr["metadata"]["uid"])

    def condition(self, name: str, kind: str) -> None:
        """Adds a condition to a CSR."""
        csr = self.api.get(csr_path(name))
        conditions = csr.setdefault("status", {}).setdefault("conditions", [])
        conditions.append({"type": kind, "status": "True", "reason": "Test", "message": "test"})
        self.api.put(csr_path(name, "approval"), csr)

    def issue(self, name: str) -> None:
        """Approves a CSR where that is still to be done, and writes a certificate."""
        if not self.is_issued(name):
            if not self.api.get(csr_path(name)).get("status", {}).get("conditions"):
                self.condition(name, "Approved")
            csr = self.api.get(csr_path(name))
            csr["status"]["certificate"] = self._certificate
            self.api.put(csr_path(name, "status"), csr)

    def is_issued(self, name: str) -> bool:
        """Whether a CSR has a certificate."""
        return bool(self.api.get(csr_path(name)).get("status", {}).get("certificate"))

    def configuration(self, function_url: str, *stages: Stage, identity: Identity | None = None) -> Configuration:
        """An exporter's configuration for this cluster; without `identity` the function gets no token."""
        return Configuration(
            source=SOURCE,
            signers=(Signer(signer_name=SIGNER, stages=frozenset(stages or Stage)),),
            function=Function(url=function_url + "/", audience="https://function.example.com"),
            identity=identity or UnsafeNone(),
            api_server=ApiServer(
                server=self.server.server,
                certificate_authority=self.server.certificate_authority,
                token_file=self.token_file,
            ),
            health=Health(port=0),
            rate_limit=ENOUGH,
        )

    def document(self, function_url: str, *stages: Stage) -> str:
        """The same as the document that a process reads."""
        it = self.configuration(function_url, *stages)
        return json.dumps(
            {
                "source": it.source,
                "signers": [
                    {"signer_name": each.signer_name, "stages": sorted(stage.value for stage in each.stages)}
                    for each in it.signers
                ],
                "function": {"url": it.function.url, "audience": it.function.audience},
                "identity": {"kind": "unsafe_none"},
                "api_server": {
                    "server": it.api_server.server,
                    "certificate_authority": str(it.api_server.certificate_authority),
                    "token_file": str(it.api_server.token_file),
                },
                "health": {"port": 0},
                "rate_limit": {"burst": it.rate_limit.burst, "seconds": it.rate_limit.seconds},
            }
        )


class Sink:
    """A function that remembers the events and answers 200, unless `answers` says otherwise.

    `answers` gets the event and how often its id has come, this time included; None from it means 200.
    """

    def __init__(self, answers: Callable[[dict[str, Any], int, Connection], bytes | None] | None = None) -> None:
        """Starts with `with`."""
        self._answers = answers
        self._lock = threading.Lock()
        self.server = ScriptedServer(self._answer)
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()

    @property
    def ids(self) -> Counter[str]:
        """How often each id came."""
        with self._lock:
            return Counter(event["id"] for event in self.events)

    @property
    def names(self) -> Counter[str]:
        """How often each CSR was named."""
        with self._lock:
            return Counter(event["subject"] for event in self.events)

    def _answer(self, request: Request, connection: Connection) -> bytes | None:
        event = json.loads(request.body)
        with self._lock:
            self.events.append(event)
            times = sum(1 for each in self.events if each["id"] == event["id"])
        reply = answer(200, {"outcome": "issued"})
        return reply if self._answers is None else self._answers(event, times, connection) or reply
