"""From a request to an answer: who asks, which resource, which verb."""

from __future__ import annotations

import datetime as dt
import json
import logging
import re
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox import managed_fields
from sandbox.kubernetes import certificates, core, representation, selection, status
from sandbox.kubernetes.authentication import User, authenticate
from sandbox.kubernetes.connection import BAD_REQUEST, HttpAnswer, HttpRequest, refusal
from sandbox.kubernetes.store import encode
from sandbox.kubernetes.watching import Watch, WatchSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.kubernetes.resource import Resource
    from sandbox.kubernetes.store import Entry
    from sandbox.kubernetes.verbs import Verbs

_LOG = logging.getLogger(__name__)
RESOURCES = (*core.RESOURCES, certificates.RESOURCE)
_OPEN = frozenset({"/healthz", "/livez", "/readyz"})
_SELF_REVIEWS = ("apis", "authentication.k8s.io", "v1", "selfsubjectreviews")
_ACCESS_REVIEWS = ("apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews")
_VERSION = {"major": "1", "minor": "37", "gitVersion": "v1.37.2+sandbox", "platform": "embedded"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_BODY_TYPES = {
    "POST": ("application/json",),
    "PUT": ("application/json",),
    "PATCH": ("application/merge-patch+json", "application/strategic-merge-patch+json"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a path names: a collection (no name), an object, or a subresource."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


class Router:
    """Answers requests from a store.

    Attributes:
        watches: those that run.
    """

    def __init__(
        self,
        verbs: Verbs,
        *,
        watch_settings: WatchSettings,
        log: Callable[[HttpRequest, User | None], None],
    ) -> None:
        self._verbs = verbs
        self._watch_settings = watch_settings
        self._log = log
        self.watches: set[Watch] = set()

    def close_watches(self) -> None:
        """End every running watch."""
        for watch in tuple(self.watches):
            watch.close()

    def answer(self, request: HttpRequest) -> HttpAnswer:
        """Answer any request; nothing that a client sends gets past this as an exception."""
        user = None
        try:
            try:
                user = authenticate(
                    certificate=request.certificate,
                    authorization=request.headers.get("authorization"),
                    tokens=self._verbs.tokens,
                )
            finally:
                self._log(request, user)
            return self._route(request, user)
        except status.StatusError as error:
            return refusal(error)
        except Exception:  # noqa: BLE001 - a fault of the double must not look like a broken network
            _LOG.exception("%s %r failed", request.method, request.target)
            return refusal(status.internal("the double has a fault here; its log says which"))

    def _route(self, request: HttpRequest, user: User | None) -> HttpAnswer:
        path, _, query = request.target.partition("?")
        if _BAD_ESCAPE.search(path):
            return BAD_REQUEST
        # The real server splits what is decoded already: an escaped slash is a slash.
        path = urllib.parse.unquote(path)
        if path in _OPEN:
            return HttpAnswer(media_type="text/plain", body=b"ok")
        if path == "/version":
            return HttpAnswer(body=encode(_VERSION))
        if user is None:
            raise status.unauthorized()
        parts = tuple(path.removesuffix("/").split("/"))[1:]
        if request.method == "POST" and parts in (_SELF_REVIEWS, _ACCESS_REVIEWS):
            return _review(user) if parts == _SELF_REVIEWS else _access_review(_body(request))
        place = locate(parts)
        if place is None:
            return HttpAnswer(code=404, media_type="text/plain", body=b"404 page not found\n")
        return self._dispatch(request, place, dict(urllib.parse.parse_qsl(query)), user)

    def _dispatch(self, request: HttpRequest, place: Place, query: dict[str, str], user: User) -> HttpAnswer:
        if query.get("dryRun"):
            raise status.bad_request("dry runs are not supported by this server")
        shown = representation.accepted(place.resource, request.headers.get("accept", ""))
        match request.method:
            case "GET" if not place.name:
                return self._collection(place, query, shown)
            case "GET" if place.subresource != "token":
                found = self._verbs.get(place.resource, place.namespace, place.name)
                return HttpAnswer(body=shown.one(found) + b"\n")
            case "POST" if place.subresource == "token":
                token = self._verbs.request_token(place.namespace, place.name, _body(request))
                return HttpAnswer(code=201, body=encode(token) + b"\n")
            case "DELETE" if place.name and not place.subresource:
                return self._delete(request, place, query, shown)
        code, entry = self._write(request, place, user)
        return HttpAnswer(code=code, body=shown.one(entry) + b"\n")

    def _write(self, request: HttpRequest, place: Place, user: User) -> tuple[int, Entry]:
        object_ = (place.resource, place.namespace, place.name, place.subresource)
        match request.method:
            case "POST" if not place.name and bool(place.namespace) is place.resource.namespaced:
                return 201, self._verbs.create(place.resource, place.namespace, _body(request), user)
            case "PUT" if place.name and place.subresource != "token":
                return 200, self._verbs.update(*object_, _body(request))
            case "PATCH" if place.name and place.subresource != "token":
                return 200, self._verbs.patch(*object_, _body(request))
        raise status.method_not_allowed()

    def _collection(self, place: Place, query: dict[str, str], shown: representation.Representation) -> HttpAnswer:
        chosen = selection.read(place.resource, place.namespace, query)
        if not chosen.watch:
            return HttpAnswer(body=self._verbs.page(place.resource, chosen, shown))
        watch = Watch(
            store=self._verbs.store,
            collection=self._verbs.store.collection(place.resource),
            selection=chosen,
            representation=shown,
            settings=self._watch_settings,
            forget=self.watches.discard,
        )
        self.watches.add(watch)
        return HttpAnswer(body=watch.chunks())

    def _delete(
        self,
        request: HttpRequest,
        place: Place,
        query: dict[str, str],
        shown: representation.Representation,
    ) -> HttpAnswer:
        options = _body(request) if request.body else {}
        grace = query.get("gracePeriodSeconds", "")
        if isinstance(options, dict) and grace.isdigit():
            options = {"gracePeriodSeconds": int(grace), **options}
        entry, gone = self._verbs.delete(place.resource, place.namespace, place.name, options)
        if not gone or place.resource.answers_object:
            return HttpAnswer(body=shown.one(entry) + b"\n")
        group = {"group": place.resource.group} if place.resource.group else {}
        uid = entry.object["metadata"]["uid"]
        details = {"name": place.name, **group, "kind": place.resource.plural, "uid": uid}
        success = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }
        return HttpAnswer(body=encode(success) + b"\n")


def locate(parts: tuple[str, ...]) -> Place | None:
    """Find what the segments of a path name; None for a group that is not served.

    Raises:
        status.StatusError: 404, nothing of that group.
    """
    match parts:
        case ("api", "v1", *rest):
            group = ""
        case ("apis", certificates.GROUP, "v1", *rest):
            group = certificates.GROUP
        case _:
            return None
    namespace = ""
    if group == "" and len(rest) > 2 and rest[0] == "namespaces":  # noqa: PLR2004 - namespaces/NAME/plural
        namespace, rest = rest[1], rest[2:]
    plural, *names = rest or [""]
    for resource in RESOURCES:
        if (resource.group, resource.plural) != (group, plural) or (namespace and not resource.namespaced):
            continue
        if "" in names or len(names) > 2 or (names and resource.namespaced and not namespace):  # noqa: PLR2004
            break
        name, subresource = [*names, "", ""][:2]
        if subresource and subresource not in resource.subresources:
            break
        return Place(resource=resource, namespace=namespace, name=name, subresource=subresource)
    raise status.no_such_path()


def _body(request: HttpRequest) -> object:
    wanted = _BODY_TYPES.get(request.method, ("application/json",))
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower() or wanted[0]
    if media_type not in wanted:
        raise status.unsupported_media_type(", ".join(wanted))
    try:
        text = managed_fields.take_out(request.body.decode(errors="replace"))
        body: object = json.loads(text, parse_constant=_no_constant)
        # Halves of surrogate pairs become U+FFFD, as in Go.
        if "\\ud" in text.lower():
            body = json.loads(_SURROGATE.sub("\ufffd", json.dumps(body, ensure_ascii=False)))
        encode(body)
    except (ValueError, RecursionError) as error:
        message = f"the object provided is unrecognized: couldn't get version/kind; json parse error: {error}"
        raise status.bad_request(message) from error
    return body


def _no_constant(word: str) -> object:
    raise ValueError(f"invalid character {word[0]!r} looking for beginning of value")


def _review(user: User) -> HttpAnswer:
    review = {
        "kind": "SelfSubjectReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"},
        "status": {"userInfo": user.described},
    }
    return HttpAnswer(code=201, body=encode(review) + b"\n")


def _access_review(body: object) -> HttpAnswer:
    """Whoever is authenticated may do everything here."""
    spec = body.get("spec") if isinstance(body, dict) else None
    attributes = spec.get("resourceAttributes") if isinstance(spec, dict) else None
    if not isinstance(attributes, dict):
        raise status.bad_request("access reviews need spec.resourceAttributes at this server")
    review = {
        "kind": "SelfSubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {},
        "spec": {"resourceAttributes": attributes},
        "status": {"allowed": True},
    }
    return HttpAnswer(code=201, body=encode(review) + b"\n")
