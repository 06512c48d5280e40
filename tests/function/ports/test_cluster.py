"""What the API server's answers mean, and what never leaves for it."""

import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from kubernetes.client import ApiClient

from csr_signer.attestation import PodIdentity
from csr_signer.cluster import KubernetesCluster
from csr_signer.configuration import Authentication, ClusterConfiguration
from csr_signer.credentials import api_client
from csr_signer.csr import CertificateSigningRequest
from csr_signer.errors import ConfigurationError, ConflictError, ItemError, SignerError, UnavailableError
from sandbox.api import Api, csr_path
from sandbox.kubernetes import KubernetesServer
from tests.function.ports.conftest import CSRS, FileCsr, conditions, node_path


def test_names_are_escaped_so_that_nothing_but_one_csr_is_asked_for(
    cluster: KubernetesCluster, api_server: KubernetesServer
) -> None:
    """A colon, a query or a fragment in a name stays in its path segment."""
    api_server.forget_requests()
    assert cluster.get_csr("node-certs:pod?watch=true#x y") is None
    (request,) = api_server.requests
    assert request.path == f"{CSRS}/node-certs%3Apod%3Fwatch%3Dtrue%23x%20y"
    assert request.query == ""


def test_every_write_names_uid_and_version(cluster: KubernetesCluster, file_csr: FileCsr, admin: Api) -> None:
    """A stale object is a conflict, a re-created one is gone: neither is overwritten."""
    filed = file_csr()
    name = filed["metadata"]["name"]
    stale = cluster.get_csr(name)
    assert stale is not None
    admin.patch(csr_path(name), {"metadata": {"labels": {"edit": "1"}}})
    with pytest.raises(ConflictError):
        cluster.approve(stale, "evidence")
    with pytest.raises(ConflictError):
        cluster.fail(stale, "Reason", "message")
    admin.delete(csr_path(name))
    assert cluster.deny(stale, "Reason", "message") is None
    admin.post(CSRS, {"metadata": {"name": name}, "spec": filed["spec"]})
    assert cluster.approve(stale, "evidence") is None
    assert cluster.write_certificate(stale, b"") is None
    assert admin.get(csr_path(name))["status"] == {}


def test_a_write_keeps_what_others_wrote(cluster: KubernetesCluster, file_csr: FileCsr, admin: Api) -> None:
    """Labels, annotations and conditions of other parties survive our approval byte for byte."""
    filed = file_csr()
    name = filed["metadata"]["name"]
    admin.patch(csr_path(name), {"metadata": {"annotations": {"note": "theirs"}}})
    current = admin.get(csr_path(name))
    other = {"type": "Checked", "status": "Unknown", "reason": "Other", "message": "m" * 1000}
    current["status"]["conditions"] = [other]
    admin.put(csr_path(name, "status"), current)
    csr = cluster.get_csr(name)
    assert csr is not None
    assert cluster.approve(csr, "evidence") is not None
    now = admin.get(csr_path(name))
    assert conditions(now)["Checked"]["message"] == other["message"]
    assert now["metadata"]["annotations"] == {"note": "theirs"}
    assert now["metadata"]["labels"] == filed["metadata"]["labels"]


def test_a_node_is_read_by_its_name_alone(cluster: KubernetesCluster, file_csr: FileCsr, admin: Api) -> None:
    """Its addresses are what its status says; an absent one is None."""
    node = node_path(file_csr()).rpartition("/")[2]
    found = cluster.get_node(node)
    assert found is not None
    assert sorted(map(str, found.addresses)) == sorted(
        each["address"]
        for each in admin.get(f"/api/v1/nodes/{node}")["status"]["addresses"]
        if each["type"] != "Hostname"
    )
    assert cluster.get_node(f"{node}-not") is None


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (403, b'{"message": "nodes is forbidden: User \\"u\\" cannot get"}', ItemError),
        (404, b"<html>not found", UnavailableError),
        (200, b'{"kind": "NodeList", "metadata": {}, "items": []}', UnavailableError),
        (200, b'{"kind": "Node", "metadata": {"name": "other", "uid": "u"}}', UnavailableError),
        (200, b'{"kind": "Node", "metadata": {"name": "n", "uid": "u"}, "status": {"addresses": 7}}', ItemError),
    ],
)
def test_an_answer_that_is_no_node_is_a_fault(status: int, body: bytes, error: type[SignerError]) -> None:
    """Never an absent node, for which a requester would be refused in the end."""
    with answering(status, body) as (cluster, asked), pytest.raises(error) as caught:
        cluster.get_node("n")
    assert type(caught.value) is error
    assert asked[0] == "/api/v1/nodes/n"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (403, b'{"message": "pods is forbidden: User \\"u\\" cannot get resource in namespace"}', ItemError),
        (401, b'{"message": "Unauthorized"}', ConfigurationError),
        (404, b"<html>not found", UnavailableError),
        (200, b'{"kind": "Pod", "metadata": {"name": "p", "namespace": "other", "uid": "u"}}', UnavailableError),
        (200, b'{"kind": "Pod", "metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": 7}', ItemError),
    ],
)
def test_an_answer_that_is_no_pod_is_a_fault(status: int, body: bytes, error: type[SignerError]) -> None:
    """Never an absent pod; a right that is missing in one namespace holds up the pods of no other."""
    pod = PodIdentity(namespace="n", service_account="s", pod_name="p", pod_uid="u", node_name=None)
    with answering(status, body) as (cluster, asked), pytest.raises(error) as caught:
        cluster.get_pod(pod)
    assert type(caught.value) is error
    assert asked[0] == "/api/v1/namespaces/n/pods/p"


