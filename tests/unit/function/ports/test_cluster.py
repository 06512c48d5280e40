"""What the API server's answers mean, and what never leaves for it."""

import gzip
import json
import tempfile
import threading
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from csr_signer.cluster.api_server import OF_ITEM, OF_PROBE, SELF_REVIEWS, Answer, ApiServer, NoAnswer, Patience
from csr_signer.cluster.client import KubernetesCluster
from csr_signer.cluster.session import session
from csr_signer.errors import (
    ApiServerUnavailableError,
    ConfigurationError,
    ConflictError,
    ItemError,
    ItemUnavailableError,
    SignerError,
    UnavailableError,
)
from csr_signer.objects.csr import CertificateSigningRequest
from csr_signer.objects.event import Event, on_csr
from csr_signer.objects.pod import PodIdentity
from sandbox.api import Api, csr_path
from sandbox.kubernetes import KubernetesServer
from tests.patience import PATIENCE
from tests.unit.function.builders import make_csr, make_csr_object
from tests.unit.function.ports.answers import (
    FORBIDDEN,
    HANG,
    HANG_UP,
    TRICKLE,
    USER,
    Probes,
    Reply,
    answering,
    configuration_of,
)
from tests.unit.function.ports.blocking import Blocking, Running, run
from tests.unit.function.ports.conftest import CSRS, SIGNER_NAME, FileCsr, conditions, connected, node_path


def test_names_are_escaped_so_that_nothing_but_one_csr_is_asked_for(
    cluster: Blocking[KubernetesCluster], api_server: KubernetesServer
) -> None:
    """A colon, a query or a fragment in a name stays in its path segment."""
    api_server.forget_requests()
    assert cluster.get_csr("node-certs:pod?watch=true#x y") is None
    (request,) = api_server.requests
    assert request.path == f"{CSRS}/node-certs%3Apod%3Fwatch%3Dtrue%23x%20y"
    assert request.query == ""


def test_every_write_names_uid_and_version(cluster: Blocking[KubernetesCluster], file_csr: FileCsr, admin: Api) -> None:
    """A stale object is a conflict, and so is a re-created one: neither is overwritten."""
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
    with pytest.raises(ConflictError):
        cluster.approve(stale, "evidence")
    with pytest.raises(ConflictError):
        cluster.write_certificate(stale, b"")
    assert admin.get(csr_path(name))["status"] == {}


def test_a_write_keeps_what_others_wrote(cluster: Blocking[KubernetesCluster], file_csr: FileCsr, admin: Api) -> None:
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


def test_a_node_is_read_by_name(cluster: Blocking[KubernetesCluster], file_csr: FileCsr, admin: Api) -> None:
    """Its addresses come from its status; an absent node is None."""
    node = node_path(file_csr()).rpartition("/")[2]
    found = cluster.get_node(node)
    assert found is not None
    assert sorted(map(str, found.addresses)) == sorted(
        each["address"]
        for each in admin.get(f"/api/v1/nodes/{node}")["status"]["addresses"]
        if each["type"] != "Hostname"
    )
    assert cluster.get_node(f"{node}-not") is None


HASTY = Patience(connect=5.0, read=5.0, whole=0.5)
WRONG_NODES = {
    "not allowed": (403, b'{"kind": "Status", "message": "nodes is forbidden: User \\"u\\" cannot get"}', ItemError),
    "a load balancer's 404": (404, b"<html>not found", ItemUnavailableError),
    "a list": (200, b'{"kind": "NodeList", "metadata": {}, "items": []}', ItemUnavailableError),
    "another": (200, b'{"kind": "Node", "metadata": {"name": "other", "uid": "u"}}', ItemUnavailableError),
    "no addresses": (
        200,
        b'{"kind": "Node", "metadata": {"name": "n", "uid": "u"}, "status": {"addresses": 7}}',
        ItemError,
    ),
}


@pytest.mark.parametrize(("status", "body", "error"), WRONG_NODES.values(), ids=WRONG_NODES)
def test_an_answer_that_is_no_node_is_a_fault(status: int, body: bytes, error: type[SignerError]) -> None:
    """Never an absent node, for which a requester would be refused in the end."""
    with answering(status, body, probes=Probes()) as (cluster, asked), pytest.raises(error) as caught:
        cluster.get_node("n")
    assert type(caught.value) is error
    assert asked[0] == "/api/v1/nodes/n"


