"""From a request to an answer: who asks, which resource, which verb."""

from __future__ import annotations

import json
import logging
import urllib.parse
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.kubernetes import certificates, resources, selection
from sandbox.kubernetes.authentication import Authenticator, User
from sandbox.kubernetes.connection import HttpAnswer, HttpRequest
from sandbox.kubernetes.status import StatusError
from sandbox.kubernetes.store import encode
from sandbox.kubernetes.verbs import Verbs
from sandbox.kubernetes.watching import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.api import Json
    from sandbox.kubernetes.resources import Resource
    from sandbox.kubernetes.store import Store, StoredVersion

_LOG = logging.getLogger(__name__)
RESOURCES = (*resources.CORE, certificates.RESOURCE)
_SELF_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_ACCESS_REVIEWS = {
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": "SelfSubjectAccessReview",
    "/apis/authorization.k8s.io/v1/subjectaccessreviews": "SubjectAccessReview",
}
_PATCHES = ("application/merge-patch+json", "application/strategic-merge-patch+json")
# The double refuses all others: to ignore them would mean something else.
_PARAMETERS = frozenset(
    {
        *("allowWatchBookmarks", "continue", "fieldSelector", "gracePeriodSeconds", "limit", "resourceVersion"),
        *("timeoutSeconds", "watch"),
    }
)
# A test that needs these fields of metadata needs the real API server; to ignore them would hide that.
_UNSUPPORTED = frozenset({"finalizers", "managedFields"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a path names: a collection (no name), an object, or a subresource."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def kind(self) -> str:
        """Returns what handlers are looked up by: `collections` are those of all namespaces together."""
        if not self.name:
            return "collection" if bool(self.namespace) is self.resource.namespaced else "collections"
        return {"": "object", "token": "token"}.get(self.subresource, "part")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request of a known user to a known place."""

    request: HttpRequest
    place: Place
    query: Mapping[str, str]
    user: User


class Router:
    """Answers requests from a store.

    Args:
        store: the objects.
        bookmark_seconds: between the bookmarks of a watch.
        log: called with every request and its user.
    """

    def __init__(
        self, store: Store, *, bookmark_seconds: float, log: Callable[[HttpRequest, User | None], None]
    ) -> None:
        self._store = store
        self._verbs = Verbs(store)
        self._authenticator = Authenticator()
        self._bookmark_seconds = bookmark_seconds
        self._log = log
        self._watches: weakref.WeakSet[Watch] = weakref.WeakSet()
        self._handlers: Mapping[tuple[str, str], Callable[[Call], HttpAnswer]] = {
            ("GET", "collection"): self._list,
            ("GET", "collections"): self._list,
            ("POST", "collection"): self._create,
            ("GET", "object"): self._get,
            ("GET", "part"): self._get,
            ("PUT", "object"): self._update,
            ("PUT", "part"): self._update,
            ("PATCH", "object"): self._patch,
            ("PATCH", "part"): self._patch,
            ("DELETE", "object"): self._delete,
            ("POST", "token"): self._request_token,
        }

    def close_watches(self) -> None:
        """Ends every running watch."""
        for watch in tuple(self._watches):
            watch.close()

    def answer(self, request: HttpRequest) -> HttpAnswer:
        """Answers any request; nothing that a client sends raises an exception here."""
        user = None
        try:
            try:
                authorization = request.headers.get("authorization", "")
                user = self._authenticator.authenticate(certificate=request.certificate, authorization=authorization)
            finally:
                self._log(request, user)
            return self._route(request, user)
        except StatusError as error:
            return HttpAnswer(code=error.code, body=encode(error.body))
        except Exception:  # noqa: BLE001 - a fault of the double must not look like a broken network
            _LOG.exception("%s %r failed", request.method, request.target)
            return HttpAnswer(code=500, body=encode(StatusError("InternalError", "the double has a fault").body))

    def _route(self, request: HttpRequest, user: User | None) -> HttpAnswer:
        path, _, parameters = request.target.partition("?")
        # The real server splits the decoded path too: an escaped slash is a slash.
        path = urllib.parse.unquote(path)
        if path == "/healthz":
            return HttpAnswer(media_type="text/plain", body=b"ok")
        if user is None:
            raise StatusError("Unauthorized", "Unauthorized")
        query = dict(urllib.parse.parse_qsl(parameters, keep_blank_values=True))
        if unknown := query.keys() - _PARAMETERS:
            raise StatusError("BadRequest", f"the double does not support {sorted(unknown)}")
        if request.method == "POST" and path in {_SELF_REVIEWS, *_ACCESS_REVIEWS}:
            return _object(201, _review(path, _body(request), user))
        place = _locate(path)
        handler = self._handlers.get((request.method, place.kind))
        if handler is None:
            raise StatusError("MethodNotAllowed", "the server does not allow this method on the requested resource")
        return handler(Call(request=request, place=place, query=query, user=user))

    def _list(self, call: Call) -> HttpAnswer:
        resource = call.place.resource
        chosen = selection.read(resource, call.place.namespace, call.query)
        if not chosen.watch:
            return HttpAnswer(body=self._verbs.page(resource, chosen))
        watch = Watch(
            store=self._store,
            collection=self._store.collection(resource),
            selection=chosen,
            bookmark_seconds=self._bookmark_seconds,
        )
        self._watches.add(watch)
        return HttpAnswer(body=watch.chunks())

    def _create(self, call: Call) -> HttpAnswer:
        place = call.place
        entry = self._verbs.create(place.resource, place.namespace, _document(call.request), call.user)
        return self._shown(place, entry, code=201)

    def _get(self, call: Call) -> HttpAnswer:
        return self._shown(call.place, self._find(call.place))

    def _update(self, call: Call) -> HttpAnswer:
        place = call.place
        new = _document(call.request)
        return self._shown(place, self._verbs.update(place.resource, self._find(place), place.subresource, new))

    def _patch(self, call: Call) -> HttpAnswer:
        if call.request.headers.get("content-type") not in _PATCHES:
            raise StatusError("UnsupportedMediaType", f"the body must be one of {', '.join(_PATCHES)}")
        place = call.place
        patch, old = _body(call.request), self._find(place)
        return self._shown(place, self._verbs.patch(place.resource, old, place.subresource, patch))

    def _delete(self, call: Call) -> HttpAnswer:
        options = _body(call.request) if call.request.body else {}
        grace = options.get("gracePeriodSeconds", call.query.get("gracePeriodSeconds"))
        old = self._find(call.place)
        return _object(200, self._verbs.delete(call.place.resource, old, None if grace is None else int(grace)))

    def _request_token(self, call: Call) -> HttpAnswer:
        spec = _body(call.request)["spec"]
        return _object(201, self._verbs.request_token(self._authenticator, self._find(call.place), spec))

    def _find(self, place: Place) -> StoredVersion:
        return self._verbs.get(place.resource, place.namespace, place.name)

    def _shown(self, place: Place, entry: StoredVersion, *, code: int = 200) -> HttpAnswer:
        return HttpAnswer(code=code, body=self._store.collection(place.resource).show(entry))


def _locate(path: str) -> Place:
    """Finds what a path names.

    Raises:
        StatusError: 404, the API server has no such resource.
    """
    namespace, names = "", list[str]()
    match path.split("/")[1:]:
        case ["api", "v1", "namespaces", namespace, plural, *names]:
            group = ""
        case ["api", "v1", plural, *names]:
            group = ""
        case ["apis", certificates.GROUP, "v1", plural, *names]:
            group = certificates.GROUP
        case _:
            group = plural = ""
    for resource in RESOURCES:
        if (resource.group, resource.plural) == (group, plural):
            # Only a collection can be named across namespaces.
            placed = bool(namespace) is resource.namespaced or (resource.namespaced and not names)
            if placed and all(names) and set(names[1:]) <= resource.subresources:
                name, subresource, *_ = [*names, "", ""]
                return Place(resource=resource, namespace=namespace, name=name, subresource=subresource)
    raise StatusError("NotFound", "the server could not find the requested resource")


def _document(request: HttpRequest) -> Json:
    """Reads an object, without its kind and apiVersion: the collection knows them."""
    body = _body(request)
    if not body.get("metadata", {}).get("name"):
        raise StatusError("BadRequest", "metadata.name is required")
    return {key: value for key, value in body.items() if key not in {"kind", "apiVersion"}}


def _body(request: HttpRequest) -> Json:
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise StatusError("BadRequest", f"the body is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise StatusError("BadRequest", "the body must be an object")
    metadata = body.get("metadata") or {}
    if unknown := _UNSUPPORTED.intersection(metadata):
        raise StatusError("BadRequest", f"the double does not support metadata of {sorted(unknown)}")
    return body


def _review(path: str, body: Json, user: User) -> Json:
    """Answers who the user is, or that a user has a right: here every user has every right."""
    if path == _SELF_REVIEWS:
        answer = {"userInfo": user.described}
        return {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "status": answer}
    return {
        "kind": _ACCESS_REVIEWS[path],
        "apiVersion": "authorization.k8s.io/v1",
        "spec": body["spec"],
        "status": {"allowed": True},
    }


def _object(code: int, answer: Json) -> HttpAnswer:
    return HttpAnswer(code=code, body=encode(answer))
