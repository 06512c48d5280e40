"""The loop of lists and watches, against a server that fails in every way that matters; waits pass at once."""

import dataclasses
import gc
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

from csr_exporter import csr
from csr_exporter.clock import MonotonicClock
from csr_exporter.configuration import ApiServer as Location
from csr_exporter.connection import Timeouts
from csr_exporter.csr import Stage
from csr_exporter.delivery import cloud_event
from csr_exporter.health import Health
from csr_exporter.log import Log
from csr_exporter.metrics import Metrics
from csr_exporter.queue.work_queue import MOST_CSRS, WorkQueue
from csr_exporter.watch import client
from csr_exporter.watch.client import ApiClient
from csr_exporter.watch.reflector import LIST_SPACING, STUBBORN, Reflector
from csr_exporter.watch.resync import PERIOD, Resync
from csr_exporter.watch.store import Store
from tests.unit.exporter.support import (
    LONG,
    SIGNER,
    SOURCE,
    Connection,
    Request,
    ScriptedServer,
    VirtualClock,
    answer,
    captured_log,
    core,
    csr_document,
    page,
    stream,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rig:
    """A reader with everything around it; nothing is sent, so that what is waiting can be looked at."""

    server: ScriptedServer
    clock: VirtualClock
    queue: WorkQueue
    store: Store
    reflector: Reflector
    resync: Resync
    health: Health
    metrics: Metrics
    log: Log
    lines: Callable[[], list[dict[str, object]]]

    @property
    def asked(self) -> list[str]:
        """What was asked for, in short: list, list:CONTINUE or watch:VERSION."""
        return [_asked(request) for request in self.server.requests]

    def waiting(self) -> list[tuple[int, Stage]]:
        """The CSRs that would be sent now."""
        items = []
        while (item := self.queue.take(self.clock.now())) is not None:
            items.append((int(item.reference.uid[:8]), item.stage))
        return items


def _asked(request: Request) -> str:
    query = {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}
    if "watch" in query:
        return f"watch:{query.get('resourceVersion', '')}"
    return f"list:{query['continue']}" if "continue" in query else "list"


@contextmanager
def _rig(
    handler: Callable[[Request, Connection], bytes | None],
    directory: Path,
    *,
    ends_at: float = float("inf"),
    stages: frozenset[Stage] = frozenset(Stage),
    silent: Log | None = None,
    read: float = LONG,
    most: int = MOST_CSRS,
) -> Iterator[Rig]:
    (directory / "token").write_text("token")
    clock, queue, metrics = VirtualClock(ends_at), WorkQueue(most=most), Metrics()
    with ScriptedServer(handler) as server, captured_log() as (captured, lines):
        log = silent or captured
        location = Location(server=server.url, certificate_authority=directory, token_file=directory / "token")
        server_api = ApiClient(location, timeouts=Timeouts(connect=LONG, read=read, total=LONG))
        store, dispatcher = core(log, metrics, clock, queue=queue, stages=stages)
        reflector = Reflector(signer_name=SIGNER, client=server_api, store=store, clock=clock, log=log, metrics=metrics)
        resync = Resync(
            reflectors=[reflector],
            client=server_api,
            store=store,
            clock=clock,
            log=log,
            metrics=metrics,
            chance=lambda: 0.5,
        )
        health = Health(
            reflectors=[reflector.status], dispatcher=dispatcher, token=None, clock=clock, registry=metrics.registry
        )
        yield Rig(
            server=server,
            clock=clock,
            queue=queue,
            store=store,
            reflector=reflector,
            resync=resync,
            health=health,
            metrics=metrics,
            log=log,
            lines=lines,
        )
        server_api.close()


class Script:
    """Answers from lists, one per kind of request; when one is used up, the loop's clock is over."""

    def __init__(self, *, lists: list[bytes], watches: list[bytes]) -> None:
        self._answers = {"list": iter(lists), "watc": iter(watches)}
        self.rig: Rig | None = None

    def __call__(self, request: Request, _connection: Connection) -> bytes:
        """The next answer."""
        reply = next(self._answers[_asked(request)[:4]], None)
        if reply is not None:
            return reply
        assert self.rig is not None
        self.rig.clock.time = float("inf")
        return answer(500)

    @contextmanager
    def run(self, directory: Path, stages: frozenset[Stage] = frozenset(Stage)) -> Iterator[Rig]:
        """A rig whose reader has run to the script's end."""
        with _rig(self, directory, ends_at=1e9, stages=stages) as rig:
            self.rig = rig
            rig.reflector.run()
            yield rig


def _event(kind: str, number: int, *conditions: str, version: str = "") -> dict[str, object]:
    return {"type": kind, "object": csr_document(number, *conditions, version=version)}


GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}


