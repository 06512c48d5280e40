"""A stage for the modules that do I/O: both doubles behind their real protocols, and Calico's pods."""

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from google.cloud.kms_v1 import KeyManagementServiceClient

from csr_signer import service
from csr_signer.audit import Audit
from csr_signer.cluster.client import KubernetesCluster
from csr_signer.cluster.session import Session, session
from csr_signer.concurrency import ConcurrencyLimiter
from csr_signer.configuration.loader import load
from csr_signer.configuration.schema import Authentication, ClusterConfiguration
from csr_signer.events.reference import RequestReference
from csr_signer.kms.client import Connection, connect
from csr_signer.kms.key import CloudKmsKey
from csr_signer.pipeline import Cluster, Pipeline
from csr_signer.policy.attestation import NODE_NAME, POD_NAME
from csr_signer.policy.profile import SHIPPED
from csr_signer.service import THREADS
from sandbox.api import Api
from sandbox.calico import components
from sandbox.calico.client import new_csr
from sandbox.calico.fleet import NODE_NETWORKS, POD_NETWORKS, Fleet, managements, plan
from sandbox.calico.keys import KeyPool
from sandbox.calico.world import World
from sandbox.kms import KmsServer
from sandbox.kms.client import connect as administer
from sandbox.kms.client import create_signing_key
from sandbox.kubernetes import KubernetesServer
from signerctl.command_line import main as signerctl
from tests.unit.function.ports import blocking
from tests.unit.function.ports.blocking import Blocking, run

CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
SIGNER_NAME = "csr-signer.example.com/calico"
SOURCE = "//container.googleapis.com/projects/example-project/locations/europe-west1/clusters/demo"
USER = "csr-access-demo@example-project.iam.gserviceaccount.com"


