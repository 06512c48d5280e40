"""signerctl talks to an API server with the operator's kubeconfig."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from csr_signer.objects.json_fields import Mask
from sandbox.kubernetes import KubernetesServer
from signerctl.api_server import ApiServer, ApiServerError, connect, server_time
from signerctl.interface.program import CommandError
from tests.unit.signerctl.answers import answering

NAMESPACES = "/api/v1/namespaces"
NAMES: Mask = {"metadata": {"name": None}}
SERVICE_ACCOUNTS = "/api/v1/namespaces/many/serviceaccounts"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesServer]:
    """Returns a running API server."""
    with KubernetesServer(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="module")
def api(cluster: KubernetesServer) -> ApiServer:
    """Returns a client with the administrator's kubeconfig."""
    return connect(cluster.kubeconfig)


def namespace(name: str) -> dict[str, object]:
    """Returns a namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def test_an_object_is_created_and_read(api: ApiServer) -> None:
    """The created object comes back with its uid, and can be read."""
    assert api.create(NAMESPACES, namespace("here"))["metadata"]["uid"]
    found = api.get(f"{NAMESPACES}/here")
    assert found is not None
    assert found["metadata"]["name"] == "here"


def test_an_absent_object_is_none(api: ApiServer) -> None:
    """Absence is a value, because most callers ask whether an object exists."""
    assert api.get(f"{NAMESPACES}/absent") is None


def test_a_list_has_the_items_of_all_pages(cluster: KubernetesServer) -> None:
    """A cluster has more CSRs than one page holds."""
    api = connect(cluster.kubeconfig, page=2)
    api.create(NAMESPACES, namespace("many"))
    names = [f"account-{index}" for index in range(5)]
    for name in names:
        api.create(SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
    assert [each["metadata"]["name"] for each in api.list(SERVICE_ACCOUNTS, NAMES)] == names


def test_a_circular_list_ends_with_an_error(tmp_path: Path) -> None:
    """A hostile name in a continue token can make a circle of several pages."""
    with answering() as answers:
        tokens = iter(["a", "b", "c", "b"])
        answers.prepared[f"GET {SERVICE_ACCOUNTS}"] = lambda _: (
            200,
            {"metadata": {"continue": next(tokens)}, "items": [{}]},
        )
        with pytest.raises(ApiServerError, match="the list has no end"):
            list(connect(answers.kubeconfig(tmp_path)).list(SERVICE_ACCOUNTS, NAMES))


@pytest.mark.parametrize("content", ["no JSON", "[]", "{}", '{"items": [{}'])
def test_an_answer_that_is_no_object_is_an_error(tmp_path: Path, content: str) -> None:
    """Another server than an API server answers, for example a proxy."""
    with answering() as answers:
        answers.prepared[f"GET {NAMESPACES}"] = (200, content)
        api = connect(answers.kubeconfig(tmp_path))
        with pytest.raises(ApiServerError, match="the answer is not JSON"):
            api.get(NAMESPACES)
        with pytest.raises(ApiServerError, match="the answer is not JSON"):
            list(api.list(NAMESPACES, NAMES))


@pytest.mark.parametrize("items", ["xyz", 5])
def test_a_page_whose_items_are_not_a_list_is_an_error(tmp_path: Path, items: object) -> None:
    """A list raises an ApiServerError, and no exception of Python's own."""
    with answering() as answers:
        answers.prepared[f"GET {NAMESPACES}"] = (200, {"items": items})
        with pytest.raises(ApiServerError, match="the answer is not JSON"):
            list(connect(answers.kubeconfig(tmp_path)).list(NAMESPACES, NAMES))


def test_a_fault_of_tls_is_no_answer(cluster: KubernetesServer, tmp_path: Path) -> None:
    """The kubernetes package raises an exception of its own for it."""
    content = yaml.safe_load(cluster.kubeconfig.read_text())
    del content["clusters"][0]["cluster"]["certificate-authority-data"]
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ApiServerError, match=r"no answer: .*certificate verify failed"):
        connect(path).get(NAMESPACES)


@pytest.mark.parametrize("date", ["", "yesterday", "Fri, 27 Nov 2026 10:00:00 -0000"])
def test_a_date_without_a_time_zone_is_none(date: str) -> None:
    """Such a time cannot be compared with another."""
    assert server_time(date) is None


def test_a_refusal_has_the_api_servers_reason_and_message(api: ApiServer) -> None:
    """The operator sees what was asked and why it was refused."""
    api.create(NAMESPACES, namespace("twice"))
    with pytest.raises(ApiServerError, match=r"POST /api/v1/namespaces: 409: .*already exists") as refused:
        api.create(NAMESPACES, namespace("twice"))
    assert refused.value.answer is not None
    assert refused.value.answer.reason == "AlreadyExists"


def test_an_unreachable_api_server_is_named(cluster: KubernetesServer, tmp_path: Path) -> None:
    """The message names the server, so that an operator sees a wrong context."""
    path = tmp_path / "kubeconfig"
    path.write_text(cluster.kubeconfig.read_text().replace(cluster.server, "https://127.0.0.1:1"))
    with pytest.raises(ApiServerError, match=r"API server https://127\.0\.0\.1:1: no answer") as fault:
        connect(path).get(NAMESPACES)
    assert fault.value.answer is None


def test_a_kubeconfig_without_the_context_is_refused(cluster: KubernetesServer) -> None:
    """The error names the option, the context, and those that the file has."""
    message = '--context: Unsupported value: "absent": supported values: "sandbox"'
    with pytest.raises(CommandError, match=f"^{message}$"):
        connect(cluster.kubeconfig, "absent")


def test_a_pod_without_a_usable_account_needs_a_kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what the pod lacks."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_PORT", raising=False)
    message = "^--kubeconfig: Required value: the pod's service account cannot be used: Service host/port is not set"
    with pytest.raises(CommandError, match=message):
        connect()


def test_a_context_in_a_pod_needs_a_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pod's own service account would be another cluster than the operator chose."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "absent"))
    message = f'--kubeconfig: Invalid value: "{tmp_path}/absent": must be a kubeconfig: .*No configuration found'
    with pytest.raises(CommandError, match=message):
        connect(context="prod")


@pytest.mark.parametrize("context", [None, "prod"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("just text", ""),
        ("- a list", ""),
        ("", ": Invalid kube-config. FILE file is empty"),
        ("a: [", ": while parsing a flow node expected the node content, but found '<stream end>' in"),
        ("kind: Config", ": Invalid kube-config file. Expected "),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_refused(
    tmp_path: Path, content: str, reason: str, context: str | None
) -> None:
    """The error names the option, the file, and what is wrong, also with a context."""
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    with pytest.raises(CommandError) as refused:
        connect(path, context)
    message = f'--kubeconfig: Invalid value: "{path}": must be a kubeconfig'
    assert refused.value.message.startswith(message + reason.replace("FILE", str(path)))
    assert reason or refused.value.message == message
