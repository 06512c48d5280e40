"""doctor follows the exporter's way to the function, and names the link that is broken."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from signerctl.doctor import documents, function, identity
from signerctl.doctor.examination import Examination
from signerctl.doctor.result import Result
from signerctl.doctor.walk import CHECKS, run_check
from tests.unit.signerctl.answers import Answers, Prepared
from tests.unit.signerctl.doctor.conftest import CALLER, Examine, jwt
from tests.unit.signerctl.doctor.healthy import EVENT, HONEST, IAM, STS

SERVICE = "https://csr-signer-abc-ew.a.run.app"
Mounted = Callable[..., Examination]


@pytest.fixture
def found(examine: Examine, exporter_document: Path, service: Answers) -> Examination:
    """Everything answers as it should."""
    service.prepared |= HONEST
    return examine(exporter_configuration=exporter_document)


def walked(found: Examination) -> dict[str, Result]:
    """Makes the checks of this way in their order, as long as none blocks."""
    checks = {
        "exporter-configuration": documents.exporter_configuration,
        "token": identity.token,
        "sts": identity.security_token_service,
        "iam": identity.iam,
        "invoker": function.invoker,
        "function": function.function,
    }
    results = {}
    for name, check in checks.items():
        results[name] = check(found)
        if results[name].blocks:
            break
    return results


def test_a_healthy_way_is_ok_and_no_token_is_told(found: Examination, service: Answers) -> None:
    """Each link is ok; the tokens go to their services, and into no result."""
    results = walked(found)
    assert {each.level for each in results.values()} == {"ok"}
    text = " ".join(each.found + each.remedy for each in results.values())
    assert "secret" not in text
    assert found.subject_token not in text
    authorizations = [headers.get("Authorization") for _, _, headers, _ in service.received]
    assert authorizations == [None, "Bearer secret-access", "Bearer secret-id"]


def test_the_event_names_no_csr_that_exists(found: Examination, service: Answers) -> None:
    """It is an event of the cluster's source about a random CSR, so the function changes nothing."""
    walked(found)
    event = json.loads(service.received[-1][3])
    assert event["source"] == "//example.com/prod"
    assert event["subject"] == event["data"]["name"] == f"signerctl-doctor-{event['data']['uid']}"


BROKEN = {
    "STS refuses": ("sts", STS, (400, {"error": "invalid_grant", "error_description": "no audience"}), "no audience"),
    "STS is no STS": ("sts", STS, (200, "welcome"), "STS answers 200"),
    "the account is missing": ("iam", IAM, (403, {"error": {"message": "denied on resource"}}), "denied on resource"),
    "IAM answers without a token": ("iam", IAM, (200, {}), "generateIdToken"),
    "another audience": ("invoker", EVENT, (401, ""), "does not accept the ID token's audience"),
    "no right to invoke": ("invoker", EVENT, (403, ""), f'"{CALLER}" may not invoke'),
}


