"""Pages and watches over real HTTP from a server that breaks the protocol in every way that matters."""

import datetime as dt
import ipaddress
import itertools
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from csr_exporter.configuration import ApiServer as Location
from csr_exporter.connection import Timeouts, UnreachableError
from csr_exporter.csr import MalformedError, Stage
from csr_exporter.watch import client
from csr_exporter.watch.client import ApiClient
from csr_exporter.watch.response import ExpiredError, Page, RefusedError, UnpageableListError
from sandbox.pki import Authority
from tests.unit.exporter.support import (
    CHUNKED,
    LAST_CHUNK,
    LONG,
    SIGNER,
    Connection,
    Request,
    ScriptedServer,
    answer,
    chunk,
    csr_document,
    deep,
    page,
    reference,
    stream,
)

PATIENT = Timeouts(connect=LONG, read=LONG, total=LONG)
SHORT = Timeouts(connect=1.0, read=1.0, total=2.0)
"""Where the time-out itself is what a test waits for."""


@contextmanager
def _api(
    handler: Callable[[Request, Connection], bytes | None], directory: Path, timeouts: Timeouts = PATIENT
) -> Iterator[tuple[ApiClient, ScriptedServer]]:
    token = directory / "token"
    token.write_text("service-account-token\n")
    with ScriptedServer(handler) as server:
        # The configuration allows https only; here the bytes on the wire are what is tested.
        api = ApiClient(
            Location(server=server.url, certificate_authority=directory / "none", token_file=token), timeouts=timeouts
        )
        try:
            yield api, server
        finally:
            api.close()


def _asked(request: Request) -> dict[str, str]:
    query = parse_qs(urlsplit(request.target).query, keep_blank_values=True)
    return {name: values[0] for name, values in query.items()}


def _numbers(pages: list[Page]) -> list[int]:
    return [int(seen.reference.uid[:8]) for each in pages for seen in each.seen]


def _watched(api: ApiClient, version: str = "100") -> tuple[list[tuple[int, Stage | None]], str, Exception | None]:
    """What a watch shows, its last version, and how it ended."""
    shown: list[tuple[int, Stage | None]] = []
    error: Exception | None = None
    with api.watch(SIGNER, version) as watch:
        try:
            for batch in watch.batches():
                shown += [(int(seen.reference.uid[:8]), seen.stage) for seen in batch]
        except (ExpiredError, RefusedError, MalformedError, UnreachableError) as caught:
            error = caught
        return shown, watch.version, error


def _event(kind: str, number: int, *conditions: str) -> dict[str, object]:
    return {"type": kind, "object": csr_document(number, *conditions)}


def test_a_list_is_asked_page_by_page(tmp_path: Path) -> None:
    """500 at a time, only this signerName's, consistently, as the service account, following the continue token."""
    following = {"": ("A", 1), "A": ("B", 2), "B": ("", 3)}

    def paged(request: Request, _connection: Connection) -> bytes:
        token, number = following[_asked(request).get("continue", "")]
        return page(csr_document(number), version="777", following=token)

    with _api(paged, tmp_path) as (api, server):
        pages = list(api.pages(SIGNER))
    assert _numbers(pages) == [1, 2, 3]
    assert {each.version for each in pages} == {"777"}
    first, second, _ = map(_asked, server.requests)
    assert first == {"fieldSelector": f"spec.signerName={SIGNER}", "limit": "500", "resourceVersion": ""}
    assert second == {"fieldSelector": f"spec.signerName={SIGNER}", "limit": "500", "continue": "A"}
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer service-account-token"}


def test_attack_a_continue_token_that_leads_back_ends_the_list(tmp_path: Path) -> None:
    """JSON cannot carry a CSR's name that is not UTF-8: the API server's token after it leads back before it."""
    with (
        _api(lambda *_: page(csr_document(1), following="back"), tmp_path) as (api, _),
        pytest.raises(UnpageableListError, match="page 1 leads back"),
    ):
        list(itertools.islice(api.pages(SIGNER), 10))