def _bookmark(version: str) -> dict[str, object]:
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}}


def test_attack_a_list_without_end_is_replaced_by_a_watch_from_the_beginning(tmp_path: Path) -> None:
    """A name that is not UTF-8 makes the list circular. The watch shows every CSR, and continues from a bookmark only.

    Before the bookmark, what it shows is in no order of versions: a watch that breaks there begins again.
    """
    script = Script(
        lists=[page(csr_document(1), following="back")] * 2,
        watches=[
            stream(_event("ADDED", 1), _event("ADDED", 2)),
            stream(_event("ADDED", 1), _event("ADDED", 2), _event("ADDED", 3), _bookmark("500")),
            stream(_event("ADDED", 4, version="501")),
        ],
    )
    with script.run(tmp_path) as rig:
        assert rig.asked[:6] == ["list", "list:back", "watch:", "watch:", "watch:500", "watch:501"]
        assert sorted(number for number, _ in rig.waiting()) == [1, 2, 3, 4]


def test_attack_a_list_that_always_expires_is_replaced_by_a_watch_from_the_beginning(tmp_path: Path) -> None:
    """So many heavy CSRs that etcd is compacted before the last page: what is on that page is sent all the same."""
    expired = answer(410, {"kind": "Status", "code": 410, "reason": "Expired"})
    script = Script(
        lists=[page(csr_document(1), following="next"), expired] * 20,
        watches=[stream(_event("ADDED", 1), _event("ADDED", 2), _bookmark("500"))],
    )
    with script.run(tmp_path) as rig:
        assert sorted(number for number, _ in rig.waiting()) == [1, 2]


def test_a_list_that_ends_between_two_that_expire_starts_the_count_again(tmp_path: Path) -> None:
    """A compaction now and then is no attack: the reflector lists again."""
    expired = answer(410, {"kind": "Status", "code": 410, "reason": "Expired"})
    script = Script(
        lists=[page(csr_document(1), following="next"), expired, page(csr_document(1), csr_document(2))] * 2,
        watches=[stream(GONE), stream(_bookmark("500"))],
    )
    with script.run(tmp_path) as rig:
        assert rig.asked[:8] == ["list", "list:next", "list", "watch:100", "list", "list:next", "list", "watch:100"]
        assert sorted(number for number, _ in rig.waiting()) == [1, 2]


def test_created_between_list_and_watch(tmp_path: Path) -> None:
    """The watch starts at the list's own version, so what was created since then is shown."""
    script = Script(lists=[page(csr_document(1), version="500")], watches=[stream(_event("ADDED", 2, version="501"))])
    with script.run(tmp_path) as rig:
        assert rig.asked[:3] == ["list", "watch:500", "watch:501"]
        assert rig.waiting() == [(1, Stage.PENDING), (2, Stage.PENDING)]


@pytest.mark.parametrize("form", ["status", "event"])
def test_410_leads_to_one_list_and_loses_nothing(tmp_path: Path, form: str) -> None:
    """As HTTP status and as ERROR event: one new list, whose version the next watch starts from."""
    gone = answer(410, {"kind": "Status", "code": 410}) if form == "status" else stream(GONE)
    script = Script(
        lists=[page(csr_document(1), version="500"), page(csr_document(1), csr_document(3), version="700")],
        watches=[stream(_event("ADDED", 2, version="501")), gone, stream(_bookmark("701"))],
    )
    with script.run(tmp_path) as rig:
        assert rig.asked[:6] == ["list", "watch:500", "watch:501", "list", "watch:700", "watch:701"]
        # 2 was deleted while nobody watched; 1 is the same work as before, so its event is the same, byte for byte.
        assert rig.waiting() == [(1, Stage.PENDING), (3, Stage.PENDING)]
        assert rig.metrics.counts["lists_total"] == 2


