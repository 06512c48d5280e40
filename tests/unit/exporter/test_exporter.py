"""The whole exporter between the API double and a function that answers as it is told."""

import dataclasses
import json
import re
import threading
import time
from functools import partial
from typing import Any

import pytest
import urllib3

from csr_exporter import exporter
from csr_exporter.configuration import Configuration, Function, MetadataServer, WorkloadIdentityFederation
from csr_exporter.csr import Stage
from csr_exporter.exporter import Exporter
from sandbox.api import csr_path
from sandbox.google import GoogleServer, Project, Provider, example, gke_provider, oidc_provider
from tests.unit.exporter.cluster import Cluster, Sink
from tests.unit.exporter.support import (
    LONG,
    SOURCE,
    Connection,
    Request,
    ScriptedServer,
    answer,
    captured_log,
    wait_until,
)
from tests.unit.exporter.test_google import jwt


def test_a_csr_becomes_an_event_and_a_certificate_ends_it(cluster: Cluster) -> None:
    """One event, as the contract says, on creation; what the function then does to the CSR leads to no other."""

    def sign(event: dict[str, Any], _times: int, _connection: Connection) -> None:
        cluster.issue(event["subject"])

    with Sink(sign) as sink, Exporter(cluster.configuration(sink.server.url)) as exporter:
        uid = cluster.create("csr-1")
        wait_until(lambda: exporter.metrics.counts.get("queue_changes_total:ended") == 1)
    (event,) = sink.events
    assert event["data"]["resourceVersion"]
    assert event["traceparent"].startswith(f"00-{uid.replace('-', '')}-")
    assert event | {"data": None, "time": None, "traceparent": None} == {
        "specversion": "1.0",
        "id": f"{uid}/pending",
        "source": SOURCE,
        "type": "dev.csrsigner.certificatesigningrequest.actionable.v1",
        "subject": "csr-1",
        "time": None,
        "datacontenttype": "application/json",
        "partitionkey": uid,
        "traceparent": None,
        "data": None,
    }