def test_attack_a_continue_token_of_kilobytes_ends_the_list(tmp_path: Path) -> None:
    """It holds a CSR's name, which may be longer than an API server reads of a URL."""
    with (
        _api(lambda *_: page(csr_document(1), following="x" * 9000), tmp_path) as (api, server),
        pytest.raises(UnpageableListError, match="Too long: continue: must have at most 8192 bytes"),
    ):
        list(api.pages(SIGNER))
    assert len(server.requests) == 1


def test_the_token_is_read_for_every_request(tmp_path: Path) -> None:
    """A rotated token, also by a change of symlinks, is used at once."""
    with _api(lambda *_: page(), tmp_path) as (api, server):
        list(api.pages(SIGNER))
        (tmp_path / "..data").write_text("rotated")
        (tmp_path / "link").symlink_to("..data")
        (tmp_path / "link").rename(tmp_path / "token")
        list(api.pages(SIGNER))
    assert [request.headers["authorization"] for request in server.requests] == [
        "Bearer service-account-token",
        "Bearer rotated",
    ]


@pytest.mark.parametrize("content", [None, "", "two\nlines", "\xff"])
def test_a_token_file_that_is_no_token_is_named(tmp_path: Path, content: str | None) -> None:
    """Nothing is sent; the error has the path."""
    with _api(lambda *_: page(), tmp_path) as (api, server):
        (tmp_path / "token").unlink()
        if content is not None:
            (tmp_path / "token").write_text(content, encoding="latin-1")
        with pytest.raises(UnreachableError, match=r"token file .*/token'"):
            list(api.pages(SIGNER))
    assert server.requests == []


def test_410_on_a_page_says_that_the_list_must_be_restarted(tmp_path: Path) -> None:
    """The token of the 410's body, which would go on inconsistently, is not used."""

    def expires(request: Request, _connection: Connection) -> bytes:
        if "continue" in _asked(request):
            return answer(410, {"kind": "Status", "code": 410, "metadata": {"continue": "inconsistent"}})
        return page(csr_document(1), following="A")

    with _api(expires, tmp_path) as (api, server):
        pages = api.pages(SIGNER)
        assert _numbers([next(pages)]) == [1]
        with pytest.raises(ExpiredError):
            next(pages)
    assert len(server.requests) == 2


def test_a_page_that_is_too_large_is_asked_for_in_quarters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it fits; nothing is skipped, nothing comes twice, and small pages let the size grow again."""
    monkeypatch.setattr(client, "LARGEST_PAGE", 20_000)
    documents = [csr_document(n, padding="x" * (5_000 if n <= 20 else 10)) for n in range(1, 601)]

    def paged(request: Request, _connection: Connection) -> bytes:
        asked = _asked(request)
        start = int(asked.get("continue", "0"))
        stop = start + int(asked["limit"])
        return page(*documents[start:stop], following=str(stop) if stop < len(documents) else "")

    with _api(paged, tmp_path) as (api, server):
        assert _numbers(list(api.pages(SIGNER))) == list(range(1, 601))
    limits = [int(_asked(request)["limit"]) for request in server.requests]
    assert limits[:7] == [500, 125, 31, 7, 1, 2, 2]
    assert max(limits[7:]) == 32


def _paged(documents: list[dict[str, object]]) -> Callable[[Request, Connection], bytes]:
    """An API server with these CSRs: pages of them, as they are at the time of the request."""

    def answered(request: Request, _connection: Connection) -> bytes:
        asked = _asked(request)
        start = int(asked.get("continue", "0"))
        stop = start + int(asked["limit"])
        following = str(stop) if stop < len(documents) else ""
        return page(*documents[start:stop], version=str(len(documents)), following=following)

    return answered


def _large(number: int, **metadata: object) -> dict[str, object]:
    """A CSR that is too large, its metadata in the order of the API server."""
    document = csr_document(number)
    it: dict[str, object] = document["metadata"]  # type: ignore[assignment]
    return document | {"metadata": {"name": it["name"], **metadata, **it}, "padding": "x" * 5_000}


@pytest.mark.parametrize("place", [1, 2, 3])
def test_one_csr_that_is_too_large_is_passed_over_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """Wherever it stands; its uid is known, and the others are read."""
    monkeypatch.setattr(client, "LARGEST_PAGE", 4_000)
    monkeypatch.setattr(client, "LONGEST_LINE", 4_000)
    documents = [csr_document(n) for n in (1, 2, 3)]
    documents[place - 1] = _large(place, generateName="x-")
    with _api(_paged(documents), tmp_path) as (api, _):
        pages = list(api.pages(SIGNER))
    assert _numbers(pages) == [n for n in (1, 2, 3) if n != place]
    assert sum(each.is_oversize for each in pages) == 1
    assert [uid for each in pages for uid in each.unread] == [reference(place).uid]
    assert all(each.is_whole for each in pages)


def test_one_csr_may_be_larger_than_a_page_of_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As large as a line of the watch: what the watch shows, the list shows."""
    monkeypatch.setattr(client, "LARGEST_PAGE", 4_000)
    with _api(_paged([csr_document(1), _large(2), csr_document(3)]), tmp_path) as (api, _):
        pages = list(api.pages(SIGNER))
    assert (_numbers(pages), sum(each.is_oversize for each in pages)) == ([1, 2, 3], 0)


