"""The exporter, a process with its own rights, and a real control plane that crashes, forgets and refuses."""

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import pytest
import urllib3
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from csr_exporter.configuration import ApiServer as Location
from csr_exporter.watch import client
from csr_exporter.watch.client import ApiClient
from csr_exporter.watch.response import ExpiredError, UnpageableListError
from sandbox import managed_fields, protobuf
from sandbox.api import CSRS, NAMESPACES, Api, csr_path
from sandbox.control_plane.real import RealControlPlane
from sandbox.process import Part
from tests.paths import EXPORTER_MANIFEST, INFRA
from tests.sandbox.control_plane.require import real_control_plane
from tests.unit.exporter.cluster import Sink
from tests.unit.exporter.support import SIGNER, wait_until

pytestmark = pytest.mark.real

NAMESPACE, ACCOUNT = "kms-csr-signer", "csr-exporter"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
BINDINGS = f"{RBAC}/clusterrolebindings"


class Plane:
    """A real control plane with the exporter's account and rights, and what tests do to it."""

    def __init__(self, control_plane: RealControlPlane, directory: Path) -> None:
        """Puts in what infra/cluster gives to the exporter."""
        self.control_plane = control_plane
        self.api = Api.from_kubeconfig(control_plane.kubeconfig)
        self.directory = directory
        self.token_file = directory / "token"
        key = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        self._request = base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
        self.api.post(NAMESPACES, {"metadata": {"name": NAMESPACE}})
        documents = {each["kind"]: each for each in yaml.safe_load_all(EXPORTER_MANIFEST.read_text(encoding="utf-8"))}
        self.binding = documents["ClusterRoleBinding"]
        self.api.post(f"{NAMESPACES}/{NAMESPACE}/serviceaccounts", documents["ServiceAccount"])
        self.api.post(f"{RBAC}/clusterroles", documents["ClusterRole"])
        self.bind()

    def bind(self) -> None:
        """Gives the exporter its rights."""
        self.api.post(BINDINGS, self.binding)

    def unbind(self) -> None:
        """Takes them away."""
        self.api.delete(f"{BINDINGS}/{self.binding['metadata']['name']}")

    def token(self, secret: str) -> str:
        """A token of the exporter's account that ends with a Secret, as a pod's ends with the pod."""
        owner = self.api.post(f"{NAMESPACES}/{NAMESPACE}/secrets", {"metadata": {"name": secret}})
        bound = {"kind": "Secret", "apiVersion": "v1", "name": secret, "uid": owner["metadata"]["uid"]}
        path = f"{NAMESPACES}/{NAMESPACE}/serviceaccounts/{ACCOUNT}/token"
        return str(self.api.post(path, {"spec": {"boundObjectRef": bound}})["status"]["token"])

    def document(self, name: str, *, signer_name: str = SIGNER) -> dict[str, Any]:
        """A CSR to be filed."""
        return {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": name},
            "spec": {"signerName": signer_name, "request": self._request, "usages": ["client auth"]},
        }

    def create(self, *names: str, signer_name: str = SIGNER) -> None:
        """Files CSRs."""
        for name in names:
            self.api.post(CSRS, self.document(name, signer_name=signer_name))

    def crash(self) -> None:
        """SIGKILL of kube-apiserver, and another one on the same port."""
        self.control_plane.kill_api_server()
        self.control_plane.restart_api_server()

    def compact(self) -> None:
        """Makes etcd forget all history before now."""
        folder = str(self.control_plane.kubeconfig.parent)
        (process,) = (
            each for each in psutil.Process().children() if each.name() == "kube-apiserver" and each.cwd() == folder
        )
        (etcd,) = (each.partition("=")[2] for each in process.cmdline() if each.startswith("--etcd-servers="))
        key = base64.b64encode(b"/registry").decode()
        revision = urllib3.request("POST", f"{etcd}/v3/kv/range", json={"key": key}).json()["header"]["revision"]
        response = urllib3.request("POST", f"{etcd}/v3/kv/compaction", json={"revision": revision, "physical": True})
        assert response.status == 200, response.data

    def exporter(self, sink: Sink) -> Part:
        """An exporter as a process of its own."""
        document = {
            "source": "//x",
            "signers": [{"signer_name": SIGNER, "stages": ["pending", "approved"]}],
            "function": {"url": sink.server.url, "audience": "x"},
            "identity": {"kind": "unsafe_none"},
            "api_server": {
                "server": self.control_plane.server,
                "certificate_authority": str(self.control_plane.certificate_authority),
                "token_file": str(self.token_file),
            },
            "health": {"port": 0},
            "rate_limit": {"burst": 10_000, "seconds": 1},
        }
        file = self.directory / "exporter.json"
        file.write_text(json.dumps(document))
        (self.directory / "log").unlink(missing_ok=True)
        environment = {"CSR_EXPORTER_CONFIGURATION": str(file), "PYTHONPATH": str(INFRA / "exporter")}
        return Part.start("csr_exporter", log=self.directory / "log", environment=environment)