def test_the_status_line_comes_again_and_again(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alerts need it where no Prometheus scrapes the metrics. Its numbers are those of the moment."""
    monkeypatch.setattr(exporter, "STATUS_PERIOD", 0.02)
    with captured_log() as (log, lines), Sink(lambda *_: answer(500)) as sink:
        with Exporter(cluster.configuration(sink.server.url), log=log):
            cluster.create("csr-1")
            wait_until(lambda: [line["pending"] for line in lines() if line["message"] == "status"][-2:] == [1, 1])
        statuses = [line for line in lines() if line["message"] == "status"]
    assert statuses[-1]["ready"] is True


def test_what_exists_before_the_start_is_delivered(cluster: Cluster) -> None:
    """Every approved CSR once; those of another signerName, and those that are issued or denied, never."""
    for number in range(30):
        cluster.create(f"csr-{number}", approved=True)
    cluster.create("other", approved=True, signer_name="example.com/other")
    cluster.create("issued")
    cluster.issue("issued")
    cluster.create("denied")
    cluster.condition("denied", "Denied")
    with Sink() as sink, Exporter(cluster.configuration(sink.server.url)):
        wait_until(lambda: len(sink.events) >= 30)
    assert sink.names == {f"csr-{number}": 1 for number in range(30)}


def test_with_external_approval_only_approved_csrs_are_sent(cluster: Cluster) -> None:
    """Stage pending is not sent where another approver decides; the approval is what makes it work."""
    with Sink() as sink, Exporter(cluster.configuration(sink.server.url, Stage.APPROVED)):
        uids = [cluster.create("csr-1"), cluster.create("csr-2", approved=True)]
        wait_until(lambda: len(sink.events) == 1)
        cluster.condition("csr-1", "Approved")
        wait_until(lambda: len(sink.events) == 2)
    assert sink.ids == {f"{uid}/approved": 1 for uid in uids}


def test_the_end_of_a_watch_loses_nothing(cluster: Cluster) -> None:
    """CSRs created while watches are being closed are delivered, without a second list."""
    with Sink() as sink, Exporter(cluster.configuration(sink.server.url)) as exporter:
        for number in range(20):
            cluster.create(f"csr-{number}")
            if number % 5 == 0:
                cluster.server.close_watches()
        wait_until(lambda: len(sink.events) == 20)
        assert exporter.metrics.counts["lists_total"] == 1
    assert set(sink.ids.values()) == {1}


def test_forgotten_history_loses_nothing(cluster: Cluster) -> None:
    """After a compaction the watch cannot go on from its version: one list shows what there is, and nothing twice."""
    with Sink() as sink, Exporter(cluster.configuration(sink.server.url)) as exporter:
        wait_until(lambda: exporter.metrics.counts.get("watches_total") == 1)
        cluster.create("csr-1")
        wait_until(lambda: len(sink.events) == 1)
        # The exporter does not see these, so its version stays where it is and is forgotten.
        for number in range(3):
            cluster.create(f"other-{number}", signer_name="example.com/other")
        cluster.server.compact()
        cluster.server.close_watches()
        wait_until(lambda: exporter.metrics.counts["lists_total"] == 2)
        cluster.create("csr-2")
        wait_until(lambda: len(sink.events) == 2)
        assert exporter.metrics.counts["read_failures_total:ExpiredError"] == 1
    assert sink.names == {"csr-1": 1, "csr-2": 1}


def test_a_lost_acknowledgement(cluster: Cluster) -> None:
    """The function worked and its answer was lost: the same id comes again, and then no more."""

    def loses(event: dict[str, Any], times: int, connection: Connection) -> None:
        if times == 1:
            connection.reset()
        cluster.issue(event["subject"])

    with Sink(loses) as sink, Exporter(cluster.configuration(sink.server.url)) as exporter:
        uid = cluster.create("csr-1")
        wait_until(lambda: exporter.metrics.counts.get("queue_changes_total:ended") == 1)
    assert sink.ids == {f"{uid}/pending": 2}
    assert sink.events[0] == sink.events[1]


def test_a_requester_that_always_gets_503_holds_up_no_other(cluster: Cluster) -> None:
    """24 CSRs of others are delivered beside six hostile ones and a later one: once each, in order of arrival."""

    def unavailable(event: dict[str, Any], _times: int, _connection: Connection) -> bytes | None:
        return answer(503, Retry_After="300") if event["subject"].startswith("hostile") else None

    honest = [f"csr-{number:02}" for number in range(24)]
    hostile = cluster.requester("hostile")
    with Sink(unavailable) as sink, Exporter(cluster.configuration(sink.server.url)) as exporter:
        for number in range(6):
            cluster.create(f"hostile-{number}", requester=hostile)
        wait_until(lambda: exporter.metrics.counts.get("retries_total:unavailable") == 6)
        for name in [*honest[:12], "hostile-6", *honest[12:]]:
            cluster.create(name, requester=hostile if name == "hostile-6" else cluster.requester(name))
            wait_until(partial(_was_sent, sink, name))
        wait_until(lambda: exporter.metrics.counts.get("send_attempts_total:2xx") == 24)
        wait_until(lambda: exporter.metrics.counts.get("retries_total:unavailable") == 7)
        assert "paused_seconds_total:unavailable" not in exporter.metrics.counts
    assert [name for name in sink.names if name in honest] == honest
    assert set(sink.names.values()) == {1}


def test_ended_while_queued(cluster: Cluster) -> None:
    """What is denied or deleted while the function is overloaded is not sent afterwards; what remains is."""
    open_again = threading.Event()
    accepted: set[tuple[str, str]] = set()

    def overloaded(event: dict[str, Any], _times: int, _connection: Connection) -> bytes | None:
        if not open_again.is_set():
            return answer(429, Retry_After="1")
        accepted.add((event["subject"], event["id"]))
        return None

    with Sink(overloaded) as sink, Exporter(cluster.configuration(sink.server.url)) as exporter:
        first = cluster.create("first")
        wait_until(lambda: exporter.metrics.counts.get("retries_total:overloaded", 0) >= 1)
        for name in ("denied", "deleted", "recreated"):
            cluster.create(name)
        kept = cluster.create("kept")
        cluster.condition("denied", "Denied")
        cluster.api.delete(csr_path("deleted"))
        cluster.api.delete(csr_path("recreated"))
        recreated = cluster.create("recreated")
        wait_until(lambda: exporter.metrics.counts.get("queue_changes_total:added") == 6)
        wait_until(lambda: exporter.metrics.counts.get("queue_changes_total:ended") == 3)
        open_again.set()
        wait_until(lambda: exporter.metrics.counts.get("send_attempts_total:2xx") == 3)
    uids = {"first": first, "kept": kept, "recreated": recreated}
    assert accepted == {(name, f"{uid}/pending") for name, uid in uids.items()}


@pytest.mark.parametrize(
    ("status", "message"),
    [(301, "endpoint"), (302, "endpoint"), (307, "endpoint"), (404, "endpoint"), (410, "retired")],
)
def test_that_is_not_the_function(cluster: Cluster, status: int, message: str) -> None:
    """No redirect is followed, the watch goes on; once two requesters fail, an error in the log says where to look."""

    def elsewhere(_event: dict[str, Any], _times: int, _connection: Connection) -> bytes:
        return answer(status, Location=target.url + "/")

    with (
        ScriptedServer(lambda *_: answer(200, {"outcome": "issued"})) as target,
        captured_log() as (log, lines),
        Sink(elsewhere) as sink,
        Exporter(cluster.configuration(sink.server.url), log=log) as exporter,
    ):
        cluster.create("first", requester=cluster.requester("first"))
        wait_until(lambda: exporter.metrics.counts.get(f"retries_total:{message}", 0) >= 1)
        cluster.create("later", requester=cluster.requester("later"))
        wait_until(lambda: exporter.metrics.counts.get("queue_changes_total:added") == 2)
        wait_until(lambda: any(line["severity"] == "ERROR" for line in lines()))
        errors = [line for line in lines() if line["severity"] == "ERROR"]
        assert urllib3.request("GET", f"http://{exporter.health_address}/readyz").status == 200
    assert target.requests == []
    assert set(sink.names) <= {"first", "later"}
    assert errors[0]["code"] == status
    assert sink.server.url in str(errors[0]["reason"])


def test_nothing_of_an_echoed_token_is_logged(cluster: Cluster) -> None:
    """Whatever the function's page repeats, the log has the status and the uid."""
    secret = "eyJhbGciOiJSUzI1NiJ9.eyJlY2hvIjoidG9rZW4ifQ.c2lnbmF0dXJl"
    page = f"<html>Bad Request: Authorization: Bearer {secret}".encode()
    with (
        captured_log() as (log, lines),
        Sink(lambda *_: answer(400, page)) as sink,
        Exporter(cluster.configuration(sink.server.url), log=log) as exporter,
    ):
        cluster.create("csr-1")
        wait_until(lambda: exporter.metrics.counts.get("poison_total") == 1)
        wait_until(lambda: any(line["message"] == "poison" for line in lines()))
        text = json.dumps(lines())
    assert secret not in text
    assert "html" not in text


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/"])
def test_the_health_pages(cluster: Cluster, path: str) -> None:
    """Alive and ready once the first list is there; other pages do not exist."""
    with Sink() as sink, Exporter(cluster.configuration(sink.server.url)) as exporter:
        wait_until(lambda: exporter.metrics.counts.get("watches_total", 0) > 0)
        response = urllib3.request("GET", f"http://{exporter.health_address}{path}")
    if path in {"/livez", "/readyz"}:
        assert (response.status, response.json()) == (200, {"ok": True, "reasons": []})
    else:
        assert response.status == 404


def test_the_metrics_of_a_life(cluster: Cluster) -> None:
    """One CSR from its creation to its certificate, and one that waits: every gauge and counter says so."""

    def signs_the_first(event: dict[str, Any], _times: int, _connection: Connection) -> bytes | None:
        if event["subject"] == "waits":
            return answer(425, {"outcome": "deferred"}, Retry_After="60")
        cluster.issue(event["subject"])
        return None

    with Sink(signs_the_first) as sink, Exporter(cluster.configuration(sink.server.url)) as exporter:
        cluster.create("csr-1")
        uid = cluster.create("waits")
        wait_until(lambda: exporter.metrics.counts.get("queue_changes_total:ended") == 1)
        wait_until(lambda: exporter.metrics.counts.get("retries_total:later") == 1)
        wait_until(lambda: exporter.metrics.counts.get("send_attempts_total:2xx") == 1)
        page = urllib3.request("GET", f"http://{exporter.health_address}/metrics").data.decode()
        queue = urllib3.request("GET", f"http://{exporter.health_address}/debug/queue").json()
    values = {
        name.removeprefix("csr_exporter_"): float(value)
        for name, value in re.findall(r"^(\S+) (\S+)$", page, re.MULTILINE)
        if name.startswith("csr_exporter_")
    }
    expected = {
        'csr_pending{stage="pending"}': 1,
        'csr_pending{stage="approved"}': 0,
        "delivery_seconds_count": 1,
        "issuance_seconds_count": 1,
        'send_attempts_total{code_class="2xx"}': 1,
        'send_attempts_total{code_class="4xx"}': 1,
        "inflight": 0,
        "function_failing": 0,
        "unfulfilled_acks_total": 0,
        "takeovers_total": 0,
        "lists_total": 1,
        "watches_total": 1,
        "log_lines_lost": 0,
    }
    assert {name: values[name] for name in expected} == expected
    assert values["oldest_undelivered_seconds"] >= 0
    assert values["watch_last_event_timestamp_seconds"] > time.time() - 60
    assert [(each["uid"], each["stage"]) for each in queue] == [(uid, "pending")]
    assert uid not in page


def test_the_log_and_the_event_are_in_one_trace(cluster: Cluster) -> None:
    """A line about a CSR is in the CSR's trace, whose parent the function was given in the header and in the event."""
    with (
        captured_log() as (log, lines),
        Sink() as sink,
        Exporter(cluster.configuration(sink.server.url), log=log) as exporter,
    ):
        uid = cluster.create("csr-1")
        wait_until(lambda: any(line["message"] == "acknowledged" for line in lines()))
        (line,) = (line for line in lines() if line["message"] == "acknowledged")
        assert exporter.metrics.counts["send_attempts_total:2xx"] == 1
    version, trace, span, _flags = sink.events[0]["traceparent"].split("-")
    assert (version, trace) == ("00", uid.replace("-", ""))
    assert sink.server.requests[0].headers["traceparent"] == sink.events[0]["traceparent"]
    assert (line["logging.googleapis.com/trace"], line["logging.googleapis.com/spanId"]) == (trace, span)


@pytest.mark.parametrize("moment", ["at once", "in flight"])
def test_stop_ends_every_thread(cluster: Cluster, moment: str) -> None:
    """Also at once after the start, and with a delivery in flight, which is waited for."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(_event: dict[str, Any], _times: int, _connection: Connection) -> None:
        begun.set()
        go_on.wait(LONG)

    with Sink(slow) as sink:
        exporter = Exporter(cluster.configuration(sink.server.url))
        exporter.start()
        if moment == "in flight":
            cluster.create("csr-1")
            assert begun.wait(LONG)
            threading.Timer(0.05, go_on.set).start()
        exporter.stop()
        expected = 1 if moment == "in flight" else 0
        assert exporter.metrics.counts.get("send_attempts_total:2xx", 0) == expected


def test_an_identity_that_comes_late(cluster: Cluster) -> None:
    """Alive and unready without an ID token, and nothing is sent; with it, the event goes out as its bearer."""
    token = jwt(exp=time.time() + 3600)
    ready = threading.Event()

    def metadata(_request: Request, _connection: Connection) -> bytes:
        return answer(200, token.encode()) if ready.is_set() else answer(404, b"<html>not yet")

    with captured_log() as (log, lines), ScriptedServer(metadata) as server, Sink() as sink:
        configuration = cluster.configuration(sink.server.url, identity=MetadataServer(url=server.url))
        with Exporter(configuration, log=log) as exporter:
            cluster.create("csr-1")
            wait_until(lambda: exporter.metrics.counts.get("retries_total:credential", 0) >= 1)
            health = f"http://{exporter.health_address}"
            assert urllib3.request("GET", f"{health}/livez").status == 200
            assert urllib3.request("GET", f"{health}/readyz").json()["reasons"] == ["no ID token yet"]
            assert sink.events == []
            ready.set()
            wait_until(lambda: exporter.metrics.counts.get("send_attempts_total:2xx") == 1)
            assert urllib3.request("GET", f"{health}/readyz").status == 200
        warnings = [line for line in lines() if line["message"] == "no ID token"]
        assert exporter.metrics.counts["token_refresh_errors_total:id"] >= 1
    assert sink.server.requests[0].headers["authorization"] == f"Bearer {token}"
    assert [line["error"] for line in warnings] == ["metadata server: 404"]


@pytest.mark.parametrize("provider", [oidc_provider(Project()), gke_provider(Project())], ids=["elsewhere", "GKE"])
def test_the_identity_of_a_host_network_pod(cluster: Cluster, provider: Provider) -> None:
    """Projected token, STS, generateIdToken, Cloud Run: the event arrives, from the account that may invoke."""
    with (
        Sink() as sink,
        GoogleServer(example(provider), run_target=sink.server.url) as google,
        Exporter(_invoking(cluster, google, provider)) as exporter,
    ):
        cluster.create("csr-1")
        wait_until(lambda: exporter.metrics.counts.get("send_attempts_total:2xx") == 1)
    assert sink.names == {"csr-1": 1}


def test_an_identity_that_may_not_invoke(cluster: Cluster) -> None:
    """Two requesters' refusals pause everything; the log says whom and what to look at, and no token."""
    provider = oidc_provider(Project())
    rights = dataclasses.replace(example(provider), invokers=frozenset({"somebody@else.example.com"}))
    with (
        captured_log() as (log, lines),
        Sink() as sink,
        GoogleServer(rights, run_target=sink.server.url) as google,
        Exporter(_invoking(cluster, google, provider), log=log) as exporter,
    ):
        for name in ("first", "second"):
            cluster.create(name, requester=cluster.requester(name))
        wait_until(lambda: "paused_seconds_total:credential" in exporter.metrics.counts)
        refused = [line for line in lines() if line["message"] == "credential"]
    assert sink.events == []
    assert {line["code"] for line in refused} == {403}
    assert google.run in str(refused[0]["reason"])
    assert "eyJ" not in json.dumps(refused)


def _was_sent(sink: Sink, name: str) -> bool:
    return name in sink.names


def _invoking(cluster: Cluster, google: GoogleServer, provider: Provider) -> Configuration:
    identity = WorkloadIdentityFederation(
        token_file=cluster.token_for(provider.subject_audience),
        sts_audience=provider.audience,
        service_account="csr-exporter@example-project.iam.gserviceaccount.com",
        unsafe_sts_url=google.sts,
        unsafe_iam_credentials_url=google.iam_credentials,
    )
    configuration = cluster.configuration(google.run, identity=identity)
    return dataclasses.replace(configuration, function=Function(url=google.run + "/", audience=google.run))
