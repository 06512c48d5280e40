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
from tests.contract.kubernetes.support import APPROVED, certificate_pem, csr, encoded, refusal
from tests.patience import PATIENCE


def test_every_request_is_logged_as_it_was_sent(server: KubernetesServer, api: Api) -> None:
    """Method, path with its escapes, query, and who asked: also for what was refused."""
    server.forget_requests()
    refusal(lambda: api.get(csr_path("a:b/c")))
    refusal(lambda: api.with_token("x").get(CSRS, limit=1))
    assert server.requests == (
        LoggedRequest(method="GET", path=f"{CSRS}/a%3Ab%2Fc", query="", user="kubernetes-admin"),
        LoggedRequest(method="GET", path=CSRS, query="limit=1", user=""),
    )


def test_a_forgotten_page_is_410(server: KubernetesServer, api: Api) -> None:
    """After a compaction a list cannot go on; a new one can start."""
    for name in ("a", "b", "c"):
        api.post(CSRS, csr(name))
    token = api.get(CSRS, limit=1)["metadata"]["continue"]
    api.post(CSRS, csr("bb"))
    server.compact()
    refused = refusal(lambda: api.get(CSRS, limit=1, **{"continue": token}))
    assert (refused.status, refused.reason) == (410, "Expired")
    assert [item["metadata"]["name"] for item in api.get(CSRS)["items"]] == ["a", "b", "bb", "c"]


@pytest.mark.parametrize(
    "query", [{"dryRun": "All"}, {"labelSelector": "a=b"}, {"resourceVersionMatch": "Exact"}], ids=str
)
def test_a_parameter_that_it_does_not_support_is_refused(api: Api, query: dict[str, str]) -> None:
    """A test that needs more learns so, instead of an answer that means something else."""
    assert refusal(lambda: api.get(CSRS, **query)).status == 400


@pytest.mark.parametrize("metadata", [{"managedFields": []}, {"finalizers": ["a.b/c"]}], ids=str)
def test_metadata_that_it_does_not_support_are_refused(api: Api, metadata: Json) -> None:
    """As well, in a new object and in a patch."""
    refused = [
        refusal(lambda: api.post(CSRS, csr(metadata=metadata))),
        refusal(lambda: api.patch(csr_path("x"), {"metadata": metadata})),
    ]
    assert [each.reason for each in refused] == ["BadRequest"] * 2


def test_watches_can_be_ended(server: KubernetesServer, api: Api) -> None:
    """A closed watch ends cleanly, after what it had to say; another one goes on."""
    version = api.get(CSRS)["metadata"]["resourceVersion"]
    with api.watch(CSRS, resourceVersion=version) as events:
        made = api.post(CSRS, csr())
        assert next(events)["object"] == made
        server.close_watches()
        assert list(events) == []


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
    with api.watch(CSRS, resourceVersion=version) as events:
        seen = [event["object"]["metadata"]["resourceVersion"] for event in itertools.islice(events, len(versions))]
    assert seen == sorted(versions, key=int)


def test_a_watcher_that_stops_reading_delays_no_other_client(api: Api) -> None:
    """Writers and other watchers go on, and the watcher later finds every change."""
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
        reader.join(PATIENCE)
        late = list(itertools.islice(slow, changes))
    for events in (seen, late):
        numbers = [int(event["object"]["metadata"]["annotations"]["x"][:3]) for event in events]
        assert numbers == list(range(changes))


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
        socket.create_connection(address, timeout=PATIENCE)


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
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
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
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain, contextlib.suppress(OSError):
        plain.sendall(sent)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(b"nonsense\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert api.get_text("/healthz") == "ok"