def test_only_the_beginning_of_large_metadata_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields without end hide neither the uid nor the other CSRs; a name that imitates a uid does not help."""
    monkeypatch.setattr(client, "LARGEST_PAGE", 4_000)
    monkeypatch.setattr(client, "LONGEST_LINE", 4_000)
    name = 'x","uid":"no","metadata":{"name":"x","uid":"no"'
    documents = [csr_document(1), _large(2, name=name), csr_document(3)]
    metadata: dict[str, object] = documents[1]["metadata"]  # type: ignore[assignment]
    documents[1]["metadata"] = metadata | {"name": name, "managedFields": ["y" * 50_000]}
    with _api(_paged(documents), tmp_path) as (api, _):
        pages = list(api.pages(SIGNER))
    assert _numbers(pages) == [1, 3]
    assert [uid for each in pages for uid in each.unread] == [reference(2).uid]


def test_a_uid_is_found_behind_megabytes(tmp_path: Path) -> None:
    """Whoever files a CSR with names of that length hides neither it nor the end of the others."""
    documents = [csr_document(1), _large(2, generateName="\x01" * 800_000), csr_document(3)]
    with _api(_paged(documents), tmp_path) as (api, _):
        pages = list(api.pages(SIGNER))
    assert _numbers(pages) == [1, 3]
    assert [uid for each in pages for uid in each.unread] == [reference(2).uid]


def test_a_uid_out_of_reach_makes_the_list_incomplete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be seen may be anything: then nothing is concluded from what the list does not show."""
    monkeypatch.setattr(client, "LARGEST_PAGE", 4_000)
    monkeypatch.setattr(client, "LONGEST_LINE", 4_000)
    monkeypatch.setattr(client, "_HEAD", 5_000)
    documents = [csr_document(1), _large(2), csr_document(3)]
    metadata: dict[str, object] = documents[1]["metadata"]  # type: ignore[assignment]
    documents[1]["metadata"] = {"name": "y" * 6_000} | metadata | {"name": "y" * 6_000}
    with _api(_paged(documents), tmp_path) as (api, _):
        pages = list(api.pages(SIGNER))
    assert _numbers(pages) == [1, 3]
    assert [each.is_whole for each in pages] == [True, False, True]


