"""HTTP: paths, methods, media types, and limits."""

import http.client
import json
import ssl
import urllib.parse
from collections.abc import Callable, Iterator

import pytest

from sandbox.api import CSRS, Api, csr_path
from tests.contract.kubernetes.support import Target, csr, real_only, refusal, unique

Send = Callable[..., tuple[int, str]]


@pytest.fixture
def send(target: Target) -> Iterator[Send]:
    """Send a request exactly as written, without the client's tidying of paths, as a user of no certificate."""
    account = unique("sa")
    target.api.post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": account}})
    token = target.api.post(f"/api/v1/namespaces/default/serviceaccounts/{account}/token", {"spec": {}})["status"][
        "token"
    ]
    address = urllib.parse.urlsplit(target.control_plane.server)
    context = ssl.create_default_context(cafile=str(target.control_plane.certificate_authority))
    assert address.hostname is not None
    connection = http.client.HTTPSConnection(address.hostname, address.port, context=context, timeout=20)

    def send(
        method: str, path: str, *, authenticated: bool = True, body: bytes = b"", **headers: str
    ) -> tuple[int, str]:
        if authenticated:
            headers["Authorization"] = f"Bearer {token}"
        connection.request(method, path, body=body or None, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    yield send
    connection.close()


def test_who_is_nobody_gets_nothing(send: Send) -> None:
    """Without credentials there is no list and no object: 401, or 403 where anonymous users have a name."""
    for path in (CSRS, csr_path("x"), "/api/v1/nodes"):
        assert send("GET", path, authenticated=False)[0] in {401, 403}


def test_health_is_public(send: Send) -> None:
    """Probes need no identity."""
    assert send("GET", "/healthz", authenticated=False) == (200, "ok")


@pytest.mark.parametrize("name", [".", "..", "%2e", "%2e%2e", "%252e", "a%25b"])
def test_a_path_with_a_bad_name_is_a_bad_request(target: Target, name: str) -> None:
    """Dots are names and not directories; percent signs are never part of a name."""
    refused = refusal(lambda: target.api.get(f"{CSRS}/{name}"))
    assert (refused.status, refused.reason) in {(400, "BadRequest"), (404, "NotFound")}


@pytest.mark.parametrize(
    "tail", ["/../../../../version", "/%2e%2e/%2e%2e/x", "/..%2f..%2f..%2f..%2fversion", "//x", "/x/y", "/x/status/y"]
)
def test_paths_are_not_resolved(send: Send, tail: str) -> None:
    """No path leads out of where it begins: what is no resource is 404 (403 where it is no right)."""
    assert send("GET", CSRS + tail)[0] in {403, 404}


def test_an_escaped_slash_is_a_slash(target: Target) -> None:
    """NAME%2Fapproval is the approval of NAME: a name with a slash must never reach a path."""
    made = target.create_csr()
    found = target.api.get(f"{CSRS}/{made['metadata']['name']}%2Fapproval")
    assert found["metadata"]["uid"] == made["metadata"]["uid"]


@pytest.mark.parametrize("subresource", ["", "approval", "status"])
def test_subresources_are_read_as_the_object(target: Target, subresource: str) -> None:
    """GET of approval and status answers the whole CSR."""
    made = target.create_csr()
    assert target.api.get(csr_path(made["metadata"]["name"], subresource)) == made


@pytest.mark.parametrize(
    "call",
    [
        lambda api: api.put(CSRS, csr()),
        lambda api: api.post(csr_path("x"), csr()),
        lambda api: api.post(csr_path("x", "status"), csr()),
        lambda api: api.get("/api/v1/namespaces/default/serviceaccounts/x/token"),
        lambda api: api.post("/api/v1/pods", {}),
    ],
    ids=["PUT collection", "POST object", "POST status", "GET token", "POST across namespaces"],
)
def test_a_method_that_makes_no_sense_is_405(target: Target, call: Callable[[Api], object]) -> None:
    """And the reason says so."""
    refused = refusal(lambda: call(target.api))
    assert (refused.status, refused.reason) == (405, "MethodNotAllowed")


@pytest.mark.parametrize("path", ["/apis/certificates.k8s.io/v1/nonsense", "/api/v1/nonsense"])
def test_a_resource_that_is_not_there_is_404(target: Target, path: str) -> None:
    """Within a group it is a Status object."""
    assert refusal(lambda: target.api.get(path)).reason == "NotFound"


@real_only
def test_a_group_that_is_not_there_is_404(target: Target) -> None:
    """Beyond the groups it is plain text: clients must not expect JSON in every error."""
    refused = refusal(lambda: target.api.get("/apis/nonsense.example.com/v1/x"))
    assert (refused.status, str(refused.body).strip()) == (404, "404 page not found")


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b'"x"', b'{"a": NaN}'])
def test_a_body_that_is_no_object_is_a_bad_request(target: Target, body: bytes) -> None:
    """Whatever it is, it is 400."""
    assert _post(target, body, "application/json")[0] == 400


@real_only
@pytest.mark.parametrize(
    "changes",
    [{"kind": "Pod"}, {"apiVersion": "certificates.k8s.io/v1beta1"}, {"metadata": []}, {"spec": "x"}],
    ids=str,
)
def test_a_body_of_another_kind_is_a_bad_request(target: Target, changes: dict[str, object]) -> None:
    """Kind, version and types must be those of the path; both names may be absent."""
    assert _post(target, json.dumps({**csr(), **changes}).encode(), "application/json")[0] == 400
    absent = {key: value for key, value in csr().items() if key not in {"kind", "apiVersion"}}
    assert _post(target, json.dumps(absent).encode(), "application/json")[0] == 201


def test_a_patch_says_its_kind(target: Target) -> None:
    """A patch of no known type is 415."""
    made = target.create_csr()
    assert refusal(lambda: target.api.patch(csr_path(made["metadata"]["name"]), {}, subtype="nonsense")).status == 415


@real_only
def test_a_body_has_at_most_3_mib(target: Target) -> None:
    """More is refused, with a Status object."""
    status, body = _post(target, b" " * (3 << 20) + json.dumps(csr()).encode(), "application/json")
    assert status == 413
    assert json.loads(body)["reason"] == "RequestEntityTooLarge"


def _post(target: Target, body: bytes, media_type: str) -> tuple[int, str]:
    headers = {**target.api._headers, "Content-Type": media_type}  # noqa: SLF001 - the client only sends what is right
    answer = target.api._pool.urlopen("POST", CSRS, body=body, headers=headers, retries=False)  # noqa: SLF001
    return answer.status, answer.data.decode()