@pytest.fixture(scope="session", autouse=True)
def _trusts_nobody_else(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Without the system's CA certificates, which OpenSSL reads for each client: 20 ms, and none is asked for here."""
    with pytest.MonkeyPatch.context() as patch:
        empty = tmp_path_factory.mktemp("trust") / "none.pem"
        empty.touch()
        patch.setenv("SSL_CERT_FILE", str(empty))
        patch.setenv("SSL_CERT_DIR", str(empty.parent))
        yield


@pytest.fixture(scope="session", autouse=True)
def _event_loop() -> Iterator[None]:
    """Stops the event loop of all connections after the last test."""
    yield
    blocking.stop()


@pytest.fixture(autouse=True)
def _closes_connections_of_services(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes the connections of each test's services, because a service keeps them until its process ends."""
    sessions: list[Session] = []
    connections: list[Connection] = []

    def noted_session(cluster: ClusterConfiguration) -> Session:
        sessions.append(session(cluster))
        return sessions[-1]

    async def noted_connection(**endpoints: Any) -> Connection:
        connections.append(await connect(**endpoints))
        return connections[-1]

    monkeypatch.setattr(service, "session", noted_session)
    monkeypatch.setattr(service, "connect", noted_connection)
    yield
    for opened in sessions:
        run(_close(opened))
    for connection in connections:
        run(connection.close())


async def _close(session: Session) -> None:
    await session.http.close()


@contextlib.contextmanager
def connected(configuration: ClusterConfiguration) -> Iterator[Blocking[KubernetesCluster]]:
    """The function's own client of a configured cluster."""
    made = session(configuration)
    try:
        yield Blocking(KubernetesCluster(made))
    finally:
        run(_close(made))


@pytest.fixture(scope="session")
def kms_server() -> Iterator[KmsServer]:
    """Cloud KMS's double."""
    with KmsServer(instant=True) as server:
        yield server


@pytest.fixture(scope="session")
def kms_client(kms_server: KmsServer) -> Iterator[KeyManagementServiceClient]:
    """The real client library, for an administrator."""
    with administer(kms_server.endpoint) as client:
        yield client


@pytest.fixture(scope="session")
def kms(kms_server: KmsServer) -> Iterator[Connection]:
    """The function's own connection to Cloud KMS."""
    connection = run(connect(endpoint=None, unsafe_plaintext_endpoint=kms_server.endpoint))
    yield connection
    run(connection.close())


@pytest.fixture(scope="session")
def key_version(kms_client: KeyManagementServiceClient) -> str:
    """A P-256 key at protection level HSM."""
    return create_signing_key(kms_client)


@pytest.fixture(scope="session")
def ca_file(kms_server: KmsServer, key_version: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root certificate of that key, made as an operator makes it."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    arguments = ["ca", "create", "--key-version", key_version, "--common-name", "test root", "--out", str(path)]
    signerctl.main([*arguments, "--unsafe-plaintext-kms-endpoint", kms_server.endpoint], standalone_mode=False)
    return path


@pytest.fixture(scope="session")
def other_ca(kms_server: KmsServer, kms_client: KeyManagementServiceClient, ca_file: Path) -> bytes:
    """A root certificate of another key, PEM."""
    key_version = create_signing_key(kms_client, key="other")
    path = ca_file.with_name("other.pem")
    arguments = ["ca", "create", "--key-version", key_version, "--common-name", "other root", "--out", str(path)]
    signerctl.main([*arguments, "--unsafe-plaintext-kms-endpoint", kms_server.endpoint], standalone_mode=False)
    return path.read_bytes()


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesServer]:
    """The API server's double."""
    with KubernetesServer(tmp_path_factory.mktemp("kubernetes")) as server:
        yield server


@pytest.fixture(scope="session")
def admin(api_server: KubernetesServer) -> Iterator[Api]:
    """A cluster administrator."""
    with Api.from_kubeconfig(api_server.kubeconfig) as api:
        yield api


@pytest.fixture(scope="session")
def cluster(api_server: KubernetesServer) -> Iterator[Blocking[KubernetesCluster]]:
    """The function's own client of the API server."""
    ways = Authentication(kubeconfig=str(api_server.kubeconfig_for(USER)))
    with connected(ClusterConfiguration(source=SOURCE, authentication=ways)) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def world(admin: Api) -> Iterator[World]:
    """Calico's namespaces and accounts, for the whole session."""
    with World(admin) as world:
        world.create(components.components("3.31"))
        yield world


FileCsr = Callable[..., dict[str, Any]]
T = TypeVar("T")


@pytest.fixture(scope="session")
def file_csr(world: World) -> Iterator[FileCsr]:
    """Files the CSR of a new pod with that pod's own token, and gives the object as stored.

    `workload` is the pod's component, `environment` changes what the client is told, `spec` the object's spec before
    it is filed.
    """
    numbers = itertools.count()
    rows = {row.workload: row for row in components.components("3.31")}
    settings = managements(SIGNER_NAME, algorithms=[("ECDSAWithCurve256", "ECDSAWithSHA256")])
    with KeyPool() as keys, contextlib.ExitStack() as apis:

        def file(
            *,
            workload: str = "calico-node",
            environment: dict[str, Any] | None = None,
            spec: dict[str, Any] | None = None,
        ) -> dict[str, Any]:
            number = next(numbers)
            members = plan(1, components=[rows[workload]], managements=settings, seed=number, prefix=f"n{number}")
            fleet = Fleet(world, members, keys=keys)
            fleet.enter()
            api = apis.enter_context(fleet.apis[0])
            told = replace(fleet.environment(0), **(environment or {}))
            key = keys.take(told.key_algorithm)
            body = new_csr(told, key)
            body["spec"] |= spec or {}
            return api.post(CSRS, body)

        yield file


@pytest.fixture
def recorder() -> "Recorder":
    """Where this test's audit records go."""
    return Recorder()


WriteConfiguration = Callable[..., Path]


@pytest.fixture
def write_configuration(
    tmp_path: Path, api_server: KubernetesServer, kms_server: KmsServer, key_version: str, ca_file: Path
) -> WriteConfiguration:
    """Writes a configuration document for the stage; keyword arguments change its one signer, or its cluster."""

    def write(*, cluster_settings: dict[str, Any] | None = None, **signer: Any) -> Path:
        issuer = {"key_version": key_version, "certificate": str(ca_file), "trust_bundle": str(ca_file)}
        document = {
            "clusters": {
                "demo": {
                    "source": SOURCE,
                    "authentication": {"kubeconfig": str(api_server.kubeconfig_for(USER))},
                    "address_ranges": [str(network) for network in (*NODE_NETWORKS, *POD_NETWORKS)],
                    **(cluster_settings or {}),
                }
            },
            "signers": [
                {
                    "cluster": "demo",
                    "signer_name": SIGNER_NAME,
                    "profile": {"name": "calico", "release": "3.31"},
                    "issuer": issuer,
                    **signer,
                }
            ],
            "kms": {"unsafe_plaintext_endpoint": kms_server.endpoint},
        }
        path = tmp_path / "configuration.yaml"
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    return write


@pytest.fixture
def pipeline(
    write_configuration: Callable[..., Path],
    cluster: Blocking[KubernetesCluster],
    kms: Connection,
    recorder: "Recorder",
) -> Blocking[Pipeline]:
    """The pipeline over the real ports."""
    return make_pipeline(write_configuration(), cluster.target, kms, recorder)


def make_pipeline(path: Path, cluster: Cluster, kms: Connection, recorder: "Recorder") -> Blocking[Pipeline]:
    """A pipeline as the service wires it, for a given configuration document."""
    signers = load(path).signers
    keys = {
        name: CloudKmsKey(
            connection=kms,
            key_version=signer.issuer.key_version,
            protection_level=signer.issuer.protection_level,
        )
        for name, signer in signers.items()
    }
    limiter = ConcurrencyLimiter(clusters=1, concurrency=16)
    audit = Audit(write=recorder.write)
    pipeline = Pipeline(
        clusters={"demo": cluster},
        signers=signers,
        keys=keys,
        audit=audit,
        limiter=limiter,
        threads=ThreadPoolExecutor(THREADS),
    )
    return Blocking(pipeline)


def reference_to(csr: dict[str, Any], **changes: str) -> RequestReference:
    """The reference that the exporter's event for a stored CSR becomes."""
    facts = {"name": csr["metadata"]["name"], "uid": csr["metadata"]["uid"]} | changes
    return RequestReference(cluster="demo", event_id=f"{facts['uid']}/pending", trace_id="", **facts)


def conditions(csr: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Conditions of a stored CSR by type."""
    return {condition["type"]: condition for condition in csr["status"].get("conditions", ())}


def certifying(folder: Path, *, only: str | None = None) -> dict[str, str]:
    """A user's profile: Calico's, but addresses are certified, in all rows or in the one of that name.

    Gives the configuration's reference to it; the file is written to `folder`.
    """
    profile = yaml.safe_load((SHIPPED / "calico.yaml").read_text(encoding="utf-8"))
    for row in profile["components"]:
        row["addresses"] = "pod" if only in (None, row["name"]) else "omit"
    (folder / "own.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    return {"name": "own.yaml", "release": "3.31"}


HIDDEN = {"podIP": None, "podIPs": None, "hostIP": None, "hostIPs": None}
"""What a merge patch of a pod's status takes away, as if kubelet had not reported yet."""


def asked(api_server: KubernetesServer, work: Callable[[], T]) -> tuple[T, list[tuple[str, str]]]:
    """An outcome, and what the API server was asked for meanwhile; nothing has a query."""
    api_server.forget_requests()
    outcome = work()
    assert {request.query for request in api_server.requests} == {""}
    return outcome, [(request.method, request.path) for request in api_server.requests]


def pod_path(csr: dict[str, Any]) -> str:
    """Where the pod of a stored CSR is in the API server."""
    namespace = csr["spec"]["username"].split(":")[2]
    (name,) = csr["spec"]["extra"][POD_NAME]
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def node_path(csr: dict[str, Any]) -> str:
    """Where the node of that pod is."""
    (name,) = csr["spec"]["extra"][NODE_NAME]
    return f"/api/v1/nodes/{name}"


@dataclass
class Recorder:
    """Where audit records go: lines as written, and a switch that makes writing fail."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    broken: bool = False

    def write(self, line: bytes) -> None:
        """Takes one line, or fails like a full disk."""
        if self.broken:
            raise OSError("no space left on device")
        self.lines.append(json.loads(line))

    def events(self, uid: str) -> list[str]:
        """Kinds of the records of one CSR, in order."""
        return [line["event"] for line in self.lines if line["csr_uid"] == uid]