def test_a_csr_that_comes_before_the_large_one_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list begins with another CSR than a moment ago: that one is not taken for the one that is too large."""
    monkeypatch.setattr(client, "LARGEST_PAGE", 4_000)
    monkeypatch.setattr(client, "LONGEST_LINE", 4_000)
    documents = [_large(2), csr_document(3)]

    def grows(request: Request, connection: Connection) -> bytes:
        if _asked(request)["limit"] == "1" and len(documents) == 2:
            documents.insert(0, csr_document(1))
        return _paged(documents)(request, connection)

    with _api(grows, tmp_path) as (api, _):
        pages = list(api.pages(SIGNER))
    assert _numbers(pages) == [1, 3]
    assert [uid for each in pages for uid in each.unread] == [reference(2).uid]


@pytest.mark.parametrize("head", [b"{}", b'{"metadata":{}}', b'{"metadata":{"continue":"5"}}', b"[]"])
def test_the_beginning_of_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    """Where the list goes on is not guessed."""
    monkeypatch.setattr(client, "LARGEST_PAGE", 4_000)
    monkeypatch.setattr(client, "LONGEST_LINE", 4_000)
    large = json.dumps({"items": [_large(1)]}).encode()
    body = head if head == b"[]" else head[:-1] + (b"," if len(head) > 2 else b"") + large[1:]
    with _api(lambda *_: answer(200, body), tmp_path) as (api, _), pytest.raises(MalformedError):
        list(api.pages(SIGNER))


def test_a_malformed_item_of_a_list_is_counted(tmp_path: Path) -> None:
    """The others on its page are read."""
    reply = page(csr_document(1), {"metadata": 5}, csr_document(2, uid=7), csr_document(3), csr_document(4, name=7))
    with _api(lambda *_: reply, tmp_path) as (api, _):
        pages = list(api.pages(SIGNER))
    assert (_numbers(pages), len(pages[0].unread), pages[0].is_whole) == ([1, 3], 3, False)
    assert pages[0].unread == (None, None, reference(4).uid)


@pytest.mark.parametrize(
    "reply",
    [
        answer(200, b""),
        answer(200, b"<html>"),
        answer(200, b"[]"),
        answer(200, b"[" * 50_000),
        answer(200, {"items": []}),
        answer(200, {"metadata": {"resourceVersion": "5"}}),
        answer(200, {"metadata": {"resourceVersion": "5"}, "items": {}}),
        answer(200, {"metadata": {"resourceVersion": 5}, "items": []}),
        answer(200, {"metadata": {"resourceVersion": "5", "continue": 5}, "items": []}),
        answer(200, b'{"metadata":{"resourceVersion":"5"},"items":[]'),
        answer(200, b'{"metadata":{"resourceVersion":"5"},"items":[}'),
        answer(200, b'{"metadata":{"resourceVersion":"5"},"items":[,]}'),
        answer(200, b'{"metadata":{"resourceVersion":"5"},"items":[],}'),
        answer(200, b'{"metadata":{"resourceVersion":"5"},"items":[]}}'),
        answer(200, b'{"metadata":{"resourceVersion":"5"},"items":[{} {}]}'),
        answer(200, b'{"metadata":{"resourceVersion":"5"} "items":[]}'),
        answer(200, b'{"metadata" {"resourceVersion":"5"},"items":[]}'),
    ],
)
def test_a_page_that_is_no_list(tmp_path: Path, reply: bytes) -> None:
    """It is not taken for an empty list."""
    with _api(lambda *_: reply, tmp_path) as (api, _), pytest.raises(MalformedError):
        list(api.pages(SIGNER))


def _status(code: int, **details: object) -> dict[str, object]:
    return {"kind": "Status", "status": "Failure", "code": code, "message": f"message {code}", "details": details}


TOO_NEW = _status(504, causes=[{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}])


@pytest.mark.parametrize("verb", ["list", "watch"])
@pytest.mark.parametrize(
    ("reply", "error", "retry_after"),
    [
        (answer(410, _status(410)), ExpiredError, None),
        (answer(504, TOO_NEW), ExpiredError, None),
        (answer(504, _status(504)), RefusedError, None),
        (answer(401, _status(401)), RefusedError, None),
        (answer(403, _status(403)), RefusedError, None),
        (answer(429, _status(429), Retry_After="7"), RefusedError, 7.0),
        (answer(429, _status(429, retryAfterSeconds=9)), RefusedError, 9.0),
        (answer(500, b"<html>", Retry_After="3600"), RefusedError, 60.0),
        (answer(301, Location="https://elsewhere.example.com/"), RefusedError, None),
    ],
)
def test_errors_of_the_api_server(
    tmp_path: Path, verb: str, reply: bytes, error: type[Exception], retry_after: float | None
) -> None:
    """410, and a version that is too new, mean list again; the rest is refused, for as long as the server asks."""
    with _api(lambda *_: reply, tmp_path) as (api, _), pytest.raises(error) as raised:
        list(api.pages(SIGNER)) if verb == "list" else _watched(api)
    assert getattr(raised.value, "retry_after", None) == retry_after
    assert str(raised.value).startswith(f"{verb}: ")
    assert len(str(raised.value)) < 300


def test_a_watch_is_asked_from_a_version_on(tmp_path: Path) -> None:
    """With bookmarks, an end of its own, and only this signerName's."""
    with _api(lambda *_: stream(), tmp_path) as (api, server):
        assert _watched(api, "777") == ([], "777", None)
    asked = _asked(server.requests[0])
    assert 300 <= int(asked.pop("timeoutSeconds")) <= 600
    assert asked == {
        "fieldSelector": f"spec.signerName={SIGNER}",
        "watch": "true",
        "resourceVersion": "777",
        "allowWatchBookmarks": "true",
    }