def test_a_repeated_report_is_one_event(cluster: KubernetesCluster, file_csr: FileCsr, admin: Api) -> None:
    """The Event's name follows from the CSR's uid, and its message is bounded."""
    csr = cluster.get_csr(file_csr()["metadata"]["name"])
    assert isinstance(csr, CertificateSigningRequest)
    pod = csr.name.partition(":")[2]
    identity = PodIdentity(
        namespace="calico-system", service_account="calico-node", pod_name=pod, pod_uid="u", node_name=None
    )
    for _ in range(2):
        cluster.report_on_pod(identity, csr_uid=csr.uid, reason="Reason", message="m" * 5000, now=csr.created)
    events = admin.get("/api/v1/namespaces/calico-system/events")["items"]
    (event,) = [event for event in events if event["involvedObject"]["name"] == pod]
    assert len(event["message"]) <= 1024


class _Answering(BaseHTTPRequestHandler):
    """Answers everything with what the test put on the server."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """One answer."""
        status, headers, body = self.server.answer  # type: ignore[attr-defined]
        asked: Asked = self.server.asked  # type: ignore[attr-defined]
        asked.append(self.path)
        asked.tokens.append(self.headers.get("Authorization", ""))
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if "Transfer-Encoding" in headers:
            self.end_headers()
            for start in range(0, len(body), 1024):
                piece = body[start : start + 1024]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_GET  # noqa: N815 - the library's names

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class Asked(list[str]):
    """Paths that were asked for, the tokens that came with them, and where."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[str] = []
        self.port = 0


@contextmanager
def answering(status: int, body: bytes = b"{}", **headers: str) -> Iterator[tuple[KubernetesCluster, Asked]]:
    """A cluster whose API server gives one answer, and the paths that it was asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answering)
    server.answer = status, {key.replace("_", "-"): value for key, value in headers.items()}, body  # type: ignore[attr-defined]
    asked = server.asked = Asked()  # type: ignore[attr-defined]
    asked.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    client = _client(f"http://127.0.0.1:{server.server_port}")
    try:
        yield KubernetesCluster(client), asked
    finally:
        client.rest_client.close()
        server.shutdown()
        thread.join()
        server.server_close()


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: "{server}"}}}}]
users: [{{name: u, user: {{token: "secret-token"}}}}]
"""


def _client(server: str) -> ApiClient:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kubeconfig"
        path.write_text(KUBECONFIG.format(server=server), encoding="utf-8")
        ways = Authentication(kubeconfig=str(path))
        return api_client(ClusterConfiguration(source="//s", authentication=ways))


FAULTS = {
    "server error": (500, b"oops", UnavailableError),
    "overload": (429, b"{}", UnavailableError),
    "gateway": (504, b"<html>", UnavailableError),
    "forbidden": (403, b'{"message": "no rights"}', ConfigurationError),
    "unauthorized": (401, b'{"message": "who"}', ConfigurationError),
    "invalid": (422, b'{"message": "bad"}', UnavailableError),
    "a redirect": (302, b"", UnavailableError),
    "a load balancer's 404": (404, b"<html>not found", UnavailableError),
    "a 404 about something else": (
        404,
        b'{"kind": "Status", "reason": "NotFound", "details": {"name": "other"}}',
        UnavailableError,
    ),
    "an endless nesting": (500, b"[" * 100_000, UnavailableError),
    "success without an object": (200, b"<html>", UnavailableError),
    "success with another object": (200, b'{"kind": "Status"}', UnavailableError),
}


