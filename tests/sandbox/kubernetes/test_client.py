"""`sandbox.api`, the client that the whole sandbox uses."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from sandbox.api import CSRS, Api, ApiError, csr_path, quoted
from sandbox.kubernetes import KubernetesServer
from tests.contract.kubernetes.support import SELF_REVIEWS, csr, make_pod, refusal, request_token


@pytest.fixture
def behind_a_path(server: KubernetesServer, tmp_path: Path) -> Iterator[Api]:
    """A client whose server address has a path, as behind a gateway."""
    document = json.loads(server.kubeconfig.read_text())
    document["clusters"][0]["cluster"]["server"] += "/prefix/"
    path = tmp_path / "prefixed"
    path.write_text(json.dumps(document))
    with Api.from_kubeconfig(path) as api:
        yield api


def test_a_path_in_the_address_is_kept(server: KubernetesServer, behind_a_path: Api) -> None:
    """Every request goes below it."""
    refusal(lambda: behind_a_path.get(CSRS))
    assert server.requests[-1].path == f"/prefix{CSRS}"


def test_an_answer_without_json_is_an_error_with_its_text(api: Api) -> None:
    """Also where the status is fine."""
    error = refusal(lambda: api.get("/healthz"))
    assert (error.status, error.body, error.message, error.reason) == (200, "ok", "ok", "")


def test_a_refusal_says_status_reason_and_message(api: Api) -> None:
    """All three are there, and the message is in the text of the exception."""
    error = refusal(lambda: api.get(csr_path("x")))
    assert (error.status, error.reason) == (404, "NotFound")
    assert error.message in str(error).replace("\\", "")


def test_a_token_replaces_the_certificate(api: Api) -> None:
    """Whoever uses a token is not the administrator any more; the administrator stays who it is."""
    pod = make_pod(api)
    bearer = api.with_token(request_token(api, pod))
    names = [each.post(SELF_REVIEWS, {})["status"]["userInfo"]["username"] for each in (bearer, api)]
    assert names == [f"system:serviceaccount:{pod.namespace}:{pod.account}", "kubernetes-admin"]


def test_a_refused_watch_is_an_error_at_once(api: Api) -> None:
    """Not only when its events are read."""
    with pytest.raises(ApiError, match="field label not supported"):
        api.watch(CSRS, fieldSelector="spec.x=y")


def test_a_silent_watch_times_out(api: Api) -> None:
    """Nothing for longer than asked ends the iteration with an error, as half-open connections must."""
    with api.watch(CSRS, read_seconds=0.1) as events, pytest.raises(urllib3.exceptions.HTTPError):
        next(events)


def test_queries_are_written_as_the_api_server_reads_them(server: KubernetesServer, api: Api) -> None:
    """Truth values in lower case, everything quoted."""
    api.get(CSRS, allowWatchBookmarks=False, fieldSelector="metadata.name=a&b", limit=1)
    assert server.requests[-1].query == "allowWatchBookmarks=false&fieldSelector=metadata.name%3Da%26b&limit=1"


@pytest.mark.parametrize("name", ["a/b", "..", "a?b#c", "é", "a b", "%2f"])
def test_a_quoted_name_is_one_segment(name: str) -> None:
    """Nothing in a name ends it or the path."""
    assert not set(quoted(name)) & set("/?# ")
    assert quoted(name).isascii()


def test_connections_are_kept(server: KubernetesServer, api: Api) -> None:
    """One thread needs one connection for many requests."""
    for _ in range(20):
        api.post(CSRS, csr())
    assert api._pool.num_connections == 1  # noqa: SLF001 - what the pool counts
    assert len(server.requests) == 20


def test_a_wrong_address_is_refused_before_it_is_used(tmp_path: Path, server: KubernetesServer) -> None:
    """Only https, since tokens are sent."""
    path = tmp_path / "plain"
    path.write_text(server.kubeconfig.read_text().replace("https://", "http://"))
    with pytest.raises(ValueError, match="must be an https address"):
        Api.from_kubeconfig(path)
