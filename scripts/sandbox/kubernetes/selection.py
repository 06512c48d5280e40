"""What a list or a watch asks for: query parameters, field selectors, continue tokens."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.kubernetes import status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.kubernetes.resource import Resource
    from sandbox.kubernetes.store import Entry

_TERM = re.compile(r"([^=!]+)(==|=|!=)(.*)")
_TOKEN_VERSION = "meta.k8s.io/v1"  # noqa: S105 - the version of continue tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The parameters of a list or watch.

    Attributes:
        version: None where no resourceVersion was given, or 0.
        start: the key to go on from, with `version`; a negative version goes on from the present state.
        narrow: a selector was given, so nobody counts what remains.
    """

    limit: int
    version: int | None
    exact: bool
    start: str | None
    watch: bool
    timeout_seconds: int | None
    bookmarks: bool
    narrow: bool
    selects: Callable[[Entry], bool]


def read(resource: Resource, namespace: str, query: Mapping[str, str]) -> Selection:
    """Read the query parameters of a list or watch.

    Raises:
        status.StatusError: 400, 422 or 500, as the API server answers what it cannot read.
    """
    if query.get("labelSelector"):
        raise status.bad_request("label selectors are not supported by this server")
    watch = query.get("watch", "") in {"1", "true", "True"}
    match = query.get("resourceVersionMatch", "")
    limit, timeout = (_integer(query.get(name, "")) for name in ("limit", "timeoutSeconds"))
    version, start = _version(query.get("resourceVersion", ""), watch=watch), None
    if token := query.get("continue", ""):
        if version is not None:
            raise status.bad_request("specifying resource version is not allowed when using continue")
        version, start = _read_token(token)
    if query.get("sendInitialEvents"):
        raise status.bad_request("sendInitialEvents is not supported by this server")
    limit = max(0, limit or 0)
    field_selector = query.get("fieldSelector", "")
    return Selection(
        limit=limit,
        version=version,
        exact=match == "Exact" or start is not None or (limit > 0 and match == ""),
        start=start,
        watch=watch,
        timeout_seconds=timeout,
        bookmarks=query.get("allowWatchBookmarks", "") in {"1", "true"},
        narrow=bool(field_selector),
        selects=_selector(resource, namespace, field_selector),
    )


def token(version: int, after: Entry) -> str:
    """A continue token for what comes after an entry, as of a version."""
    return _write_token(version, f"{after.key}\0")


def present_token(start: str) -> str:
    """A continue token that goes on from the present state, which may contradict the pages before."""
    return _write_token(-1, start)


def _write_token(version: int, start: str) -> str:
    content = json.dumps({"v": _TOKEN_VERSION, "rv": version, "start": start}, separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).rstrip(b"=").decode()


def _read_token(written: str) -> tuple[int, str]:
    try:
        content = json.loads(base64.urlsafe_b64decode(written + "=" * (-len(written) % 4)))
        return {_TOKEN_VERSION: int(content["rv"])}[content["v"]], str(content["start"])
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise status.bad_request(f"invalid continue token: continue key is not valid: {error}") from error


def _integer(written: str) -> int | None:
    if not written:
        return None
    try:
        return int(written)
    except ValueError as error:
        message = f"strconv.ParseInt: parsing {status.quote(written)}: invalid syntax"
        raise status.bad_request(message) from error


def _version(written: str, *, watch: bool) -> int | None:
    if written in {"", "0"}:
        return None
    if not (written.isascii() and written.isdigit()):
        message = f"resourceVersion: Invalid value: {status.quote(written)}: strconv.ParseUint: invalid syntax"
        raise (status.internal(message) if watch else status.bad_request(f"invalid resource version: {message}"))
    return int(written)


def _selector(resource: Resource, namespace: str, written: str) -> Callable[[Entry], bool]:
    tests: list[Callable[[Entry], bool]] = []
    if namespace:
        tests.append(lambda entry: bool(entry.object["metadata"]["namespace"] == namespace))
    for term in filter(None, written.split(",")):
        match = _TERM.fullmatch(term)
        if match is None:
            raise status.bad_request(f"invalid selector: '{term}'; can't understand '{term}'")
        tests.append(_test(resource, *match.groups()))
    return lambda entry: all(test(entry) for test in tests)


def _test(resource: Resource, label: str, operator: str, wanted: str) -> Callable[[Entry], bool]:
    readers = {
        "metadata.name": lambda found: found["metadata"]["name"],
        **({"metadata.namespace": lambda found: found["metadata"]["namespace"]} if resource.namespaced else {}),
        **resource.selectable,
    }
    if label not in readers:
        raise status.bad_request(f"field label not supported: {label}")
    read_field = readers[label]
    return lambda entry: (read_field(entry.object) == wanted) is (operator != "!=")