@pytest.mark.parametrize("reply", [stream(GONE), answer(410), stream("odd")])
def test_a_list_that_was_not_expected_comes_at_once(tmp_path: Path, reply: bytes) -> None:
    """After a restart of the API server the first new CSR does not wait for a back-off that was due to its absence."""
    times = []

    def restarted(request: Request, _connection: Connection) -> bytes:
        times.append(rig.clock.now())
        if len(times) == 2:
            rig.clock.time += 300.0
        if len(times) in (3, 4, 5):
            return answer(503)
        if len(times) == 6:
            return reply
        if len(times) == 8:
            rig.clock.time = float("inf")
        return page() if _asked(request) == "list" else stream()

    with _rig(restarted, tmp_path, ends_at=1e9) as rig:
        rig.reflector.run()
        assert rig.asked == ["list", *["watch:100"] * 5, "list", "watch:100"]
        assert times[6] == times[5]


def test_isolated_failures_do_not_add_up(tmp_path: Path) -> None:
    """A watch that lived in between ends what was wrong before: each failure waits as the first."""

    def flaps(request: Request, _connection: Connection) -> bytes:
        if _asked(request) == "list":
            return page()
        if len(rig.asked) % 2:
            return answer(500)
        rig.clock.time += 20.0
        return stream(_bookmark(str(len(rig.asked))))

    with _rig(flaps, tmp_path, ends_at=1000.0) as rig:
        rig.reflector.run()
        assert rig.metrics.counts["read_failures_total:RefusedError"] > 40
        assert max(rig.clock.waits) <= 1.6


def test_410_for_ever(tmp_path: Path) -> None:
    """Lists are spaced by the back-off: at most five more in 30 seconds, and the loop lives on."""

    def gone(request: Request, _connection: Connection) -> bytes:
        return page(version="1") if _asked(request) == "list" else stream(GONE)

    with _rig(gone, tmp_path, ends_at=30.0) as rig:
        rig.reflector.run()
        assert 2 <= rig.asked.count("list") <= 6
        assert rig.health.dead() == []


def test_410_for_ever_after_lists_that_take_long(tmp_path: Path) -> None:
    """They are spaced as those that are quick: after each comes the back-off."""

    def gone(request: Request, _connection: Connection) -> bytes:
        if _asked(request) != "list":
            return stream(GONE)
        rig.clock.time += LIST_SPACING
        return page(version="1")

    with _rig(gone, tmp_path, ends_at=300.0) as rig:
        rig.reflector.run()
        assert 2 <= rig.asked.count("list") <= 12


@pytest.mark.parametrize("reply", [answer(500), answer(400), stream({"type": "ERROR", "object": {"code": 500}})])
def test_a_version_that_cannot_be_watched(tmp_path: Path, reply: bytes) -> None:
    """An error that comes again and again at one version ends with a list: what follows it is not waited for longer."""

    def stubborn(request: Request, _connection: Connection) -> bytes:
        if _asked(request) == "list":
            return page(csr_document(1), version="700") if "watch:500" in rig.asked else page(version="500")
        if _asked(request) == "watch:500":
            return reply
        rig.clock.time = float("inf")
        return stream()

    with _rig(stubborn, tmp_path, ends_at=1e9) as rig:
        rig.reflector.run()
        assert rig.asked == ["list", *["watch:500"] * STUBBORN, "list", "watch:700"]
        assert [number for number, _ in rig.waiting()] == [1]
        assert sum(rig.clock.waits) <= 60.0


def test_410_on_page_three(tmp_path: Path) -> None:
    """The list starts anew from its first page; nothing is skipped and nothing ended by the half list."""
    first = [page(csr_document(1), following="A"), page(csr_document(2), following="B"), answer(410, {"code": 410})]
    second = [page(csr_document(1), following="A"), page(csr_document(2), following="B"), page(csr_document(3))]
    script = Script(lists=first + second, watches=[])
    with script.run(tmp_path) as rig:
        assert rig.asked[:6] == ["list", "list:A", "list:B"] * 2
        assert [number for number, _ in rig.waiting()] == [1, 2, 3]


def test_a_server_that_closes_every_watch_at_once(tmp_path: Path) -> None:
    """After the ramp-up at most 12 requests a minute, all of them from the version of the only list."""
    with _rig(lambda request, _: page() if _asked(request) == "list" else stream(), tmp_path, ends_at=660.0) as rig:
        rig.reflector.run()
        assert rig.asked.count("list") == 1
        assert set(rig.asked) == {"list", "watch:100"}
        assert len(rig.asked) <= 8 + 12 * 10
        assert rig.metrics.counts["short_watches_total"] == len(rig.asked) - 1