@pytest.mark.parametrize(("check", "path", "answer", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_link_is_named(
    found: Examination, service: Answers, *, check: str, path: str, answer: Prepared, words: str
) -> None:
    """The check of the link is the first error; it says what is wrong and what to do."""
    service.prepared[path] = answer
    results = walked(found)
    name, last = list(results.items())[-1]
    assert (name, last.level) == (check, "error")
    assert words in last.found
    assert last.remedy


ANSWERS = {
    "its configuration is wrong": (503, {"outcome": "fault", "reason": "ConfigurationError"}, "error", "an operator"),
    "the API server is away": (503, {"outcome": "fault", "reason": "ApiServerUnavailableError"}, "error", "API server"),
    "another document": (400, {"outcome": "fault", "reason": "EventError"}, "error", "source or caller"),
    "overloaded": (429, {"outcome": "fault", "reason": "ConcurrencyLimitError"}, "warning", "overloaded"),
    "a fault of this item": (500, {"outcome": "fault", "reason": "ItemError"}, "error", "ItemError"),
    "no instance": (503, "no healthy upstream", "error", "no instance"),
    "another server": (200, "<html>", "error", "not as the function does"),
    "no such service": (404, "", "error", "not as the function does"),
}


@pytest.mark.parametrize(("status", "body", "level", "words"), ANSWERS.values(), ids=ANSWERS)
def test_the_functions_answer_is_told(
    found: Examination, service: Answers, *, status: int, body: object, level: str, words: str
) -> None:
    """Each kind of answer has its own meaning and remedy."""
    service.prepared[EVENT] = status, body
    documents.exporter_configuration(found)
    outcome = function.function(found)
    assert outcome.level == level
    assert words in outcome.found
    assert outcome.remedy


def test_an_unreachable_function_is_named(found: Examination, exporter_document: Path) -> None:
    """No answer at all is the function's error, not the invoker's."""
    text = exporter_document.read_text()
    exporter_document.write_text(
        json.dumps(json.loads(text) | {"function": {"url": "http://127.0.0.1:1/", "audience": "a"}})
    )
    results = walked(found)
    assert results["invoker"].level == "unknown"
    assert function.function(found).level == "error"
    assert "Connection refused" in function.function(found).found


def test_without_a_token_the_front_door_must_refuse(found: Examination, service: Answers) -> None:
    """If the walk has no ID token, 403 only shows that the service is there."""
    service.prepared[EVENT] = 403, ""
    documents.exporter_configuration(found)
    assert function.function(found).level == "unknown"


@pytest.mark.parametrize("content", [b"[" * 100_000, b"x" * 10_000_000], ids=["nested", "long"])
def test_an_answer_of_any_size_is_told(found: Examination, service: Answers, content: bytes) -> None:
    """Doctor reads at most 64 KiB of it."""
    service.prepared[EVENT] = 200, content
    documents.exporter_configuration(found)
    assert "not as the function does" in function.function(found).found


NO_JWT = "/token: Invalid value: must be a JWT with the claim exp, as the API server makes it"
TOKENS = {
    "expired": (jwt(exp=1), "s ago, by this machine's clock"),
    "garbage": ("a b", NO_JWT),
    "no exp": (jwt(), NO_JWT),
}


@pytest.mark.parametrize(("token", "words"), TOKENS.values(), ids=TOKENS)
def test_a_token_that_sts_would_refuse_is_named(found: Examination, tmp_path: Path, token: str, words: str) -> None:
    """STS would refuse it with a less clear message."""
    (tmp_path / "token").write_text(token)
    documents.exporter_configuration(found)
    outcome = identity.token(found)
    assert outcome.level == "error"
    assert words in outcome.found


@pytest.fixture
def mounted(examine: Examine, exporter_document: Path, service: Answers, api: Answers) -> Mounted:
    """Puts the exporter's document into the cluster, with Google's URLs, after a change."""
    service.prepared |= HONEST
    namespace = "/namespaces/kms-csr-signer"
    volumes = [
        {"name": "configuration", "configMap": {"name": "its-configuration"}},
        {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"audience": "p.svc.id.goog"}}]}},
    ]

    def make(change: Callable[[dict[str, Any]], object] = lambda _: None) -> Examination:
        content = json.loads(exporter_document.read_text())
        del content["identity"]["unsafe_sts_url"], content["identity"]["unsafe_iam_credentials_url"]
        content["function"] = {"url": f"{SERVICE}/", "audience": SERVICE}
        change(content)
        workload = {"spec": {"template": {"spec": {"volumes": volumes}}}}
        data = {"configuration.json": json.dumps(content)}
        token = {"status": {"token": jwt(exp=4102444800, aud="p.svc.id.goog")}}
        api.prepared |= {
            f"GET /apis/apps/v1{namespace}/statefulsets/csr-exporter": (200, workload),
            f"GET /api/v1{namespace}/configmaps/its-configuration": (200, {"data": data}),
            f"POST /api/v1{namespace}/serviceaccounts/csr-exporter/token": (201, token),
        }
        return examine()

    return make


def test_a_cluster_gives_the_exporters_document_and_token(mounted: Mounted, api: Answers, tmp_path: Path) -> None:
    """Without a file, doctor reads the ConfigMap that the pods mount, and asks for a token like theirs."""
    (tmp_path / "token").unlink()
    found = mounted()
    assert documents.exporter_configuration(found).level == "ok"
    assert identity.token(found).level == "ok"
    (asked,) = (json.loads(body)["spec"] for method, _, _, body in api.received if method == "POST")
    assert asked == {"audiences": ["p.svc.id.goog"], "expirationSeconds": 600}


