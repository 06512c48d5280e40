"""What the process answers, whatever comes and whatever is wrong with its configuration."""

import base64
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from csr_signer.audit import Audit
from csr_signer.events.cloud_event import EVENT_TYPE
from csr_signer.service import CONFIGURATION, Loaded, Service
from sandbox.api import Api, csr_path
from sandbox.kubernetes import KubernetesServer
from tests.unit.function import asgi
from tests.unit.function.asgi import json_of
from tests.unit.function.ports.blocking import Blocking
from tests.unit.function.ports.conftest import SOURCE, FileCsr, Recorder, conditions


def event(csr: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The exporter's event for a stored CSR."""
    metadata = csr["metadata"]
    return {
        "specversion": "1.0",
        "type": EVENT_TYPE,
        "source": SOURCE,
        "subject": metadata["name"],
        "id": f"{metadata['uid']}/pending",
        "datacontenttype": "application/json",
        "data": {"name": metadata["name"], "uid": metadata["uid"]},
        **changes,
    }


def post(body: object, **headers: str) -> Request:
    """A request with a structured event."""
    content = json.dumps(body).encode() if not isinstance(body, bytes) else body
    kind = "application/cloudevents+json"
    return asgi.request(content, content_type=kind, headers=headers)


Ask = Callable[[Request], Response]


@pytest.fixture
def ask(write_configuration: Callable[..., Path], recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Asks a service that is configured for the stage."""
    monkeypatch.setenv(CONFIGURATION, str(write_configuration()))
    respond: Ask = Blocking(Service(Audit(write=recorder.write))).respond
    return respond


def test_an_event_is_answered_when_the_certificate_is_there(ask: Ask, file_csr: FileCsr, admin: Api) -> None:
    """200 means that the certificate is persisted. Since then, Python's lock changes hands soon if a thread parses."""
    csr = file_csr()
    answer = ask(post(event(csr)))
    assert sys.getswitchinterval() < 0.001
    assert (answer.status_code, json_of(answer)) == (200, {"outcome": "issued", "reason": ""})
    assert admin.get(csr_path(csr["metadata"]["name"]))["status"]["certificate"]


def test_garbage_in_a_request_is_denied_and_named(ask: Ask, file_csr: FileCsr, admin: Api) -> None:
    """Text before the PEM block, which the API server lets through, is a named violation."""
    csr = file_csr()
    body = {
        "metadata": {"name": f"{csr['metadata']['name']}-text"},
        "spec": csr["spec"]
        | {"request": base64.b64encode(b"text\n" + base64.b64decode(csr["spec"]["request"])).decode()},
    }
    filed = admin.post("/apis/certificates.k8s.io/v1/certificatesigningrequests", body)
    assert json_of(ask(post(event(filed))))["outcome"] == "refused"
    assert "request.pem" in conditions(admin.get(csr_path(filed["metadata"]["name"])))["Denied"]["message"]


MALFORMED = {
    "no json": b"{",
    "a secret in an unknown source": {"source": "secret-value", "specversion": "1.0", "id": "1", "type": EVENT_TYPE},
    "a list": [],
    "an empty body": b"",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_event_is_answered_400_without_echo(ask: Ask, recorder: Recorder, body: object) -> None:
    """Neither answer nor record repeats anything that was sent, the token least of all."""
    answer = ask(post(body, Authorization="Bearer secret-value"))
    assert answer.status_code == 400
    assert json_of(answer) == {"outcome": "fault", "reason": "EventError"}
    assert "Retry-After" not in answer.headers
    assert "secret-value" not in json.dumps(recorder.lines)
    assert recorder.lines[-1]["event"] == "fault"


@pytest.mark.parametrize("name", ["a/b", "..", ".", "a%2fb", "a\nb", "x" * 60_000, ""])
def test_a_name_that_could_leave_its_url_asks_the_api_server_nothing(
    ask: Ask, file_csr: FileCsr, api_server: KubernetesServer, name: str
) -> None:
    """A hostile name is refused before any request is made of it."""
    csr = file_csr()
    hostile = {"metadata": csr["metadata"] | {"name": name}}
    api_server.forget_requests()
    assert ask(post(event(hostile))).status_code == 400
    assert api_server.requests == ()


def test_a_wrong_configuration_fails_each_request_until_it_is_right(
    write_configuration: Callable[..., Path],
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    file_csr: FileCsr,
) -> None:
    """The answer is 503 with Retry-After and an ERROR record. After the correction, the same process serves."""
    service = Blocking(Service(Audit(write=recorder.write)))
    csr = file_csr()
    monkeypatch.delenv(CONFIGURATION, raising=False)
    answer = service.respond(post(event(csr)))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert recorder.lines[-1]["severity"] == "ERROR"
    assert CONFIGURATION in recorder.lines[-1]["message"]
    monkeypatch.setenv(CONFIGURATION, str(write_configuration()))
    answer = service.respond(post(event(csr)))
    assert json_of(answer) == {"outcome": "issued", "reason": ""}


def test_a_ca_that_is_not_the_keys_is_refused_by_name(
    write_configuration: Callable[..., Path],
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    file_csr: FileCsr,
    admin: Api,
    key_version: str,
    tmp_path: Path,
    other_ca: bytes,
) -> None:
    """A certificate of another key stops everything before an approval, and the record names the key version."""
    (tmp_path / "other.pem").write_bytes(other_ca)
    issuer = {"key_version": key_version, "certificate": "other.pem", "trust_bundle": "other.pem"}
    monkeypatch.setenv(CONFIGURATION, str(write_configuration(issuer=issuer)))
    service = Blocking(Service(Audit(write=recorder.write)))
    csr = file_csr()
    answer = service.respond(post(event(csr)))
    assert answer.status_code == 503
    assert key_version in recorder.lines[-1]["message"]
    assert "must be that of the CA certificate" in recorder.lines[-1]["message"]
    assert admin.get(csr_path(csr["metadata"]["name"])) == csr


def test_a_fault_of_ours_is_one_items_and_tells_no_text(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception is answered 500, and recorded by its kind and place without its message."""

    async def broken(_: Audit) -> Loaded:
        raise RuntimeError("requester's \x1b[31m text")

    monkeypatch.setattr("csr_signer.service.load", broken)
    answer = Blocking(Service(Audit(write=recorder.write))).respond(post({}))
    assert answer.status_code == 500
    assert re.fullmatch(r"unexpected RuntimeError at [a-z_./:0-9, ]+", recorder.lines[-1]["message"])
    assert recorder.lines[-1]["severity"] == "ERROR"


def test_a_record_that_cannot_be_written_is_answered_503(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a fault whose record is lost has an answer."""
    recorder.broken = True
    monkeypatch.delenv(CONFIGURATION, raising=False)
    answer = Blocking(Service(Audit(write=recorder.write))).respond(post({}))
    assert (answer.status_code, json_of(answer)["reason"]) == (503, "AuditError")


def test_first_requests_at_once_load_one_configuration(
    write_configuration: Callable[..., Path], recorder: Recorder, monkeypatch: pytest.MonkeyPatch, file_csr: FileCsr
) -> None:
    """Eight first requests for one CSR share one service, and so its limiter: it is issued once, the others wait."""
    monkeypatch.setenv(CONFIGURATION, str(write_configuration()))
    service = Blocking(Service(Audit(write=recorder.write)))
    csr = file_csr()
    with ThreadPoolExecutor(8) as executor:
        answers = list(executor.map(lambda _: service.respond(post(event(csr))), range(8)))
    outcomes = Counter(json_of(answer)["outcome"] for answer in answers)
    assert outcomes.keys() <= {"issued", "deferred", "ignored"}
    assert outcomes["issued"] == 1
    assert recorder.events(csr["metadata"]["uid"]).count("intent") == 1
