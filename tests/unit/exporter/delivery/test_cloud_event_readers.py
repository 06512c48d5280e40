"""What the exporter puts on the wire, read by two SDKs that share no code: functions-framework's, and its successor."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from cloudevents.http import from_http

from csr_exporter.configuration import Function
from csr_exporter.delivery.sender import Sender
from csr_exporter.queue.item import WorkItem
from development import apart
from development.lock import CLOUDEVENTS
from tests.unit.exporter.golden import CASES, FOLDER, SOURCE, referring_to
from tests.unit.exporter.support import Request, ScriptedServer, answer

# A list of (headers, body) in; of (attributes, data) out. Version 2 makes a datetime of `time`.
_SECOND_SDK = """
import json, sys
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
read = [from_http_event(HTTPMessage(headers, body.encode())) for headers, body in json.load(sys.stdin)]
pairs = [(event.get_attributes(), event.get_data()) for event in read]
json.dump(pairs, sys.stdout, default=lambda time: time.isoformat())
"""


@pytest.fixture(scope="module")
def second_sdk() -> Path:
    """The interpreter that has cloudevents 2."""
    try:
        return apart.python(CLOUDEVENTS)
    except subprocess.CalledProcessError as error:
        reason = f"NOT TESTED with cloudevents 2: its packages cannot be installed: {error}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="module")
def sent() -> dict[str, Request]:
    """Each golden event as it came over HTTP from a delivery."""
    with ScriptedServer(lambda *_: answer(200, {"outcome": "issued"})) as server:
        delivery = Sender(source=SOURCE, function=Function(url=server.url + "/", audience="a"), token=None)
        for name, stage, resend in CASES.values():
            delivery.send(WorkItem(reference=referring_to(name), stage=stage, attempt=1, resend=resend))
        delivery.close()
    return dict(zip(CASES, server.requests, strict=True))


def _content_types(request: Request) -> list[dict[str, str]]:
    """The request's own headers, and the same with the charset that an intermediary may add (CloudEvents HTTP §3.2)."""
    return [request.headers, request.headers | {"content-type": "application/cloudevents+json; charset=utf-8"}]


def test_the_golden_events_are_what_is_sent(sent: dict[str, Request]) -> None:
    """Byte for byte, under the structured mode's content type, with the trace in the header too."""
    for name, request in sent.items():
        assert request.body == (FOLDER / name).read_bytes()
        assert request.headers["content-type"] == "application/cloudevents+json"
        assert request.headers["traceparent"] == json.loads(request.body)["traceparent"]


def test_the_functions_sdk_reads_every_event(sent: dict[str, Request]) -> None:
    """Version 1.12, which functions-framework pins: every attribute and the data as they were meant."""
    for request in sent.values():
        for headers in _content_types(request):
            read = from_http(headers, request.body)
            attributes, data = dict(read.get_attributes()), read.get_data()
            assert attributes | {"data": data} == json.loads(request.body)


@pytest.mark.slow
def test_another_sdk_reads_the_same(second_sdk: Path, sent: dict[str, Request]) -> None:
    """Version 2, written anew and stricter: the same attributes and data."""
    messages = [(headers, request.body.decode()) for request in sent.values() for headers in _content_types(request)]
    given = json.dumps(messages).encode()
    ran = subprocess.run([second_sdk, "-c", _SECOND_SDK], input=given, capture_output=True, check=True, timeout=60)
    read = json.loads(ran.stdout)
    assert len(read) == len(messages)
    for (attributes, data), (_, body) in zip(read, messages, strict=True):
        attributes["time"] = attributes["time"].replace("+00:00", "Z")
        assert attributes | {"data": data} == json.loads(body)
