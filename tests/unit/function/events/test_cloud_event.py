"""Step 1, receive: an event says which CSR, and nothing else of it is used or echoed."""

import asyncio
import base64
import json
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from csr_signer import errors
from csr_signer.configuration.schema import Authentication, ClusterConfiguration
from csr_signer.errors import EventError, SignerError
from csr_signer.events import cloud_event
from csr_signer.events.cloud_event import EVENT_TYPE, LARGEST_EVENT, answer, answer_fault
from csr_signer.events.outcome import Deferred, Ignored, Issued, Outcome, Refused
from csr_signer.events.reference import RequestReference
from csr_signer.policy.triage import IgnoreReason
from tests.paths import GOLDEN
from tests.unit.function import asgi

EVENTS = GOLDEN / "events"
SOURCE = "//container.googleapis.com/projects/example-project/locations/europe-west1/clusters/demo"
UID = "5d2a4b1e-8f0c-4e57-9a39-0c6f2e1b7d44"
NAME = "node-certs:calico-node-x7k2p"
SECRET = "s3cr3t-of-the-sender"
STRUCTURED = "application/cloudevents+json"


def cluster(source: str = SOURCE, *invokers: str) -> ClusterConfiguration:
    """A configured cluster."""
    return ClusterConfiguration(source=source, authentication=Authentication(kubeconfig="k"), invokers=invokers)


CLUSTERS = {"other": cluster("//other"), "demo": cluster()}


def event(**changes: Any) -> dict[str, Any]:
    """What the exporter sends, with changes; None leaves an attribute out."""
    whole: dict[str, Any] = {
        "specversion": "1.0",
        "id": f"{UID}/pending",
        "source": SOURCE,
        "type": EVENT_TYPE,
        "subject": NAME,
        "datacontenttype": "application/json",
        "data": {"name": NAME, "uid": UID},
    }
    return {key: value for key, value in (whole | changes).items() if value is not None}


def named(name: str) -> dict[str, Any]:
    """An event about a CSR of that name."""
    return event(subject=name, data={"name": name, "uid": UID})


def posted(
    body: bytes | dict[str, Any], content_type: str = STRUCTURED, headers: Mapping[str, str] | None = None
) -> Request:
    """The HTTP request of an event."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return asgi.request(data, content_type=content_type, headers=headers)


def receive(request: Request, clusters: Mapping[str, ClusterConfiguration]) -> RequestReference:
    """Returns the reference that the function parses from a request."""
    return asyncio.run(cloud_event.receive(request, clusters))


def refused(request: Request) -> str:
    """The message of the error that a request ends in; neither it nor the answer repeats what was sent."""
    with pytest.raises(EventError) as raised:
        receive(request, CLUSTERS)
    response = answer_fault(raised.value)
    assert response.status_code == HTTPStatus.BAD_REQUEST
    assert asgi.json_of(response) == {"outcome": "fault", "reason": "EventError"}
    assert "Retry-After" not in response.headers
    assert SECRET not in str(raised.value) + bytes(response.body).decode() + str(response.headers)
    return str(raised.value)


@pytest.mark.parametrize("path", sorted(EVENTS.glob("*.json")), ids=lambda path: path.stem)
def test_the_exporters_events_are_read(path: Path) -> None:
    """Every golden event of the contract between exporter and function is a reference to its CSR."""
    content = json.loads(path.read_bytes())
    reference = receive(posted(path.read_bytes()), CLUSTERS)
    assert reference.cluster == "demo"
    assert (reference.name, reference.uid) == (content["data"]["name"], content["data"]["uid"])
    assert reference.event_id == content["id"]


def test_there_are_golden_events() -> None:
    """The contract is not empty."""
    assert len(list(EVENTS.glob("*.json"))) >= 3


def test_a_reference_is_a_pointer() -> None:
    """Cluster, name and uid; id and trace for the records."""
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    assert receive(posted(event(), headers=trace), CLUSTERS) == RequestReference(
        cluster="demo",
        name=NAME,
        uid=UID,
        event_id=f"{UID}/pending",
        trace_id="0af7651916cd43dd8448eb211c80319c",
    )


@pytest.mark.parametrize(
    ("header", "attribute", "trace"),
    [("00-" + "a" * 32 + "-b7ad6b7169203331-01", "b", "a"), ("garbage", "b", "b"), ("", "b", "b"), ("", "", "")],
)
def test_the_trace_is_the_headers_or_the_events(header: str, attribute: str, trace: str) -> None:
    """An intermediary may drop the header or go on with a span of its own; the event's is what was sent."""
    parent = {"traceparent": f"00-{attribute * 32}-b7ad6b7169203331-01"} if attribute else {}
    reference = receive(posted(event(**parent), headers={"traceparent": header}), CLUSTERS)
    assert reference.trace_id == trace * 32