def test_a_half_open_connection(tmp_path: Path) -> None:
    """A watch that falls silent is opened again from the last version, without a list."""
    watches = 0

    def silent(request: Request, connection: Connection) -> bytes | None:
        nonlocal watches
        if _asked(request) == "list":
            return page()
        watches += 1
        if watches == 1:
            connection.send(stream(_event("ADDED", 1, version="555"), end=b""))
            connection.hang()
            return None
        rig.clock.time = float("inf")
        return stream()

    with _rig(silent, tmp_path, ends_at=1e9, read=1.0) as rig:
        rig.reflector.run()
        assert rig.asked == ["list", "watch:100", "watch:555"]


def test_a_bookmark_is_where_the_next_watch_starts(tmp_path: Path) -> None:
    """It moves the version without any change, so that a quiet signerName does not expire."""
    script = Script(lists=[page()], watches=[stream(_bookmark("900")), stream(), stream(_bookmark("901"))])
    with script.run(tmp_path) as rig:
        assert rig.asked[:5] == ["list", "watch:100", "watch:900", "watch:900", "watch:901"]


def test_ten_minutes_without_a_byte(tmp_path: Path) -> None:
    """Every silent connection is given up and opened again from the same version: alive, ready, and no list."""

    def silent(request: Request, connection: Connection) -> bytes | None:
        if _asked(request) == "list":
            return page()
        healthy.append((rig.health.dead(), rig.health.unready()))
        if len(healthy) == 9:
            rig.clock.time = float("inf")
            return stream()
        connection.send(stream(end=b""))
        rig.clock.time += 75.0
        connection.hang()
        return None

    healthy: list[tuple[list[str], list[str]]] = []
    with _rig(silent, tmp_path, ends_at=1e9, read=0.5) as rig:
        rig.reflector.run()
        assert rig.asked == ["list", *["watch:100"] * 9]
        assert healthy == [([], [])] * 9
        assert rig.metrics.counts["watch_restarts_total:broke"] == 8


@pytest.mark.parametrize(
    "line", [{"type": "WHAT", "object": {}}, {"type": "ADDED", "object": {"metadata": {"uid": 5}}}, "text"]
)
def test_what_is_not_understood_is_listed_again(tmp_path: Path, line: object) -> None:
    """Counted, and followed by a list, so that nothing is skipped silently; others are not affected."""
    script = Script(
        lists=[page(), page(csr_document(1), csr_document(2), csr_document(3), version="800")],
        watches=[stream(_event("ADDED", 1), line, _event("ADDED", 2))],
    )
    with script.run(tmp_path) as rig:
        assert rig.asked[:4] == ["list", "watch:100", "list", "watch:800"]
        assert [number for number, _ in rig.waiting()] == [1, 2, 3]
        assert rig.metrics.counts["read_failures_total:MalformedError"] == 1
        assert rig.metrics.counts["parse_errors_total"] == 1


def test_a_line_that_is_cut_is_asked_for_again(tmp_path: Path) -> None:
    """The version stays before the cut line; the next watch shows it whole."""
    cut = stream(_event("ADDED", 1, version="300"), end=b"ffff\r\n{")
    watches = iter([cut, stream(_event("ADDED", 2, version="301"))])

    def breaks(request: Request, connection: Connection) -> bytes | None:
        if _asked(request) == "list":
            return page()
        reply = next(watches, None)
        if reply is None:
            rig.clock.time = float("inf")
            return stream()
        connection.send(reply)
        return None

    with _rig(breaks, tmp_path, ends_at=1e9) as rig:
        rig.reflector.run()
        assert rig.asked[:4] == ["list", "watch:100", "watch:300", "watch:301"]
        assert [number for number, _ in rig.waiting()] == [1, 2]


def test_an_unreadable_item_does_not_end_what_is_known(tmp_path: Path) -> None:
    """A list with an item that is not understood ends nothing: what seems to be absent may be that item."""
    script = Script(
        lists=[page(csr_document(1)), page({"metadata": {}}, csr_document(2), version="800")],
        watches=[stream(GONE)],
    )
    with script.run(tmp_path) as rig:
        assert [number for number, _ in rig.waiting()] == [1, 2]
        assert rig.metrics.counts["parse_errors_total"] == 1


