"""What a list or a watch asks for: query parameters, field selectors, continue tokens."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.kubernetes.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.kubernetes.resources import Resource
    from sandbox.kubernetes.store import StoredVersion

_TERM = re.compile(r"([^=!]+)(==|=|!=)(.*)")
_TRUE = frozenset({"1", "true"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The parameters of a list or a watch.

    Attributes:
        limit: objects in a page; 0 for all.
        version: where a watch starts, or as of which a list goes on; 0 for the present state.
        start: the key where a list goes on.
        timeout_seconds: of a watch; 0 for the server's own.
        selects: tells whether an object is asked for.
    """

    limit: int
    version: int
    start: str
    watch: bool
    timeout_seconds: int
    bookmarks: bool
    selects: Callable[[StoredVersion], bool]


def read(resource: Resource, namespace: str, query: Mapping[str, str]) -> Selection:
    """Reads the query parameters of a list or a watch.

    Raises:
        StatusError: 400, a parameter is wrong.
    """
    try:
        version, start = int(query.get("resourceVersion") or 0), ""
        if token := query.get("continue"):
            version, start = _read_token(token)
        return Selection(
            limit=int(query.get("limit") or 0),
            version=version,
            start=start,
            watch=query.get("watch") in _TRUE,
            timeout_seconds=int(query.get("timeoutSeconds") or 0),
            bookmarks=query.get("allowWatchBookmarks") in _TRUE,
            selects=_selector(resource, namespace, query.get("fieldSelector", "")),
        )
    except ValueError as error:
        raise StatusError("BadRequest", str(error)) from error


def continue_token(version: int, last: StoredVersion) -> str:
    """Returns a token for what comes after an object, as of a version."""
    return base64.urlsafe_b64encode(f"{version} {last.key}\0".encode()).decode()


def _read_token(token: str) -> tuple[int, str]:
    version, _, start = base64.urlsafe_b64decode(token).decode().partition(" ")
    return int(version), start


def _selector(resource: Resource, namespace: str, written: str) -> Callable[[StoredVersion], bool]:
    tests = [_test(resource, term) for term in filter(None, written.split(","))]
    if namespace:
        tests.append(lambda entry: bool(entry.object["metadata"]["namespace"] == namespace))
    return lambda entry: all(test(entry) for test in tests)


def _test(resource: Resource, term: str) -> Callable[[StoredVersion], bool]:
    match = _TERM.fullmatch(term)
    readers = {"metadata.name": lambda found: str(found["metadata"]["name"]), **resource.selectable}
    if match is None or match[1] not in readers:
        raise ValueError(f"field label not supported: {term}")
    read_field, negated, wanted = readers[match[1]], match[2] == "!=", match[3]
    return lambda entry: (read_field(entry.object) == wanted) is not negated