def test_a_watch_shows_changes_and_moves_its_version(tmp_path: Path) -> None:
    """Whatever the kind of event; what is deleted has nothing left to do; a bookmark moves the version only."""
    reply = stream(
        _event("ADDED", 1),
        _event("MODIFIED", 1, "Approved"),
        _event("DELETED", 1, "Approved"),
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "999"}}},
    )
    with _api(lambda *_: reply, tmp_path) as (api, _):
        assert _watched(api) == ([(1, Stage.PENDING), (1, Stage.APPROVED), (1, None)], "999", None)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_chunks_do_not_matter(tmp_path: Path, size: int) -> None:
    """UTF-8 and JSON split over chunks, CRLF, empty lines: parsed exactly."""
    document = csr_document(1, name="zertifikat-№7-🔑")
    lines = [json.dumps({"type": "ADDED", "object": document}, ensure_ascii=False).encode(), b"", b"\r"]
    whole = b"\r\n".join([*lines, json.dumps(_event("ADDED", 2)).encode(), b""])
    reply = CHUNKED + b"".join(chunk(whole[i : i + size]) for i in range(0, len(whole), size)) + LAST_CHUNK
    with _api(lambda *_: reply, tmp_path) as (api, _):
        assert _watched(api) == ([(1, Stage.PENDING), (2, Stage.PENDING)], reference(2).resource_version, None)


def test_a_line_of_a_mebibyte(tmp_path: Path) -> None:
    """It is read; one of more than four is passed over, counted, and does not move the version."""
    event = _event("ADDED", 1)
    event["object"] = csr_document(1, padding="x" * (1 << 20))
    oversize = _event("ADDED", 2)
    oversize["object"] = csr_document(2, padding="x" * (4 << 20))
    with _api(lambda *_: stream(event, oversize, _event("ADDED", 3)), tmp_path) as (api, _):
        with api.watch(SIGNER, "1") as watch:
            shown = [int(seen.reference.uid[:8]) for batch in watch.batches() for seen in batch]
        assert (shown, watch.oversize, watch.version) == ([1, 3], 1, reference(3).resource_version)


DEPTHS = (500, 1500, 9993, 9995, 100_000)


def test_nested_managed_fields_are_read_over_in_a_list(tmp_path: Path) -> None:
    """However deep: the CSR is seen, and so is every other of its page."""
    items = [deep(csr_document(number), depth) for number, depth in enumerate(DEPTHS)]
    items.insert(2, json.dumps(csr_document(7, "Approved")).encode())
    body = b'{"metadata":{"resourceVersion":"777","continue":""},"items":[' + b",".join(items) + b"]}"
    with _api(lambda *_: answer(200, body), tmp_path) as (api, _):
        (only,) = api.pages(SIGNER)
    assert _numbers([only]) == [0, 1, 7, 2, 3, 4]
    assert [seen.stage for seen in only.seen] == [Stage.PENDING] * 2 + [Stage.APPROVED] + [Stage.PENDING] * 3
    assert (only.version, only.unread) == ("777", ())


@pytest.mark.parametrize("depth", DEPTHS)
def test_nested_managed_fields_are_read_over_in_a_watch(tmp_path: Path, depth: int) -> None:
    """Whatever happens to the CSR is seen, and the watch goes on."""
    lines = [
        deep(_event("ADDED", 1), depth),
        json.dumps(_event("ADDED", 2)).encode(),
        deep(_event("MODIFIED", 1, "Approved"), depth),
        deep(_event("DELETED", 1), depth),
    ]
    reply = CHUNKED + chunk(b"\n".join([*lines, b""])) + LAST_CHUNK
    with _api(lambda *_: reply, tmp_path) as (api, _):
        shown, version, caught = _watched(api)
    assert shown == [(1, Stage.PENDING), (2, Stage.PENDING), (1, Stage.APPROVED), (1, None)]
    assert (version, caught) == (reference(1).resource_version, None)