@pytest.mark.parametrize("status", [401, 403])
def test_refused_and_restored(tmp_path: Path, status: int) -> None:
    """Unready at once, with waits that grow to their bound; ready again alone, and the log says both once."""

    def refused(request: Request, _connection: Connection) -> bytes:
        if rig.clock.now() < 1600.0:
            unready.append(rig.health.unready())
            return answer(status, {"kind": "Status", "code": status, "message": "not you"})
        return page(csr_document(1)) if _asked(request) == "list" else stream()

    unready: list[list[str]] = []
    with _rig(refused, tmp_path, ends_at=700.0) as rig:
        rig.reflector.run()
        assert unready[0] == ["reflector 0: no list yet"]
        assert max(rig.clock.waits) <= 60.0
        assert 10 <= len(unready) <= 30
        assert rig.health.dead() == []
        assert [number for number, _ in rig.waiting()] == [1]
        messages = [line["message"] for line in rig.lines()]
        assert messages[:3] == ["the list or watch failed", "the API server answers again", "listed"]


def test_a_refusal_after_the_first_list_is_unready(tmp_path: Path) -> None:
    """Rights that are taken away show in the health page, and are not taken for an outage to be waited out."""
    script = Script(lists=[page(csr_document(1))], watches=[stream(_bookmark("101")), answer(403, {"code": 403})])
    seen = []

    def watched(request: Request, connection: Connection) -> bytes:
        assert script.rig is not None
        seen.append((_asked(request), script.rig.health.unready()))
        return script(request, connection)

    with _rig(watched, tmp_path, ends_at=1e9) as rig:
        script.rig = rig
        rig.reflector.run()
    assert [reasons for _, reasons in seen[1:3]] == [[], []]
    assert seen[3] == ("watch:101", ["reflector 0: the API server refuses the list or the watch; check RBAC"])


@pytest.mark.parametrize("reply", [answer(429, Retry_After="20"), answer(500, {"details": {"retryAfterSeconds": 20}})])
def test_the_api_servers_retry_after(tmp_path: Path, reply: bytes) -> None:
    """It is waited for; the version is kept and nothing is listed again."""
    script = Script(lists=[page()], watches=[stream(_bookmark("101")), reply, stream(_bookmark("102"))])
    with script.run(tmp_path) as rig:
        assert rig.asked[:5] == ["list", "watch:100", "watch:101", "watch:101", "watch:102"]
        assert 20.0 in rig.clock.waits


def test_the_end_does_not_wait_for_the_api_server(tmp_path: Path) -> None:
    """However long the API server asks to wait: SIGTERM ends the wait."""
    asked, clock = threading.Event(), MonotonicClock()

    def overloaded(_request: Request, _connection: Connection) -> bytes:
        asked.set()
        return answer(429, Retry_After="3600")

    with _rig(overloaded, tmp_path) as rig:
        location = Location(server=rig.server.url, certificate_authority=tmp_path, token_file=tmp_path / "token")
        reflector = Reflector(
            signer_name=SIGNER,
            client=ApiClient(location),
            store=rig.store,
            clock=clock,
            log=rig.log,
            metrics=rig.metrics,
        )
        thread = threading.Thread(target=reflector.run)
        thread.start()
        assert asked.wait(LONG)
        clock.stop()
        thread.join(LONG)
        assert not thread.is_alive()


def test_an_api_server_that_is_down_at_the_start(tmp_path: Path) -> None:
    """Alive and unready for ten minutes without hammering; then everything is found."""
    with _rig(lambda *_: page(csr_document(1)), tmp_path) as rig:
        down = dataclasses.replace(rig)
        rig.server.stop()
        clock = VirtualClock(ends_at=600.0)
        reflector = Reflector(
            signer_name=SIGNER,
            client=ApiClient(
                Location(server=down.server.url, certificate_authority=tmp_path, token_file=tmp_path / "token")
            ),
            store=rig.store,
            clock=clock,
            log=rig.log,
            metrics=rig.metrics,
        )
        reflector.run()
        _, dispatcher = core(rig.log, rig.metrics, clock)
        health = Health(
            reflectors=[reflector.status], dispatcher=dispatcher, token=None, clock=clock, registry=rig.metrics.registry
        )
        assert health.dead() == []
        assert health.unready() == ["reflector 0: no list yet"]
        assert len(clock.waits) < 40