WRONG_PODS = {
    "not allowed": (403, b'{"kind": "Status", "message": "pods is forbidden: User \\"u\\" cannot get"}', ItemError),
    "a load balancer's 404": (404, b"<html>not found", ItemUnavailableError),
    "another": (
        200,
        b'{"kind": "Pod", "metadata": {"name": "p", "namespace": "other", "uid": "u"}}',
        ItemUnavailableError,
    ),
    "no spec": (200, b'{"kind": "Pod", "metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": 7}', ItemError),
}


@pytest.mark.parametrize(("status", "body", "error"), WRONG_PODS.values(), ids=WRONG_PODS)
def test_an_answer_that_is_no_pod_is_a_fault(status: int, body: bytes, error: type[SignerError]) -> None:
    """Never an absent pod; a right that is missing in one namespace holds up the pods of no other."""
    pod = PodIdentity(namespace="n", service_account="s", pod_name="p", pod_uid="u", node_name=None)
    nothing_allowed = Probes(allows=lambda _: False)
    with answering(status, body, probes=nothing_allowed) as (cluster, asked), pytest.raises(error) as caught:
        cluster.get_pod(pod)
    assert type(caught.value) is error
    assert asked[0] == "/api/v1/namespaces/n/pods/p"


def event_about(csr: CertificateSigningRequest, message: str = "m") -> Event:
    """An Event on a CSR."""
    return on_csr(csr, about="refused", reason="Reason", message=message, moment=csr.created)


def test_a_repeated_event_is_one_event(cluster: Blocking[KubernetesCluster], file_csr: FileCsr, admin: Api) -> None:
    """The Event's name follows from the CSR's uid, and its message is bounded."""
    csr = cluster.get_csr(file_csr()["metadata"]["name"])
    assert isinstance(csr, CertificateSigningRequest)
    for _ in range(2):
        cluster.create_event(event_about(csr, "m" * 5000))
    events = admin.get("/api/v1/namespaces/default/events")["items"]
    (event,) = [event for event in events if event["involvedObject"]["uid"] == csr.uid]
    assert len(event["message"]) <= 1024


EVENTS_NOT_TAKEN = {
    "a missing right": (403, b'{"kind": "Status", "message": "no"}', ItemError),
    "an overload": (429, b'{"kind": "Status", "message": "no"}', ItemUnavailableError),
    "a gateway": (504, b"<html>", ItemUnavailableError),
    "no answer": (0, b"", ItemUnavailableError),
}


@pytest.mark.parametrize(("status", "body", "error"), EVENTS_NOT_TAKEN.values(), ids=EVENTS_NOT_TAKEN)
def test_an_event_that_is_not_taken_costs_one_call(status: int, body: bytes, error: type[SignerError]) -> None:
    """No probe follows, whatever comes back: the exporter waits for its answer meanwhile."""
    with answering(status, body, probes=Probes()) as (cluster, asked):
        with pytest.raises(error, match=r"POST .*/events") as caught:
            cluster.create_event(event_about(make_csr()))
        assert type(caught.value) is error
        assert asked == ["/api/v1/namespaces/default/events"]


STATUS = b'{"kind": "Status", "message": "no"}'
FAULTS = {
    "server error": (500, b"oops", ItemUnavailableError, ApiServerUnavailableError),
    "overload": (429, STATUS, ItemUnavailableError, ApiServerUnavailableError),
    "gateway": (504, b"<html>", ItemUnavailableError, ApiServerUnavailableError),
    "unauthorized": (401, STATUS, ItemUnavailableError, ConfigurationError),
    "a load balancer's 403": (403, b"<html>", ItemUnavailableError, ApiServerUnavailableError),
    "a policy's 403": (403, STATUS, ItemError, ItemError),
    "a bad request": (400, STATUS, ItemError, ItemError),
    "a bad request of HTTP": (400, b"400 Bad Request", ItemUnavailableError, ApiServerUnavailableError),
    "invalid": (422, STATUS, ItemError, ItemError),
    "a redirect": (302, b"", ItemUnavailableError, ApiServerUnavailableError),
    "a permanent redirect": (308, b"", ItemUnavailableError, ApiServerUnavailableError),
    "a name that is too long": (414, b"<html>", ItemUnavailableError, ApiServerUnavailableError),
    "a load balancer's 404": (404, b"<html>not found", ItemUnavailableError, ApiServerUnavailableError),
    "a 404 about something else": (
        404,
        b'{"kind": "Status", "reason": "NotFound", "details": {"kind": "certificatesigningrequests", "name": "other"}}',
        ItemError,
        ItemError,
    ),
    "a 404 about another kind": (
        404,
        b'{"kind": "Status", "reason": "NotFound", "details": {"kind": "namespaces", "name": "name"}}',
        ItemError,
        ItemError,
    ),
    "a Status that is none": (
        404,
        b'{"kind": "Status", "reason": 7, "details": 7}',
        ItemUnavailableError,
        ApiServerUnavailableError,
    ),
    "an endless nesting": (500, b"[" * 100_000, ItemUnavailableError, ApiServerUnavailableError),
    "success without an object": (200, b"<html>", ItemUnavailableError, ApiServerUnavailableError),
    "success with another object": (200, b'{"kind": "Status"}', ItemUnavailableError, ApiServerUnavailableError),
    "no answer": (HANG_UP, b"", ItemUnavailableError, ApiServerUnavailableError),
}


