"""The double itself: its switches, its load, its end."""

import contextlib
import itertools
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import urllib3

from sandbox.api import CSRS, Api, Json, csr_path
from sandbox.kubernetes import KubernetesServer, LoggedRequest
from sandbox.pki import Authority
from sandbox.process import Part
from tests.contract.kubernetes.support import APPROVED, certificate_pem, csr, encoded, make_pod, refusal, request_token


def test_every_request_is_logged_as_it_was_sent(server: KubernetesServer, api: Api) -> None:
    """Method, path with its escapes, query, and who asked: also for what was refused."""
    server.forget_requests()
    refusal(lambda: api.get(csr_path("a:b/c")))
    refusal(lambda: api.with_token("x").get(CSRS, limit=1))
    assert server.requests == (
        LoggedRequest(method="GET", path=f"{CSRS}/a%3Ab%2Fc", query="", user="kubernetes-admin"),
        LoggedRequest(method="GET", path=CSRS, query="limit=1", user=""),
    )


def test_a_forgotten_page_can_be_gone_on_from_at_a_price(server: KubernetesServer, api: Api) -> None:
    """410 offers a token that goes on with the present state; the answer is kube-apiserver 1.37.2's."""
    for name in ("a", "b", "c"):
        api.post(CSRS, csr(name))
    token = api.get(CSRS, limit=1)["metadata"]["continue"]
    api.post(CSRS, csr("bb"))
    server.compact()
    refused = refusal(lambda: api.get(CSRS, limit=1, **{"continue": token}))
    assert (refused.status, refused.reason) == (410, "Expired")
    assert isinstance(refused.body, dict)
    rest = api.get(CSRS, **{"continue": refused.body["metadata"]["continue"]})
    assert [item["metadata"]["name"] for item in rest["items"]] == ["b", "bb", "c"]


def test_an_exact_version_that_is_forgotten_is_410(server: KubernetesServer, api: Api) -> None:
    """There is no list of the past after a compaction."""
    version = api.post(CSRS, csr())["metadata"]["resourceVersion"]
    api.post(CSRS, csr())
    past = api.get(CSRS, resourceVersion=version, resourceVersionMatch="Exact")
    assert len(past["items"]) == 1
    server.compact()
    refused = refusal(lambda: api.get(CSRS, resourceVersion=version, resourceVersionMatch="Exact"))
    assert (refused.status, refused.reason) == (410, "Expired")


def test_watches_can_be_ended(server: KubernetesServer, api: Api) -> None:
    """A closed watch ends cleanly, after what it had to say; another one goes on."""
    version = api.get(CSRS)["metadata"]["resourceVersion"]
    with api.watch(CSRS, resourceVersion=version) as events:
        made = api.post(CSRS, csr())
        assert next(events)["object"] == made
        server.close_watches()
        assert list(events) == []


def test_a_token_ends_with_its_pod(api: Api) -> None:
    """The double looks at the pod each time: gone or another of its name, and the token is nobody's."""
    pod = make_pod(api)
    bearer = api.with_token(request_token(api, pod, boundObjectRef=pod.reference()))
    bearer.post(CSRS, csr())
    api.delete(pod.path, {"gracePeriodSeconds": 0})
    assert refusal(lambda: bearer.post(CSRS, csr())).status == 401
    again = {key: pod.pod[key] for key in ("spec", "status")} | {"metadata": {"name": pod.pod["metadata"]["name"]}}
    api.post(pod.path.rpartition("/")[0], again)
    assert refusal(lambda: bearer.post(CSRS, csr())).status == 401


def test_64_clients_at_once_lose_nothing(api: Api) -> None:
    """Four calls each for 256 CSRs: all are issued, each change has a version of its own, and a watch sees all."""
    version = api.get(CSRS)["metadata"]["resourceVersion"]

    def issue(number: int) -> list[str]:
        made = api.post(CSRS, csr(f"load-{number}"))
        read = api.get(csr_path(made["metadata"]["name"]))
        approved = api.put(csr_path(f"load-{number}", "approval"), {**read, "status": {"conditions": [APPROVED]}})
        status = {**approved["status"], "certificate": encoded(certificate_pem())}
        issued = api.put(csr_path(f"load-{number}", "status"), {**approved, "status": status})
        return [each["metadata"]["resourceVersion"] for each in (made, approved, issued)]

    with ThreadPoolExecutor(64) as pool:
        versions = [version for made in pool.map(issue, range(256)) for version in made]
    assert len(set(versions)) == 3 * 256
    stored = api.get(CSRS)["items"]
    assert len(stored) == 256
    assert all("certificate" in item["status"] for item in stored)
    with api.watch(CSRS, resourceVersion=version, timeoutSeconds=1) as events:
        seen = [event["object"]["metadata"]["resourceVersion"] for event in events]
    assert seen == sorted(versions, key=int)