URLS = {
    "STS": ("identity", "unsafe_sts_url", "https://sts.example.com"),
    "a name below STS's": ("identity", "unsafe_sts_url", "https://sts.googleapis.com.example.com"),
    "STS's name as a username": ("identity", "unsafe_sts_url", "https://sts.googleapis.com@example.com"),
    "a backslash, which parsers read differently": (
        "identity",
        "unsafe_sts_url",
        "https://example.com\\@sts.googleapis.com",
    ),
    "IAM Credentials": ("identity", "unsafe_iam_credentials_url", "https://iam.googleapis.com"),
    "STS on this machine": ("identity", "unsafe_sts_url", "http://127.0.0.1:8001"),
    "IAM Credentials with a query": (
        "identity",
        "unsafe_iam_credentials_url",
        "https://iamcredentials.googleapis.com/?",
    ),
    "the function": ("function", "url", "https://function.example/"),
    "the function's domain in a path": ("function", "url", "https://example.com/a.run.app"),
    "the function on this machine": ("function", "url", "http://127.0.0.1:8001/api/v1/nodes/n/proxy/run/ns/pod/c"),
    "the function's audience": ("function", "audience", "https://function.example"),
    "another service than the audience": ("function", "url", "https://attacker-abc-ew.a.run.app/"),
    "a command in the function's URL": ("function", "url", "https://a.run.app/;curl"),
}


@pytest.mark.parametrize(("section", "field", "url"), URLS.values(), ids=URLS)
def test_a_config_map_cannot_send_tokens_elsewhere(
    mounted: Mounted, service: Answers, api: Answers, *, section: str, field: str, url: str
) -> None:
    """An administrator of the exporter's namespace can write it: doctor asks for no token, and sends none."""
    examination = mounted(lambda content: content[section].update({field: url}))
    check = next(each for each in CHECKS if each.name == "exporter-configuration")
    outcome = run_check(check, examination)
    assert outcome.level == "error"
    assert outcome.blocks
    refused = (f"{section}.{field}: Invalid value", "a URL must be https (http on this machine), without username")
    assert any(each in outcome.found for each in refused)
    assert not service.received
    assert not [path for method, path, _, _ in api.received if method == "POST"]


def test_a_config_map_cannot_name_a_file_of_the_operator(mounted: Mounted, tmp_path: Path) -> None:
    """Doctor reads a token file only if the operator gave the document; the cluster's own gets a TokenRequest."""
    (tmp_path / "token").write_text("a-secret-of-the-operator")
    found = mounted()
    documents.exporter_configuration(found)
    assert identity.token(found).found.startswith("the API server's TokenRequest")
    assert found.subject_token != "a-secret-of-the-operator"


def test_a_server_that_sends_a_token_back_does_not_get_it_printed(found: Examination, service: Answers) -> None:
    """Whether STS, IAM Credentials or the function repeats a token, no result has it."""
    documents.exporter_configuration(found)
    identity.token(found)
    service.prepared[STS] = 400, {"error": "invalid_grant", "error_description": f"got {found.subject_token}"}
    assert found.subject_token not in identity.security_token_service(found).found
    service.prepared[STS] = 200, {"access_token": "secret-access\r\nHost: example.com"}
    assert identity.security_token_service(found).level == "error"
    service.prepared |= HONEST
    identity.security_token_service(found)
    service.prepared[IAM] = 403, {"error": {"message": "got secret-access"}}
    assert "secret-access" not in identity.iam(found).found
    service.prepared |= HONEST
    identity.iam(found)
    token = jwt(exp=1)
    service.prepared[EVENT] = 503, {"outcome": "fault", "reason": token}
    assert token not in function.function(found).found


DOCUMENTS = {
    "another source": ({"source": "//example.com/other"}, "source: Invalid value"),
    "a signer that it does not watch": ({"signers": []}, "signers: Required value"),
    "a token in the clear": ({"function": {"url": "http://example.com/", "audience": "a"}}, "must be https"),
    "no document": ({"identity": None}, "must be the exporter's configuration.json"),
}


@pytest.mark.parametrize(("change", "words"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_that_does_not_fit_the_functions_is_refused(
    found: Examination, exporter_document: Path, *, change: dict[str, object], words: str
) -> None:
    """Events of another source would be refused, and a token never goes over the network in the clear."""
    exporter_document.write_text(json.dumps(json.loads(exporter_document.read_text()) | change))
    check = next(each for each in CHECKS if each.name == "exporter-configuration")
    outcome = run_check(check, found)
    assert outcome.level == "error"
    assert words in outcome.found