def page(exporter: Part, path: str) -> urllib3.BaseHTTPResponse:
    """One of an exporter's own pages."""
    return urllib3.request("GET", f"http://{exporter.ready['health']}{path}")


def metric(exporter: Part, name: str) -> float:
    """The sum of a metric's samples."""
    lines = page(exporter, "/metrics").data.decode().splitlines()
    found = re.compile(rf"csr_exporter_{name}(?:\{{[^}}]*\}})? (\S+)")
    return sum(float(match[1]) for line in lines if (match := found.fullmatch(line)))


def is_ready(exporter: Part) -> bool:
    """Whether /readyz says so."""
    return page(exporter, "/readyz").status == 200


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """One control plane for all tests of this module."""
    directory = tmp_path_factory.mktemp("exporter-real")
    with real_control_plane(directory / "control-plane") as control_plane:
        (directory / "exporter").mkdir()
        yield Plane(control_plane, directory / "exporter")


@pytest.fixture
def running(plane: Plane, request: pytest.FixtureRequest) -> Iterator[tuple[Sink, Part]]:
    """A function's double and an exporter that has listed and watches."""
    plane.token_file.unlink(missing_ok=True)
    plane.token_file.write_text(plane.token(re.sub(r"[^a-z0-9]+", "-", request.node.name)))
    with Sink() as sink, plane.exporter(sink) as exporter:
        wait_until(lambda: metric(exporter, "watches_total") >= 1)
        yield sink, exporter
        assert page(exporter, "/livez").status == 200
        assert exporter.stop() == 0


def delivered(sink: Sink, *names: str) -> Callable[[], bool]:
    """Whether the function knows all of these."""
    return lambda: set(names) <= set(sink.names)


def test_a_crash_and_a_compaction_make_a_real_410(plane: Plane, running: tuple[Sink, Part]) -> None:
    """SIGKILL of kube-apiserver, and all history is gone: one more list, nothing lost, no event twice."""
    sink, exporter = running
    plane.create("before-410")
    wait_until(delivered(sink, "before-410"))
    # The exporter does not see these, so its version stays where it is and is forgotten.
    plane.create(*(f"other-410-{number}" for number in range(5)), signer_name="example.com/other")
    plane.compact()
    plane.crash()
    plane.create("after-410")
    wait_until(delivered(sink, "after-410"))
    assert metric(exporter, "lists_total") == 2
    assert 'csr_exporter_read_failures_total{reason="ExpiredError"} 1.0' in page(exporter, "/metrics").data.decode()
    assert sink.names["before-410"] == sink.names["after-410"] == 1


def test_a_real_410_inside_of_a_list(plane: Plane) -> None:
    """What goes on where history was compacted is refused, and recognised."""
    plane.token_file.write_text(plane.token("row-06"))
    plane.create(*(f"page-{number}" for number in range(4)), signer_name="example.com/pages")
    location = Location(
        server=plane.control_plane.server,
        certificate_authority=plane.control_plane.certificate_authority,
        token_file=plane.token_file,
    )
    api = ApiClient(location)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "PAGE", 2)
        pages = api.pages("example.com/pages")
        assert len(next(pages).seen) == 2
        plane.create("page-4", signer_name="example.com/pages")
        plane.compact()
        plane.crash()  # it could page from a snapshot of its own
        with pytest.raises(ExpiredError):
            next(pages)
        assert sum(len(each.seen) for each in api.pages("example.com/pages")) == 5
    api.close()


def test_rights_that_are_taken_away_and_given_back(plane: Plane, running: tuple[Sink, Part]) -> None:
    """Alive and unready meanwhile; ready again alone, and what was filed meanwhile is delivered."""
    sink, exporter = running
    wait_until(lambda: is_ready(exporter))
    plane.unbind()
    plane.crash()  # a watch that is open keeps its rights
    wait_until(lambda: "refuses" in page(exporter, "/readyz").data.decode())
    plane.create("meanwhile")
    assert page(exporter, "/livez").status == 200
    plane.bind()
    wait_until(delivered(sink, "meanwhile"))
    wait_until(lambda: is_ready(exporter))