def test_a_watcher_that_stops_reading_is_disconnected(server: KubernetesServer, api: Api) -> None:
    """It delays no writer and no other watcher."""
    version = api.post(CSRS, csr("busy"))["metadata"]["resourceVersion"]
    changes = 300
    seen: list[Json] = []
    with (
        api.watch(CSRS, resourceVersion=version) as slow,
        api.watch(CSRS, resourceVersion=version) as fast,
    ):
        reader = threading.Thread(target=lambda: seen.extend(itertools.islice(fast, changes)))
        reader.start()
        for number in range(changes):
            api.patch(csr_path("busy"), {"metadata": {"annotations": {"x": f"{number:03}" + "x" * 100_000}}})
        reader.join(30)
        late = list(slow)
    assert len(seen) == changes
    assert 0 < len(late) < changes
    numbers = [int(event["object"]["metadata"]["annotations"]["x"][:3]) for event in late]
    assert numbers == list(range(len(late)))


def test_big_and_foreign_characters_pass_a_watch_whole(api: Api) -> None:
    """A line of a megabyte, and characters of several bytes, arrive as they are."""
    version = api.get(CSRS)["metadata"]["resourceVersion"]
    made = api.post(CSRS, csr("ünïcödé-😀", metadata={"annotations": {"x": "€" * 300_000}}))
    with api.watch(CSRS, resourceVersion=version) as events:
        assert next(events) == {"type": "ADDED", "object": made}


def test_it_can_be_stopped_with_connections_open_and_started_again(server: KubernetesServer, api: Api) -> None:
    """An outage: watches break, the port refuses; afterwards everything is there, and watches go on."""
    made = api.post(CSRS, csr())
    with api.watch(CSRS, resourceVersion=made["metadata"]["resourceVersion"]) as events:
        server.stop()
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            assert list(events) == []
    with pytest.raises(urllib3.exceptions.HTTPError):
        api.get(CSRS)
    address = server.server
    server.start()
    assert server.server == address
    later = api.post(CSRS, csr())
    with api.watch(CSRS, resourceVersion=made["metadata"]["resourceVersion"]) as events:
        assert next(events)["object"] == later


def test_stopping_twice_is_harmless(tmp_path: Path) -> None:
    """So is stopping what never started."""
    server = KubernetesServer(tmp_path)
    server.stop()
    server.start()
    address = ("127.0.0.1", int(server.server.rpartition(":")[2]))
    server.stop()
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)


def test_a_port_in_use_is_an_error(server: KubernetesServer, tmp_path: Path) -> None:
    """The server raises, and leaves nothing behind."""
    port = int(server.server.rpartition(":")[2])
    with pytest.raises(OSError, match="address"), KubernetesServer(tmp_path / "second", port=port):
        pass


def test_strangers_certificates_do_not_get_in(server: KubernetesServer) -> None:
    """A client certificate of another CA ends the connection, whatever it calls itself."""
    stranger = Authority.create("sandbox-kubernetes").issue("kubernetes-admin", organizations=["system:masters"])
    folder = server.kubeconfig.parent
    context = ssl.create_default_context(cafile=str(server.certificate_authority))
    context.load_cert_chain(*stranger.write(folder, "stranger"))
    port = int(server.server.rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        contextlib.suppress(OSError),
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(1) == b""
    assert server.requests == ()


@pytest.mark.parametrize("sent", [b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100_000])
def test_garbage_ends_only_its_own_connection(server: KubernetesServer, api: Api, sent: bytes) -> None:
    """Garbage before or inside TLS does not affect other connections."""
    port = int(server.server.rpartition(":")[2])
    context = ssl.create_default_context(cafile=str(server.certificate_authority))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain, contextlib.suppress(OSError):
        plain.sendall(sent)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(b"nonsense\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert api.get_text("/healthz") == "ok"


def test_the_command_says_where_it_is(tmp_path: Path) -> None:
    """One ready line with addresses, files that work, and a clean end on SIGTERM."""
    with Part.start("sandbox.kubernetes", "--directory", str(tmp_path), log=tmp_path / "log") as part:
        assert part.ready["part"] == "kubernetes"
        assert part.ready["certificate_authority"] == str(tmp_path / "ca.pem")
        with Api.from_kubeconfig(part.ready["kubeconfig"]) as api:
            assert api.server == part.ready["server"]
            with api.watch(CSRS):
                assert part.stop(2.0) == 0
    assert (tmp_path / "log").read_text() == ""