def test_an_api_server_that_is_behind(tmp_path: Path) -> None:
    """A version that it has not reached leads to a consistent list."""
    behind = answer(504, {"code": 504, "details": {"causes": [{"reason": "ResourceVersionTooLarge"}]}})
    script = Script(lists=[page(version="500"), page(csr_document(1), version="500")], watches=[behind])
    with script.run(tmp_path) as rig:
        assert rig.asked[:4] == ["list", "watch:500", "list", "watch:500"]
        assert [number for number, _ in rig.waiting()] == [1]


def test_only_the_configured_stages_are_work(tmp_path: Path) -> None:
    """With approval elsewhere a CSR is work from its approval to its end."""
    script = Script(
        lists=[page(csr_document(1), csr_document(2, "Approved"), csr_document(3, "Approved"))],
        watches=[stream(_event("MODIFIED", 1, "Approved"), _event("DELETED", 2, "Approved"), _event("ADDED", 4))],
    )
    with script.run(tmp_path, stages=frozenset({Stage.APPROVED})) as rig:
        assert sorted(rig.waiting(), key=lambda each: each[0]) == [(1, Stage.APPROVED), (3, Stage.APPROVED)]


def test_names_that_cannot_be_sent_are_counted_and_not_kept(tmp_path: Path) -> None:
    """However many: they take no memory."""
    script = Script(lists=[page(csr_document(1, name="x" * 60_000), csr_document(2, name="a\nb"))], watches=[])
    with script.run(tmp_path) as rig:
        assert len(rig.queue) == 0
        assert rig.metrics.counts["names_refused_total"] == 2


def _resynced(listed: list[dict[str, object]]) -> Callable[[Request, Connection], bytes]:
    return lambda _request, _connection: page(*listed)