@pytest.mark.parametrize(("status", "body", "own", "everybodys"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_global_only_if_a_probe_without_an_item_fails_too(
    status: int, body: bytes, own: type[SignerError], everybodys: type[SignerError]
) -> None:
    """No answer of an API server leads to a denial. Each message names the call, and none the token."""
    for probes, error in ((Probes(), own), (None, everybodys)):
        with answering(status, body, probes=probes, Location="/elsewhere") as (cluster, asked):
            with pytest.raises(error) as caught:
                cluster.get_csr("name")
            assert type(caught.value) is error
            assert "secret-token" not in str(caught.value)
            assert asked[0] == f"{CSRS}/name"
            assert "/elsewhere" not in asked
            probed = [path for path in asked if path != asked[0]]  # aiohttp repeats a GET once
            assert not any("name" in path.rpartition("/")[2] for path in probed)


def test_a_probe_that_hangs_is_given_up_long_before_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """It follows a call that may have taken its time: an API server that answers nothing is everybody's fault."""
    assert OF_PROBE.whole <= OF_ITEM.whole / 3
    monkeypatch.setattr("csr_signer.cluster.api_server.OF_PROBE", Patience(connect=5.0, read=0.05, whole=5.0))
    with answering(500, probes=Probes(who=(HANG, {}, b""))) as (cluster, _), pytest.raises(UnavailableError):
        cluster.get_csr("name")


def test_a_call_whose_answer_comes_byte_by_byte_ends_at_its_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """No single byte is late, so only the limit for the whole call ends it."""
    monkeypatch.setattr("csr_signer.cluster.api_server.OF_PROBE", Patience(connect=30.0, read=30.0, whole=0.2))
    trickling = Probes(who=(TRICKLE, {}, b""))
    with answering(500, probes=trickling) as (cluster, _), pytest.raises(UnavailableError, match="TimeoutError"):
        cluster.get_csr("name")


def test_a_transient_fault_of_one_item_is_no_error_and_is_retried_soon() -> None:
    """A Calico pod gives up after 90 s. A refusal of the API server itself is permanent, and the operator must act."""
    with answering(503, STATUS, probes=Probes()) as (cluster, _), pytest.raises(ItemError) as passing:
        cluster.get_csr("name")
    with answering(400, STATUS, probes=Probes()) as (cluster, _), pytest.raises(ItemError) as lasting:
        cluster.get_csr("name")
    assert (passing.value.status, passing.value.severity, passing.value.retry_after) == (500, "WARNING", 2)
    assert (lasting.value.status, lasting.value.severity, lasting.value.retry_after) == (500, "ERROR", 30)


def test_a_write_without_an_answer_is_not_repeated(filed: CertificateSigningRequest) -> None:
    """The API server may have made the write; the next event reads the CSR and knows."""
    with answering(HANG_UP, probes=Probes()) as (cluster, asked), pytest.raises(ItemUnavailableError):
        cluster.write_certificate(filed, b"PEM")
    assert len([path for path in asked if path.startswith(CSRS)]) == 1


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
    with answering(200) as (_, asked):
        pass
    with (
        tempfile.TemporaryDirectory() as folder,
        connected(configuration_of(folder, asked.port)) as cluster,
        pytest.raises(UnavailableError),
    ):
        cluster.get_csr("name")


def test_no_proxy_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy variable does not send a token elsewhere."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with answering(404, gone("name")) as (cluster, asked):
        assert cluster.get_csr("name") is None
        assert len(asked) == 1


def gone(name: str) -> bytes:
    """Returns the Status of a CSR that does not exist."""
    details = {"kind": "certificatesigningrequests", "name": name}
    return json.dumps({"kind": "Status", "reason": "NotFound", "details": details}).encode()


def test_a_cookie_is_never_sent_back() -> None:
    """The client never sends a server's cookie back."""
    with answering(404, gone("name"), Set_Cookie="a=b; Path=/") as (cluster, asked):
        for _ in range(2):
            assert cluster.get_csr("name") is None
        assert [headers.get("Cookie") for headers in asked.headers] == [None, None]


def test_a_compressed_answer_is_neither_requested_nor_expanded() -> None:
    """A small compressed answer may expand to any size. The client requests none, and does not expand one."""
    bomb = gzip.compress(gone("name"))
    with answering(404, bomb, probes=Probes(), Content_Encoding="gzip") as (cluster, asked):
        with pytest.raises(ItemUnavailableError, match="404: no Kubernetes Status"):
            cluster.get_csr("name")
        assert {headers["Accept-Encoding"] for headers in asked.headers} == {"identity"}


def test_one_connection_serves_many_calls() -> None:
    """The client reads each answer to its end, so that the next call needs no TLS handshake."""
    with answering(404, gone("name")) as (cluster, asked):
        for _ in range(3):
            assert cluster.get_csr("name") is None
        assert len(set(asked.clients)) == 1


NAMES = {
    "user not permitted to approve requests": 403,
    'x": user not permitted to sign requests with signerName "s': 403,
    'User "system:anonymous" cannot get resource': 401,
    "CERTIFICATE_VERIFY_FAILED": HANG_UP,
    "request is too large": 413,
    'x": Precondition failed: UID in precondition': 422,
    "Unauthorized": 401,
}
"""Names that are messages of an API server or a client, and the status of those messages."""
STATUSES = (HANG_UP, 400, 401, 403, 404, 405, 413, 415, 422, 429, 500, 502, 503, 504)
IN_ERRORS = sorted({*NAMES.items(), *((name, 500) for name in NAMES), *((min(NAMES), status) for status in STATUSES)})


@pytest.fixture(scope="module")
def filed(file_csr: FileCsr, cluster: Blocking[KubernetesCluster]) -> CertificateSigningRequest:
    """A CSR that is there; nothing is done with it at its own API server."""
    csr: CertificateSigningRequest | None = cluster.get_csr(file_csr()["metadata"]["name"])
    assert csr is not None
    return csr


@pytest.mark.parametrize(("name", "status"), IN_ERRORS)
def test_attack_a_csr_whose_name_is_an_error_message(name: str, status: int, filed: CertificateSigningRequest) -> None:
    """Whatever a requester calls its CSR, and whatever the API server answers with that name in it: no 503."""
    csr = replace(filed, name=name)
    message = f"certificatesigningrequests.certificates.k8s.io {json.dumps(name)} is forbidden: {name}"
    details = {"name": name, "kind": "certificatesigningrequests", "causes": [{"message": name, "field": name}]}
    body = json.dumps({"kind": "Status", "reason": "Forbidden", "message": message, "details": details}).encode()
    with answering(status, body, probes=Probes()) as (refusing, _):
        calls: list[Callable[[], object]] = [
            lambda: refusing.get_csr(name),
            lambda: refusing.approve(csr, "evidence"),
            lambda: refusing.deny(csr, "Reason", "message"),
            lambda: refusing.fail(csr, "Reason", "message"),
            lambda: refusing.write_certificate(csr, b"PEM"),
        ]
        for call in calls:
            with pytest.raises(ItemError) as caught:
                call()
            assert caught.value.status == 500


@pytest.mark.parametrize("content", [b"{}", b'{"kind": "Status"}', b"\xff", b"<html>", b"[" * 100_000, b""])
def test_attack_a_conflict_of_any_content_is_read_again(
    content: bytes, file_csr: FileCsr, cluster: Blocking[KubernetesCluster]
) -> None:
    """It says that somebody wrote in between; whether the CSR is gone is what the next read tells."""
    csr = cluster.get_csr(file_csr()["metadata"]["name"])
    assert csr is not None
    with answering(409, content, probes=Probes()) as (refusing, _), pytest.raises(ConflictError):
        refusing.deny(csr, "Reason", "message")


RIGHTS = {
    "get certificatesigningrequests": lambda cluster, csr: cluster.get_csr(csr.name),
    "patch certificatesigningrequests/approval": lambda cluster, csr: cluster.deny(csr, "Reason", "message"),
    f"approve signers {SIGNER_NAME}": lambda cluster, csr: cluster.approve(csr, "evidence"),
    "patch certificatesigningrequests/status": lambda cluster, csr: cluster.write_certificate(csr, b"PEM"),
    f"sign signers {SIGNER_NAME}": lambda cluster, csr: cluster.fail(csr, "Reason", "message"),
}


@pytest.mark.parametrize("right", RIGHTS)
def test_a_missing_right_is_the_operators_once_the_api_server_confirms_it(
    right: str, file_csr: FileCsr, cluster: Blocking[KubernetesCluster]
) -> None:
    """A 403 is everybody's only where the right is missing whatever the CSR; the message names user and right."""
    csr = cluster.get_csr(file_csr()["metadata"]["name"])
    assert csr is not None
    everything_but = Probes(allows=lambda asked: asked != right and not asked.endswith("/*"))
    with answering(403, FORBIDDEN, probes=everything_but) as (refusing, _):
        with pytest.raises(ConfigurationError) as caught:
            RIGHTS[right](refusing, csr)
        assert f'user "{USER}" must have the right to {right.partition(" ")[0]}' in str(caught.value)
    with answering(403, FORBIDDEN, probes=Probes()) as (refusing, _), pytest.raises(ItemError, match=USER):
        RIGHTS[right](refusing, csr)


def test_a_right_for_all_signers_of_a_domain_is_enough(file_csr: FileCsr, cluster: Blocking[KubernetesCluster]) -> None:
    """The admission plugins look for DOMAIN/*, too, so a 403 has another reason."""
    csr = cluster.get_csr(file_csr()["metadata"]["name"])
    assert csr is not None
    domain = SIGNER_NAME.partition("/")[0]
    wildcard = Probes(allows=lambda asked: "signers" not in asked or asked.endswith(f" {domain}/*"))
    with answering(403, FORBIDDEN, probes=wildcard) as (refusing, _), pytest.raises(ItemError):
        refusing.approve(csr, "evidence")


def test_without_access_reviews_a_403_concerns_one_item() -> None:
    """A cluster without the role system:basic-user confirms no right, but that must not let one CSR stop the others."""
    for probes in (None, Probes(who=(403, {}, FORBIDDEN))):
        with answering(403, FORBIDDEN, probes=probes) as (refusing, _), pytest.raises(ItemError, match="unknown user"):
            refusing.get_csr("name")


@pytest.mark.parametrize("headers", [{}, {"Transfer_Encoding": "chunked"}], ids=["length", "chunks"])
def test_an_answer_without_end_costs_one_item(monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]) -> None:
    """More than any object of the API server can be: thread and memory are given back, and nobody else waits for it."""
    monkeypatch.setattr("csr_signer.cluster.api_server.LARGEST_ANSWER", 128 * 1024)
    with (
        answering(200, b" " * 1024 * 1024, probes=Probes(), **headers) as (cluster, _),
        pytest.raises(ItemError, match="more than 131072 bytes"),
    ):
        cluster.get_csr("name")


def test_an_object_of_escaped_characters_can_be_read(file_csr: FileCsr, admin: Api) -> None:
    """It is as large as etcd allows, with characters that the API server writes as six bytes."""
    stored = admin.get(csr_path(file_csr()["metadata"]["name"]))
    stored["metadata"]["annotations"] = {"a": "HOLE"}
    body = json.dumps(stored).replace("HOLE", "\\u003c" * (3 * 1024 * 1024 // 2)).encode()
    with answering(200, body) as (cluster, _):
        csr = cluster.get_csr(stored["metadata"]["name"])
    assert csr is not None
    assert csr.uid == stored["metadata"]["uid"]
    # The event loop does not parse it: a second of work would hold up all other requests.
    assert any(thread.name.startswith("parse") for thread in threading.enumerate())


def test_a_large_status_is_none() -> None:
    """A requester can have its text repeated in a Status, and parsing it would hold up all other requests."""
    status = {"kind": "Status", "reason": "Invalid", "message": "m" * 70_000}
    with (
        answering(422, json.dumps(status).encode(), probes=Probes()) as (cluster, _),
        pytest.raises(ItemUnavailableError, match="422: no Kubernetes Status"),
    ):
        cluster.get_csr("name")


def test_a_large_object_in_small_pieces_is_read_whole(file_csr: FileCsr, admin: Api) -> None:
    """What counts are bytes, not pieces: a megabyte of somebody's text delays nobody, however it is cut."""
    stored = admin.get(csr_path(file_csr()["metadata"]["name"]))
    stored["metadata"]["annotations"] = {"a": "m" * 1_500_000}
    with answering(200, json.dumps(stored).encode(), Transfer_Encoding="chunked") as (chunked, _):
        csr = chunked.get_csr(stored["metadata"]["name"])
    assert csr is not None
    assert csr.size > 1_500_000


def test_attack_a_probe_with_an_answer_of_megabytes() -> None:
    """A hostile API server fails a call, and then answers the probe with lists that would block the event loop."""
    costly = Probes(who=(201, {}, b"[" + b"[]," * 100_000 + b"[]]"))
    with (
        answering(500, probes=costly) as (cluster, _),
        pytest.raises(ApiServerUnavailableError, match="more than 65536 bytes"),
    ):
        cluster.get_csr("name")


@dataclass(frozen=True, kw_only=True)
class HeldProbes(Probes):
    """Probes that wait for the test.

    Attributes:
        begun: set when the first probe arrives.
        go: the test sets it, and the API server answers.
    """

    begun: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def answer(self, path: str, body: bytes) -> Reply | None:
        """The answer to a probe, once the test allows it."""
        if path == SELF_REVIEWS:
            self.begun.set()
            self.go.wait(PATIENCE)
        return super().answer(path, body)


def test_attack_a_garbled_large_answer_delays_no_other_during_its_probe() -> None:
    """The function knows that the answer is wrong, and asks whether the API server serves it; the next one is read."""
    api = make_csr_object()
    api["metadata"]["annotations"] = {"a": "m" * 100_000}
    probes = HeldProbes()
    with answering(200, json.dumps(api).encode(), probes=probes) as (cluster, _):
        garbled = Running(cluster.target.get_csr("another"))
        assert probes.begun.wait(PATIENCE)
        assert cluster.get_csr(api["metadata"]["name"]) is not None
        waited = not garbled.done
        probes.go.set()
        assert isinstance(garbled.failure(), ItemUnavailableError)
    assert waited


def test_attack_large_answers_wait_for_one_another_and_small_ones_do_not() -> None:
    """A requester, or a hostile API server, makes all answers large: one is in memory, and the next one waits."""

    async def calls(api: ApiServer) -> None:
        async with AsyncExitStack() as first, AsyncExitStack() as second:
            assert isinstance(await api.exchange("GET", "/{n}", {"n": "1"}, large=first), Answer)
            waiting = await api.exchange("GET", "/{n}", {"n": "2"}, patience=HASTY, large=second)
            assert waiting == NoAnswer(cause="TimeoutError")
            small = await api.exchange("POST", SELF_REVIEWS, {}, patience=HASTY, large=second)
            assert isinstance(small, Answer)
            assert await api.confirm() == f'user "{USER}"'
        async with AsyncExitStack() as third:
            assert isinstance(await api.exchange("GET", "/{n}", {"n": "3"}, large=third), Answer)

    exchanging(calls, status=200)


@pytest.mark.parametrize("status", [302, 409, 500])
def test_attack_of_an_error_of_megabytes_only_the_status_is_kept(status: int) -> None:
    """Its caller holds it while a probe of a hostile API server runs, and has no place for a large answer any more."""

    async def calls(api: ApiServer) -> None:
        async with AsyncExitStack() as large:
            assert await api.exchange("GET", "/{n}", {"n": "1"}, large=large) == Answer(status=status, body=b"")

    exchanging(calls, status=status)


def exchanging(calls: Callable[[ApiServer], Coroutine[Any, Any, None]], *, status: int) -> None:
    """Makes calls to an API server whose answers are large."""

    async def closing(folder: str, port: int) -> None:
        made = session(configuration_of(folder, port))
        try:
            await calls(ApiServer(made))
        finally:
            await made.http.close()

    with answering(status, b" " * 100_000, probes=Probes()) as (_, asked), tempfile.TemporaryDirectory() as folder:
        run(closing(folder, asked.port))
