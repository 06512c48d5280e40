"""What a client can do with objects: get, list, create, update, patch, delete, and ask for a token."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING

from sandbox.kubernetes import status
from sandbox.kubernetes.resources import NODES, PODS
from sandbox.kubernetes.selection import continue_token
from sandbox.kubernetes.status import Cause, StatusError

if TYPE_CHECKING:
    from sandbox.api import Json
    from sandbox.kubernetes.authentication import Authenticator, User
    from sandbox.kubernetes.resources import Resource
    from sandbox.kubernetes.selection import Selection
    from sandbox.kubernetes.store import Store, StoredVersion

# What the server decides about an object's metadata, and no client changes.
_SERVER_KEPT = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


class Verbs:
    """The verbs on the objects of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, resource: Resource, namespace: str, name: str) -> StoredVersion:
        """Reads an object.

        Raises:
            StatusError: 400, no name can be that; 404.
        """
        if violation := _name_violation(name):
            raise StatusError("BadRequest", violation)
        entry = self._store.find(resource, namespace, name)
        if entry is None:
            raise status.not_found(resource, name)
        return entry

    def page(self, resource: Resource, selection: Selection) -> bytes:
        """Reads a page of a collection; the pages of a list show one version.

        Raises:
            StatusError: 410, that version is forgotten.
        """
        collection = self._store.collection(resource)
        version = selection.version if selection.start else self._store.version
        state = collection.at(version) if selection.start else collection.entries
        found = [entry for key, entry in sorted(state.items()) if key >= selection.start and selection.selects(entry)]
        page = found[: selection.limit] if selection.limit else found
        metadata = {"resourceVersion": str(version)}
        if len(page) < len(found):
            metadata["continue"] = continue_token(version, page[-1])
        return collection.show_list(page, metadata)

    def create(self, resource: Resource, namespace: str, new: Json, user: User) -> StoredVersion:
        """Stores a new object.

        Raises:
            StatusError: 409, 422.
        """
        metadata = {key: value for key, value in new["metadata"].items() if key not in _SERVER_KEPT}
        name = metadata["name"]
        if violation := _name_violation(name):
            raise status.invalid(resource, name, [_invalid("metadata.name", name, violation)])
        if self._store.find(resource, namespace, name) is not None:
            raise status.already_exists(resource, name)
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": _time(0)}
        if namespace:
            metadata["namespace"] = namespace
        new["metadata"] = metadata
        resource.complete(new, user)
        return self._store.put(resource, new)

    def update(self, resource: Resource, old: StoredVersion, subresource: str, new: Json) -> StoredVersion:
        """Replaces an object, or what the subresource covers.

        Raises:
            StatusError: 409, the client read another object or version; 422.
        """
        wanted, found = new["metadata"].get("uid"), old.object["metadata"]["uid"]
        if wanted not in {None, found}:
            raise status.other_uid(resource, old.object["metadata"]["name"], wanted=wanted, found=found)
        return self._replace(resource, old, subresource, new)

    def patch(self, resource: Resource, old: StoredVersion, subresource: str, patch: Json) -> StoredVersion:
        """Applies a JSON merge patch (RFC 7396).

        Raises:
            StatusError: 409, the client read another version; 422, a rule is broken or the client read another object.
        """
        new = merge(old.object, patch)
        assert isinstance(new, dict)  # noqa: S101 - mypy's: the patch is an object
        uid, name = new["metadata"].get("uid"), old.object["metadata"]["name"]
        self._check_version(resource, old, new)
        if uid != old.object["metadata"]["uid"]:
            raise status.invalid(resource, name, [_invalid("metadata.uid", uid, "field is immutable")])
        return self._replace(resource, old, subresource, new)

    def delete(self, resource: Resource, old: StoredVersion, grace_seconds: int | None) -> Json:
        """Deletes an object, or marks it if it may end gracefully.

        Returns:
            A Status of kind success.
        """
        metadata, grace = old.object["metadata"], resource.grace_seconds(old.object, grace_seconds)
        if grace > 0:
            marks = {"deletionTimestamp": _time(grace), "deletionGracePeriodSeconds": grace}
            self._store.put(resource, {**old.object, "metadata": metadata | marks})
        else:
            self._store.remove(resource, old)
        group = {"group": resource.group} if resource.group else {}
        details = {"name": metadata["name"], **group, "kind": resource.plural, "uid": metadata["uid"]}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def request_token(self, authenticator: Authenticator, account: StoredVersion, spec: Json) -> Json:
        """Issues a token for a service account, perhaps bound to a pod, and through that to its node.

        Raises:
            StatusError: 404, there is no such pod.
        """
        metadata, pod, node = account.object["metadata"], None, None
        if (reference := spec.get("boundObjectRef")) is not None:
            pod = self.get(PODS, metadata["namespace"], reference["name"]).object
            node = self._store.find(NODES, "", pod["spec"].get("nodeName", ""))
        return authenticator.issue(
            metadata,
            pod=None if pod is None else pod["metadata"],
            node=None if node is None else node.object["metadata"],
            audiences=spec.get("audiences", ()),
        )

    def _replace(self, resource: Resource, old: StoredVersion, subresource: str, new: Json) -> StoredVersion:
        self._check_version(resource, old, new)
        stored = old.object["metadata"]
        kept = {key: stored[key] for key in ("name", "namespace", "resourceVersion", *_SERVER_KEPT) if key in stored}
        new["metadata"] = {key: value for key, value in new["metadata"].items() if key not in _SERVER_KEPT} | kept
        causes = resource.update(subresource, old.object, new)
        if causes:
            raise status.invalid(resource, stored["name"], causes)
        # An update that changes nothing makes no new version.
        return old if new == old.object else self._store.put(resource, new)

    @staticmethod
    def _check_version(resource: Resource, old: StoredVersion, new: Json) -> None:
        if new["metadata"].get("resourceVersion") not in {None, "", "0", str(old.version)}:
            raise status.modified(resource, old.object["metadata"]["name"])


def merge(target: object, patch: object) -> object:
    """Applies a JSON merge patch (RFC 7396); `target` itself stays as it is."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def _name_violation(name: str) -> str | None:
    """Says why a name cannot be one segment of a path, the only rule for names of CertificateSigningRequests."""
    if name in {".", ".."} or set(name) & set("/%"):
        return "may not be '.' or '..', and may not contain '/' or '%'"
    return None


def _invalid(field: str, value: object, message: str) -> Cause:
    return Cause(reason="FieldValueInvalid", field=field, message=f'Invalid value: "{value}": {message}')


def _time(seconds: int) -> str:
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