def test_a_csr_that_cannot_be_read_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others still end by their absence, and it does not itself: somebody who makes one too large gains nothing."""
    monkeypatch.setattr(client, "LARGEST_PAGE", 2_000)
    monkeypatch.setattr(client, "LONGEST_LINE", 2_000)
    large = csr_document(2) | {"padding": "x" * 3_000}
    metadata: dict[str, object] = large["metadata"]  # type: ignore[assignment]
    head = {"metadata": {"resourceVersion": "800"}, "items": [{"metadata": metadata}]}
    reply = answer(200, json.dumps(head, separators=(",", ":")).encode())
    script = Script(
        lists=[page(csr_document(1), csr_document(2)), *[page(large)] * 5, reply, page(large)], watches=[stream(GONE)]
    )
    with script.run(tmp_path) as rig:
        assert [number for number, _ in rig.waiting()] == [2]
        assert rig.metrics.counts["oversize_total"] == 1


def test_a_large_csr_makes_a_small_event(tmp_path: Path) -> None:
    """200 KiB of managedFields or request, or a name as long as is sent: the event is a reference, below 64 KiB."""
    large = [csr_document(1, managedFields=[{"fieldsV1": {"f:x": "y" * 200_000}}]), csr_document(2), csr_document(3)]
    large[1]["spec"] = {"signerName": SIGNER, "request": "x" * 270_000}
    metadata: dict[str, object] = large[2]["metadata"]  # type: ignore[assignment]
    metadata["name"] = "\u20ac" * (csr.LONGEST_NAME // 3)
    script = Script(lists=[page(*large)], watches=[])
    with script.run(tmp_path) as rig:
        items = [rig.queue.take(rig.clock.now()) for _ in large]
    for item in items:
        assert item is not None
        encoded = cloud_event.encode(source=SOURCE, reference=item.reference, stage=item.stage, resend=0)
        assert len(encoded.body) < 64 << 10


def test_other_signers_cost_nothing(tmp_path: Path) -> None:
    """The server is asked for one signerName only; bookmarks keep the version fresh, and nothing is listed again."""
    script = Script(lists=[page()], watches=[stream(_bookmark(str(version))) for version in range(200, 300)])
    with script.run(tmp_path) as rig:
        assert rig.asked == ["list", "watch:100", *[f"watch:{version}" for version in range(200, 300)]]
        queries = [parse_qs(urlsplit(request.target).query) for request in rig.server.requests]
        assert {query["fieldSelector"][0] for query in queries} == {f"spec.signerName={SIGNER}"}
        assert rig.store.waiting == 0


@pytest.mark.slow
def test_reconnects_leave_nothing_behind(tmp_path: Path) -> None:
    """However the watch ends, orderly, cut, refused or expired: descriptors, threads and memory stay what they are.

    `scripts/bench reconnects` does it ten thousand times, with an exporter as a process.
    """
    watched, process = 0, psutil.Process()

    def ends(request: Request, connection: Connection) -> bytes | None:
        nonlocal watched
        rig.server.requests.clear()
        rig.clock.waits.clear()
        if _asked(request) == "list":
            return page(csr_document(1), version=str(watched))
        watched += 1
        if watched in (500, 4_000):
            gc.collect()
            levels.append((process.num_fds(), threading.active_count(), process.memory_info().rss))
        if watched == 4_000:
            rig.clock.time = float("inf")
        if watched % 100 == 0:
            connection.reset()
        odd = {10: stream(GONE), 20: answer(500), 30: stream("odd"), 40: None}
        return odd.get(watched % 50, stream(_event("MODIFIED", 1, version=str(watched))))

    levels: list[tuple[int, int, int]] = []
    with Path(os.devnull).open("wb") as nowhere, _rig(ends, tmp_path, silent=Log(nowhere.fileno())) as rig:
        rig.reflector.run()
    (files, threads, memory), (files_later, threads_later, memory_later) = levels
    assert files_later <= files + 2
    assert threads_later <= threads + 2
    assert memory_later < memory + (2 << 20)


def _seen(number: int, *conditions: str) -> list[csr.Seen]:
    return [csr.from_api(csr_document(number, *conditions))]


def test_the_resync_adds_what_the_watch_missed(tmp_path: Path) -> None:
    """A CSR, and the approval of another one."""
    with _rig(_resynced([csr_document(1), csr_document(2, "Approved"), csr_document(3)]), tmp_path) as rig:
        rig.store.watched([*_seen(2), *_seen(3)])
        rig.resync.list_once()
        assert sorted(rig.waiting()) == [(1, Stage.PENDING), (2, Stage.APPROVED), (3, Stage.PENDING)]


def test_the_resync_adds_nothing_that_the_watch_ended_meanwhile(tmp_path: Path) -> None:
    """Its pages may be older than what the watch has shown: what has ended since it began stays ended."""

    def listed(_request: Request, _connection: Connection) -> bytes:
        rig.store.watched(_seen(1, "Denied"))
        return page(csr_document(1), csr_document(2))

    with _rig(listed, tmp_path) as rig:
        rig.store.watched(_seen(1))
        rig.resync.list_once()
        assert [number for number, _ in rig.waiting()] == [2]


def test_the_resync_ends_what_is_absent_twice(tmp_path: Path) -> None:
    """Also what the list shows as issued; and never on account of a list that failed or could not be read whole."""
    issued = csr_document(1, "Approved") | {"status": {"certificate": "eA=="}}
    replies = iter([page(issued), answer(500), page({}), page(issued)])
    with _rig(lambda *_: next(replies), tmp_path) as rig:
        rig.store.watched(_seen(1))
        waiting = []
        for _ in range(4):
            rig.clock.time += 1.0
            rig.resync.list_once()
            waiting.append(rig.store.waiting)
        assert waiting == [1, 1, 1, 0]


def test_the_resync_ends_nothing_that_it_could_not_read(tmp_path: Path) -> None:
    """A CSR of which only the uid is understood is there all the same; others end beside it."""
    with _rig(_resynced([csr_document(1, name=7)]), tmp_path) as rig:
        rig.store.watched([*_seen(1), *_seen(2)])
        for _ in range(3):
            rig.clock.time += 1.0
            rig.resync.list_once()
        assert [number for number, _ in rig.waiting()] == [1]


def test_the_resync_comes_every_ten_minutes(tmp_path: Path) -> None:
    """Give or take a fifth, and the first not at once: the reader lists then."""
    with _rig(_resynced([]), tmp_path, ends_at=6 * PERIOD + 1) as rig:
        rig.resync.run()
        assert len(rig.asked) == 6


def test_the_resync_comes_early_when_there_is_capacity_again(tmp_path: Path) -> None:
    """What did not fit is found when half of the room is free, and does not wait for the next period."""
    with _rig(_resynced([csr_document(3)]), tmp_path, ends_at=PERIOD / 2, most=2) as rig:
        rig.store.watched([*_seen(1), *_seen(2), *_seen(3)])
        rig.store.watched([*_seen(1, "Denied"), *_seen(2, "Denied")])
        rig.resync.run()
        assert rig.asked == ["list"]
        assert [number for number, _ in rig.waiting()] == [3]