@pytest.mark.parametrize(
    "trace", ["", "garbage", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", "00-a-b-01"]
)
def test_a_malformed_trace_is_ignored(trace: str) -> None:
    """A trace is a convenience, and never a reason to refuse an event."""
    assert receive(posted(event(), headers={"traceparent": trace}), CLUSTERS).trace_id == ""


def test_binary_mode_is_read_too() -> None:
    """Attributes in headers, data in the body."""
    headers = {f"ce-{key}": value for key, value in event(data=None, datacontenttype=None).items()}
    request = posted({"name": NAME, "uid": UID}, "application/json", headers)
    assert receive(request, CLUSTERS) == receive(posted(event()), CLUSTERS)


def test_unknown_attributes_and_data_mean_nothing() -> None:
    """A sender may say more than is read."""
    more = event(priority="1", data={"name": NAME, "uid": UID, "signerName": "kubernetes.io/x", "request": "PEM"})
    assert receive(posted(more), CLUSTERS) == receive(posted(event()), CLUSTERS)


@pytest.mark.parametrize(
    ("violation", "body"),
    [
        ("must be a CloudEvent", b""),
        ("must be a CloudEvent", SECRET.encode()),
        ("must be a CloudEvent", json.dumps(SECRET).encode()),
        ("must be a CloudEvent", json.dumps(json.dumps(event())).encode()),
        ("must be a CloudEvent", b"null"),
        ("must be a CloudEvent", b"5"),
        ("must be a CloudEvent", b"{}"),
        ("must be a CloudEvent", b'{"specversion": "1.0"}'),
        ("must be a CloudEvent", b"[]"),
        ("must be a CloudEvent", b"\xff\xfe" + SECRET.encode()),
        ("must be a CloudEvent", b'{"specversion": "1.0", "id": "\xff"}'),
        ("must be a CloudEvent", b"[" * 60_000),
        ("must be a CloudEvent", b'{"a":' * 12_000),
        ("must be a CloudEvent", json.dumps(event(specversion=None)).encode()),
        ("must be a CloudEvent", json.dumps(event(specversion="9.9")).encode()),
        ("must be a CloudEvent", json.dumps(event(specversion=[SECRET])).encode()),
        ("must be a CloudEvent", json.dumps(event(specversion=1.0)).encode()),
        ("must be a CloudEvent", json.dumps(event(id=None)).encode()),
        ("must be a CloudEvent", json.dumps(event(source=None)).encode()),
        ("must be a CloudEvent", json.dumps(event(type=None)).encode()),
        ("must be a CloudEvent", json.dumps(event(data=None, data_base64=SECRET + "!")).encode()),
        ("id: ", json.dumps(event(id=5)).encode()),
        ("id: ", json.dumps(event(id="")).encode()),
        ("id: ", json.dumps(event(id=[SECRET])).encode()),
        ("type: Unsupported value: supported values: dev.csrsigner", json.dumps(event(type=SECRET)).encode()),
        ("type: ", json.dumps(event(type=[EVENT_TYPE])).encode()),
        ("type: ", json.dumps(event(type=EVENT_TYPE.replace(".v1", ".v2"))).encode()),
        ("source: ", json.dumps(event(source=SECRET)).encode()),
        ("source: ", json.dumps(event(source=SOURCE + "/")).encode()),
        ("source: ", json.dumps(event(source={})).encode()),
        ("data: ", json.dumps(event(data=None)).encode()),
        ("data: ", json.dumps(event(data=SECRET)).encode()),
        ("data: ", json.dumps(event(data=json.dumps({"name": NAME, "uid": UID}))).encode()),
        ("data: ", json.dumps(event(data=[SECRET])).encode()),
        ("data: ", json.dumps(event(data={"name": NAME})).encode()),
        ("data: ", json.dumps(event(data={"uid": UID})).encode()),
        ("data: ", json.dumps(event(data={"name": 5, "uid": UID})).encode()),
        ("data: ", json.dumps(event(data={"name": NAME, "uid": None})).encode()),
        ("subject: ", json.dumps(event(subject=None)).encode()),
        ("subject: ", json.dumps(event(subject=SECRET)).encode()),
        ("subject: ", json.dumps(event(subject=[NAME])).encode()),
        ("data.uid: ", json.dumps(event(data={"name": NAME, "uid": SECRET})).encode()),
        ("data.uid: ", json.dumps(event(data={"name": NAME, "uid": UID.upper()})).encode()),
        ("data.uid: ", json.dumps(event(data={"name": NAME, "uid": UID + "\n"})).encode()),
        ("data.uid: ", json.dumps(event(data={"name": NAME, "uid": ""})).encode()),
    ],
    ids=lambda value: repr(value[:70]) if isinstance(value, bytes) else value,
)
def test_no_event_of_ours_is(violation: str, body: bytes) -> None:
    """Whatever is malformed, the sender is told what kind of fault it is, and hears nothing of what it sent."""
    assert violation in refused(posted(body))


@pytest.mark.parametrize(
    "name",
    [
        "/",
        "a/b",
        "../pods",
        "..",
        ".",
        "",
        "%2f",
        "%2e%2e",
        "a%00",
        "a\n",
        "a\r\nX-Header: b",
        "a\x00",
        "a\x7f",
        "a\x85b",
        "a\u2028b",
        "a\u202eb",
        "\ud800",
        "n" * 513,
        "é" * 257,
        "n" * 30_000,
    ],
    ids=lambda name: f"{name[:20]!a} of {len(name)}",
)
def test_no_name_leads_elsewhere(name: str) -> None:
    """A name becomes one segment of a path: what could be more, or could not be printed, is refused unread."""
    assert "data.name: " in refused(posted(named(name)))


def test_a_name_of_60_kb_is_refused_by_the_length_of_its_event() -> None:
    """The API server would store such a name; nothing of it is read here."""
    assert "content-length: " in refused(posted(named("n" * 60_000)))


@pytest.mark.parametrize(
    "name",
    ["a", "...", "a..b", ".hidden", "n" * 512, "é" * 256, "calico-system:calico-node-x7k2p", "a?b", "a#b", "a b", "~"],
    ids=lambda name: ascii(name[:20]),
)
def test_any_other_name_is_a_name(name: str) -> None:
    """The API server accepts these, so they are read; whoever puts one into a path quotes it."""
    assert receive(posted(named(name)), CLUSTERS).name == name


@pytest.mark.parametrize(
    "content_type",
    ["application/cloudevents-batch+json", "application/cloudevents-batch+json; charset=utf-8", "application/json"],
)
def test_a_batch_is_no_event(content_type: str) -> None:
    """One request is about one CSR, so that it has one answer."""
    assert "must be a CloudEvent" in refused(posted(json.dumps([event()]).encode(), content_type))


def test_length_is_declared_and_bounded() -> None:
    """64 KiB are read, one byte more is not, and neither is a body without its length."""
    padded = json.dumps(event()).encode().ljust(LARGEST_EVENT)
    assert receive(posted(padded), CLUSTERS).name == NAME
    assert "content-length" in refused(posted(padded + b" "))
    assert "content-length" in refused(posted(b"x", headers={"Content-Length": ""}))


@pytest.mark.parametrize("declared", ["50000", "3", "0", "-5", "", "x"])
def test_a_length_that_is_not_the_bodys_is_refused(declared: str) -> None:
    """A body that ends early, and a length that is none."""
    assert refused(posted(event(), headers={"Content-Length": declared}))


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_a_request_without_an_event_is_refused(method: str) -> None:
    """A visit by a browser or a probe is no event."""
    assert refused(asgi.request(method=method))


def test_an_event_id_is_bounded() -> None:
    """It goes into records, whose JSON escapes it: at most 128 characters, and a mark that it was cut."""
    sent = "\x1b[31m\n" + "é" * 500
    assert receive(posted(event(id=sent)), CLUSTERS).event_id == f"{sent[:128]}..."
    assert receive(posted(event(id=sent[:128])), CLUSTERS).event_id == sent[:128]


def token(claims: object) -> dict[str, str]:
    """The header of an ID token whose signature Cloud Run removed."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return {"Authorization": f"Bearer e30.{payload}.SIGNATURE_REMOVED_BY_GOOGLE"}


BOUND = {"demo": cluster(SOURCE, "exporter@p.iam.gserviceaccount.com"), "other": cluster("//other", "x@example.com")}


def test_an_invoker_of_the_cluster_is_let_in() -> None:
    """The caller that Cloud Run verified is one of the cluster's; without invokers, anyone who may call is."""
    headers = token({"email": "exporter@p.iam.gserviceaccount.com", "email_verified": True})
    assert receive(posted(event(), headers=headers), BOUND).cluster == "demo"
    assert receive(posted(event()), CLUSTERS).cluster == "demo"


@pytest.mark.parametrize(
    ("violation", "headers"),
    [
        ("must name an email", {}),
        ("must name an email", {"Authorization": ""}),
        ("must name an email", {"Authorization": f"Bearer {SECRET}"}),
        ("must name an email", {"Authorization": "Bearer a.!.c"}),
        ("must name an email", {"Authorization": f"Basic {SECRET}"}),
        ("must name an email", {"Authorization": "Bearer a.é.c".encode().decode("latin-1")}),
        ("must name an email", token({"sub": SECRET})),
        ("must name an email", token([SECRET])),
        ("must name an email", token(SECRET)),
        ("must name an email", token(5)),
        ("must name an email", {"Authorization": "Bearer a." + base64.b64encode(b"[" * 60_000).decode() + ".c"}),
        ("its email is not among the cluster's invokers", token({"email": SECRET, "email_verified": True})),
        ("its email is not among the cluster's invokers", token({"email": "x@example.com", "email_verified": True})),
        ("its email is not among the cluster's invokers", token({"email": "exporter@p.iam.gserviceaccount.com"})),
        (
            "its email is not among the cluster's invokers",
            token({"email": "exporter@p.iam.gserviceaccount.com", "email_verified": "true"}),
        ),
        (
            "its email is not among the cluster's invokers",
            {
                "X-Serverless-Authorization": token({"email": "x@example.com", "email_verified": True})[
                    "Authorization"
                ],
                **token({"email": "exporter@p.iam.gserviceaccount.com", "email_verified": True}),
            },
        ),
        (
            "its email is not among the cluster's invokers",
            token({"email": "Exporter@p.iam.gserviceaccount.com", "email_verified": True}),
        ),
        ("its email is not among the cluster's invokers", token({"email": None, "email_verified": True})),
        (
            "its email is not among the cluster's invokers",
            token({"email": ["exporter@p.iam.gserviceaccount.com"], "email_verified": True}),
        ),
    ],
    ids=range(19),
)
def test_no_other_caller_is_let_in(violation: str, headers: dict[str, str]) -> None:
    """Whose token names another email, or none, sends nothing about this cluster; another cluster's invoker neither."""
    with pytest.raises(EventError, match=violation) as raised:
        receive(posted(event(), headers=headers), BOUND)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("outcome", "status", "body"),
    [
        (Issued(tbs_sha256="00"), 200, {"outcome": "issued", "reason": ""}),
        (
            Refused(reason="PodGone", codes=("pod.gone",)),
            200,
            {"outcome": "refused", "reason": "PodGone"},
        ),
        (Ignored(reason=IgnoreReason.GONE), 200, {"outcome": "ignored", "reason": "gone"}),
        (Deferred(reason="addresses", retry_after=2), 425, {"outcome": "deferred", "reason": "addresses"}),
    ],
    ids=lambda value: value.name if isinstance(value, Issued | Refused | Ignored | Deferred) else "",
)
def test_answers_of_outcomes(outcome: Outcome, status: int, body: dict[str, str]) -> None:
    """The outcomes table: 200 ends it, 425 asks for this item again, in as many seconds as the answer says."""
    response = answer(outcome)
    assert (response.status_code, asgi.json_of(response), response.media_type) == (status, body, "application/json")
    assert response.headers.get("Retry-After") == ("2" if isinstance(outcome, Deferred) else None)


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (errors.EventError(SECRET), 400, None),
        (errors.ConfigurationError(SECRET), 503, "30"),
        (errors.UnavailableError(SECRET), 503, "2"),
        (errors.QuotaError(SECRET), 429, "5"),
        (errors.QuotaError(SECRET, retry_after=17), 429, "17"),
        (errors.ConflictError(SECRET), 503, "1"),
        (errors.IntegrityError(SECRET), 503, "2"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, SignerError) else "",
)
def test_answers_of_faults(error: SignerError, status: int, retry_after: str | None) -> None:
    """The kind of a fault, when to come again, and nothing of what is inside."""
    response = answer_fault(error)
    assert response.status_code == status
    assert response.headers.get("Retry-After") == retry_after
    assert asgi.json_of(response) == {"outcome": "fault", "reason": type(error).__name__}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60)
@given(changes=st.dictionaries(st.sampled_from([*event(), "data_base64", "extra"]), JSON, max_size=4))
def test_any_event_is_a_reference_or_an_error(changes: dict[str, Any]) -> None:
    """Attributes of any JSON: no other exception leaves, and a reference is always safe in a path."""
    try:
        reference = receive(posted(event() | changes), CLUSTERS)
    except EventError:
        return
    assert reference.cluster in CLUSTERS
    assert not set(reference.name) & set("/%\n\x00")
    assert reference.name not in ("", ".", "..")


@settings(max_examples=60)
@given(
    body=st.binary(max_size=200),
    headers=st.dictionaries(
        st.sampled_from(["ce-id", "ce-type", "ce-specversion"]), st.sampled_from(["", "1.0", "x", EVENT_TYPE])
    ),
)
def test_any_request_is_a_reference_or_an_error(body: bytes, headers: dict[str, str]) -> None:
    """Bytes of any kind, in both modes."""
    with pytest.raises(EventError):
        receive(posted(body, "application/json", headers), CLUSTERS)