NO_UTF_8 = (b"\xff", b"\xed\xb0\x80", b"\xc3", b"\xf0\x9f")


@pytest.mark.parametrize("odd", NO_UTF_8)
def test_managed_fields_that_are_no_utf_8_stop_neither_list_nor_watch(tmp_path: Path, odd: bytes) -> None:
    """kube-apiserver shows them as a client wrote them: the CSR is read, and so is every other."""

    def odd_fields(document: dict[str, object]) -> bytes:
        return deep(document, 3).replace(b'"f:a', b'"f:' + odd)

    items = [json.dumps(csr_document(1)).encode(), odd_fields(csr_document(2)), json.dumps(csr_document(3)).encode()]
    body = b'{"metadata":{"resourceVersion":"777"},"items":[' + b",".join(items) + b"]}"
    with _api(lambda *_: answer(200, body), tmp_path) as (api, _):
        (only,) = api.pages(SIGNER)
    assert (_numbers([only]), only.unread) == ([1, 2, 3], ())
    lines = [odd_fields(_event("ADDED", 2)), json.dumps(_event("ADDED", 3)).encode(), b""]
    with _api(lambda *_: CHUNKED + chunk(b"\n".join(lines)) + LAST_CHUNK, tmp_path) as (api, _):
        assert _watched(api) == ([(2, Stage.PENDING), (3, Stage.PENDING)], reference(3).resource_version, None)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (_status(410), ExpiredError),
        ({"code": 410}, ExpiredError),
        (TOO_NEW, ExpiredError),
        (_status(500), RefusedError),
        ({}, RefusedError),
        (None, RefusedError),
    ],
)
def test_an_error_event(tmp_path: Path, status: object, error: type[Exception]) -> None:
    """An ERROR inside of a good answer counts as if it were the answer; what came before it is kept."""
    reply = stream(_event("ADDED", 1), {"type": "ERROR", "object": status}, _event("ADDED", 2))
    with _api(lambda *_: reply, tmp_path) as (api, _):
        shown, version, caught = _watched(api)
    assert (shown, version) == ([(1, Stage.PENDING)], reference(1).resource_version)
    assert isinstance(caught, error)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b'"ADDED"',
        b"null",
        b"\xff\xfe",
        b"[" * 50_000,
        b'{"a":' * 50_000 + b'"',
        b"[" * 50_000 + b"]" * 50_000,
        deep(csr_document(1), 50_000) + b"}",
        b'{"type":"ADDED"}',
        b'{"type":"CREATED","object":{}}',
        b'{"type":["ADDED"],"object":{}}',
        b'{"type":"ADDED","object":{"metadata":{"name":5}}}',
        b'{"type":"BOOKMARK","object":{"metadata":{}}}',
    ],
)
def test_a_line_that_is_not_understood(tmp_path: Path, line: bytes) -> None:
    """It ends the watch loudly; what came before it in the same chunk is kept, what follows is not read."""
    good = json.dumps(_event("ADDED", 1)).encode()
    reply = CHUNKED + chunk(b"\n".join([good, line, good, b""])) + LAST_CHUNK
    with _api(lambda *_: reply, tmp_path) as (api, _):
        shown, version, caught = _watched(api)
    assert (shown, version) == ([(1, Stage.PENDING)], reference(1).resource_version)
    assert isinstance(caught, MalformedError)


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (chunk(b'{"type":"ADDED","obj') + LAST_CHUNK, None),
        (chunk(b'{"type":"ADDED","obj'), UnreachableError),
        (b"ffff\r\n{", UnreachableError),
        (b"zz\r\n", UnreachableError),
    ],
    ids=["line cut, orderly end", "line cut, connection cut", "chunk cut", "bad chunk"],
)
def test_what_the_end_cuts_is_not_read(tmp_path: Path, end: bytes, error: type[Exception] | None) -> None:
    """A cut line does not move the version: the next watch shows it again, whole."""

    def cut(_request: Request, connection: Connection) -> None:
        connection.send(stream(_event("ADDED", 1), end=end))

    with _api(cut, tmp_path) as (api, _):
        shown, version, caught = _watched(api)
    assert (shown, version) == ([(1, Stage.PENDING)], reference(1).resource_version)
    assert isinstance(caught, error) if error else caught is None