@pytest.mark.parametrize(("status", "body", "error"), FAULTS.values(), ids=FAULTS)
def test_an_answer_that_is_no_csr_is_a_fault_for_whoever_must_act(
    status: int, body: bytes, error: type[SignerError]
) -> None:
    """No answer of an API server becomes a denial; each names the call, none the token."""
    with answering(status, body, Location="http://127.0.0.1:1/elsewhere") as (cluster, asked):
        with pytest.raises(error) as caught:
            cluster.get_csr("name")
        assert "secret-token" not in str(caught.value)
        assert asked[0] == f"{CSRS}/name"


def test_retry_after_is_taken_over_and_bounded() -> None:
    """What the API server asks for is handed on, up to a minute."""
    own = UnavailableError.retry_after
    for given, taken in (("7", 7), ("999999", 60), ("0", 1), ("9" * 5000, own), ("soon", own)):
        with answering(429, Retry_After=given) as (cluster, _):
            with pytest.raises(UnavailableError) as caught:
                cluster.get_csr("name")
            assert caught.value.retry_after == taken


def test_no_api_server_is_unavailable() -> None:
    """A refused connection is a fault that passes."""
    with answering(200) as (cluster, _):
        pass
    with pytest.raises(UnavailableError):
        cluster.get_csr("name")


def test_no_proxy_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy variable does not send a token elsewhere."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    gone = b'{"kind": "Status", "reason": "NotFound", "details": {"name": "name"}}'
    with answering(404, gone) as (cluster, asked):
        assert cluster.get_csr("name") is None
        assert len(asked) == 1


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (422, "admission webhook says no", ItemError),
        (403, "ValidatingAdmissionPolicy 'p' denied request", ItemError),
        (413, "too large", ItemError),
        (500, "etcdserver: request is too large", ItemError),
        (403, 'certificatesigningrequests is forbidden: User "u" cannot update', ConfigurationError),
        (403, "user not permitted to sign requests with signerName s", ConfigurationError),
        (500, "etcdserver: leader changed", UnavailableError),
    ],
)
def test_a_write_that_is_refused_for_one_item_holds_up_no_other(
    status: int, message: str, error: type[SignerError], file_csr: FileCsr, cluster: KubernetesCluster
) -> None:
    """503 would make the exporter pause for everybody: only what concerns all is answered so."""
    csr = cluster.get_csr(file_csr()["metadata"]["name"])
    assert csr is not None
    with (
        answering(status, json.dumps({"kind": "Status", "message": message}).encode()) as (refusing, _),
        pytest.raises(error) as caught,
    ):
        refusing.deny(csr, "Reason", "message")
    assert type(caught.value) is error


@pytest.mark.parametrize("headers", [{}, {"Transfer_Encoding": "chunked"}], ids=["length", "chunks"])
def test_an_answer_without_end_costs_one_item(monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]) -> None:
    """More than any object of the API server can be: thread and memory are given back, and nobody else waits for it."""
    monkeypatch.setattr("csr_signer.cluster.LARGEST_ANSWER", 64 * 1024)
    with (
        answering(200, b" " * 1024 * 1024, **headers) as (cluster, _),
        pytest.raises(ItemError, match="an answer of more than 65536 bytes"),
    ):
        cluster.get_csr("name")


def test_what_is_escaped_sixfold_is_read(file_csr: FileCsr, admin: Api) -> None:
    """As much as etcd stores of one object, in characters that the API server writes as six bytes."""
    stored = admin.get(csr_path(file_csr()["metadata"]["name"]))
    stored["status"]["conditions"] = [{"type": "Checked", "status": "True", "reason": "Other", "message": "HOLE"}]
    body = json.dumps(stored).replace("HOLE", "\\u003c" * (3 * 1024 * 1024 // 2)).encode()
    with answering(200, body) as (cluster, _):
        csr = cluster.get_csr(stored["metadata"]["name"])
    assert csr is not None
    assert csr.conditions == {"Checked"}


def test_a_large_object_in_small_pieces_is_read_whole(file_csr: FileCsr, admin: Api) -> None:
    """What counts are bytes, not pieces: a megabyte of somebody's condition delays nobody, however it is cut."""
    stored = admin.get(csr_path(file_csr()["metadata"]["name"]))
    condition = {"type": "Checked", "status": "True", "reason": "Other", "message": "m" * 1_500_000}
    stored["status"]["conditions"] = [condition]
    with answering(200, json.dumps(stored).encode(), Transfer_Encoding="chunked") as (chunked, _):
        csr = chunked.get_csr(stored["metadata"]["name"])
    assert csr is not None
    assert csr.conditions == {"Checked"}