def test_a_rotated_token(plane: Plane, running: tuple[Sink, Part]) -> None:
    """The kubelet swaps a symlink and the old token ends: the next connection has the new one, without one refusal."""
    sink, exporter = running
    old = plane.token_file.read_text()
    (plane.directory / "..data").write_text(plane.token("rotated"))
    (plane.directory / "link").symlink_to("..data")
    (plane.directory / "link").rename(plane.token_file)
    plane.api.delete(f"{NAMESPACES}/{NAMESPACE}/secrets/test-a-rotated-token")
    assert plane.token_file.read_text() != old
    plane.crash()
    plane.create("rotated")
    wait_until(delivered(sink, "rotated"))
    log = [json.loads(line) for line in (plane.directory / "log").read_text().splitlines()]
    assert not [line for line in log if "401" in str(line.get("error"))]
    assert is_ready(exporter)


def test_etcd_that_restarts(plane: Plane, running: tuple[Sink, Part]) -> None:
    """Whatever the API server answers without its storage: the exporter goes on when it is back."""
    sink, exporter = running
    plane.create("before-etcd")
    wait_until(delivered(sink, "before-etcd"))
    plane.control_plane.kill_etcd()
    plane.control_plane.restart_etcd()
    plane.create("after-etcd")
    wait_until(delivered(sink, "after-etcd"))
    assert is_ready(exporter)
    assert sink.names["before-etcd"] == sink.names["after-etcd"] == 1


def test_other_signers_flood(plane: Plane, running: tuple[Sink, Part]) -> None:
    """Not one of 300 of theirs reaches the exporter, whose own comes through."""
    sink, exporter = running
    known = metric(exporter, "queue_changes_total")
    flood = threading.Thread(
        target=plane.create, args=[f"flood-{number}" for number in range(300)], kwargs={"signer_name": "example.com/f"}
    )
    flood.start()
    plane.create("mine")
    flood.join()
    plane.create("mine-too")
    wait_until(delivered(sink, "mine", "mine-too"))
    assert metric(exporter, "queue_changes_total") == known + 2


def test_a_csr_that_is_too_large_to_be_read(plane: Plane) -> None:
    """1.4 MB of managedFields are 8 MB of JSON: its uid is known all the same, and the others are read."""
    plane.token_file.write_text(plane.token("too-large"))
    signer_name = "example.com/large"
    plane.create("large-1", "large-3", signer_name=signer_name)
    document = plane.document("large-2", signer_name=signer_name)
    created = plane.api.post(CSRS, managed_fields.nested(document, 1, "f:" + "<" * 700_000))
    location = Location(
        server=plane.control_plane.server,
        certificate_authority=plane.control_plane.certificate_authority,
        token_file=plane.token_file,
    )
    api = ApiClient(location)
    pages = list(api.pages(signer_name))
    assert [seen.reference.name for each in pages for seen in each.seen] == ["large-1", "large-3"]
    assert [uid for each in pages for uid in each.unread] == [created["metadata"]["uid"]]
    assert all(each.is_whole for each in pages)
    plane.api.delete(csr_path("large-1"))
    pages = list(api.pages(signer_name))  # it is the first one now
    assert [seen.reference.name for each in pages for seen in each.seen] == ["large-3"]
    assert all(each.is_whole for each in pages)
    api.close()


def test_attack_a_name_that_json_cannot_carry_makes_the_list_circular(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is given up when it leads back, and a watch from the beginning shows what the list would have shown."""
    plane.token_file.write_text(plane.token("circular"))
    signer_name = "example.com/circular"
    plane.create("circular-1", "circular-3", signer_name=signer_name)
    document = plane.document("circular-2", signer_name=signer_name)
    plane.api.post_protobuf(CSRS, protobuf.certificate_signing_request(document, name=b"circular-2\xff"))
    monkeypatch.setattr(client, "PAGE", 1)
    location = Location(
        server=plane.control_plane.server,
        certificate_authority=plane.control_plane.certificate_authority,
        token_file=plane.token_file,
    )
    api = ApiClient(location)
    with pytest.raises(UnpageableListError):
        list(islice(api.pages(signer_name), 20))
    shown = set[str]()
    with api.watch(signer_name, client.FROM_THE_BEGINNING) as watch:
        for batch in watch.batches():
            shown.update(seen.reference.name for seen in batch)
            if len(shown) == 3:
                break
    assert {"circular-1", "circular-3"} < shown
    api.close()