def test_a_silent_connection_ends(tmp_path: Path) -> None:
    """Without any byte for longer than bookmarks take, the connection is given up; the version stays."""

    def silent(_request: Request, connection: Connection) -> None:
        connection.send(stream(_event("ADDED", 1), end=b""))
        connection.hang()

    with _api(silent, tmp_path, SHORT) as (api, _):
        shown, version, caught = _watched(api)
    assert (shown, version) == ([(1, Stage.PENDING)], reference(1).resource_version)
    assert isinstance(caught, UnreachableError)


def test_a_list_that_dribbles_ends(tmp_path: Path) -> None:
    """A page that comes byte by byte is given up when its time is over, though bytes keep coming."""

    def dribbles(_request: Request, connection: Connection) -> None:
        connection.send(CHUNKED)
        while connection.wait(0.05):
            connection.send(chunk(b" "))

    with (
        _api(dribbles, tmp_path, Timeouts(connect=LONG, read=LONG, total=0.6)) as (api, _),
        pytest.raises(UnreachableError, match="did not end in time"),
    ):
        list(api.pages(SIGNER))


def test_interrupt_ends_a_watch_in_another_thread(tmp_path: Path) -> None:
    """What waits for the next byte does not have to wait for its time-out."""
    opened = threading.Event()

    def silent(_request: Request, connection: Connection) -> None:
        connection.send(stream(_event("ADDED", 1), end=b""))
        connection.hang()

    with _api(silent, tmp_path, Timeouts(read=60.0, total=60.0)) as (api, _):

        def watch() -> None:
            with api.watch(SIGNER, "1") as watching:
                try:
                    for _batch in watching.batches():
                        opened.set()
                except UnreachableError:
                    return

        thread = threading.Thread(target=watch)
        thread.start()
        assert opened.wait(LONG)
        api.interrupt()
        thread.join(LONG)
        assert not thread.is_alive()


def test_tls_is_verified(tmp_path: Path) -> None:
    """Without the certificate authority, or with another one, nothing is asked: never without TLS or unverified."""
    (tmp_path / "token").write_text("token")
    (tmp_path / "ca.pem").write_bytes(Authority.create("another").certificate_pem)
    with ScriptedServer(lambda *_: page()) as server:
        for file in ("ca.pem", "token", "absent"):
            api = ApiClient(
                Location(
                    server=server.url.replace("http:", "https:"),
                    certificate_authority=tmp_path / file,
                    token_file=tmp_path / "token",
                ),
                timeouts=SHORT,
            )
            with pytest.raises(UnreachableError):
                list(api.pages(SIGNER))
    assert all(request.headers.get("authorization") is None for request in server.requests)


def _plain_certificate(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, *names: x509.GeneralName) -> bytes:
    """A certificate without any key identifier, for the key and by the key; without `names` a CA's."""
    extension: x509.ExtensionType = x509.SubjectAlternativeName(names)
    if not names:
        extension = x509.BasicConstraints(ca=True, path_length=None)
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(extension, critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def test_a_certificate_without_key_identifiers_is_enough(tmp_path: Path) -> None:
    """Some clusters have such, and Python 3.13's stricter default refuses them; the name is verified all the same."""
    key = ec.generate_private_key(ec.SECP256R1())
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    (tmp_path / "ca.pem").write_bytes(_plain_certificate("ca", "ca", key))
    (tmp_path / "server.pem").write_bytes(_plain_certificate("server", "ca", key, address))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (tmp_path / "token").write_text("token")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.pem", tmp_path / "key.pem")
    with ScriptedServer(lambda *_: page(csr_document(1)), tls) as server:
        for url, trusted in ((server.url, True), (server.url.replace("127.0.0.1", "localhost"), False)):
            location = Location(server=url, certificate_authority=tmp_path / "ca.pem", token_file=tmp_path / "token")
            api = ApiClient(location, timeouts=PATIENT)
            if trusted:
                assert _numbers(list(api.pages(SIGNER))) == [1]
            else:
                with pytest.raises(UnreachableError, match="Hostname mismatch"):
                    list(api.pages(SIGNER))
            api.close()
