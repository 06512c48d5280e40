"""What can be done with objects: get, list, create, update, patch, delete, and the token of a service account."""

from __future__ import annotations

import copy
import datetime as dt
import secrets
import uuid
from typing import TYPE_CHECKING

from sandbox.kubernetes import core, documents, managed_fields, selection, status, tokens
from sandbox.kubernetes.authentication import User
from sandbox.kubernetes.resource import check_metadata, path_segment_violation

if TYPE_CHECKING:
    from sandbox.api import Json
    from sandbox.kubernetes.representation import Representation
    from sandbox.kubernetes.resource import Resource
    from sandbox.kubernetes.selection import Selection
    from sandbox.kubernetes.store import Entry, Store

# What the server decides about an object when it is created, and nobody changes later.
_SERVER_CREATED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
_SYSTEM = User(username="system:apiserver", groups=("system:masters",))
_SERVER_KEPT = (*_SERVER_CREATED, "generation")


class Verbs:
    """The verbs on a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.tokens = tokens.Tokens(store)
        for name in ("default", "kube-node-lease", "kube-public", "kube-system"):
            self.create(core.NAMESPACES, "", {"metadata": {"name": name}}, _SYSTEM)

    def get(self, resource: Resource, namespace: str, name: str) -> Entry:
        """Read an object.

        Raises:
            status.StatusError: 400 for a name that is no path segment, 404.
        """
        violation = path_segment_violation(name)
        if violation is not None:
            raise status.bad_request(f"Name parameter invalid: {status.quote(name)}: {violation}")
        entry = self.store.find(resource, namespace, name)
        if entry is None:
            raise status.not_found(resource, name)
        return entry

    def page(self, resource: Resource, chosen: Selection, representation: Representation) -> bytes:
        """Read a page of a collection, as of one version.

        Raises:
            status.StatusError: 410 for a version that is forgotten, 504 for one that is not reached.
        """
        collection, current = self.store.collection(resource), self.store.version
        wanted = chosen.version
        if wanted is not None and wanted > current:
            raise status.version_too_large(wanted, current)
        version = wanted if chosen.exact and wanted is not None and wanted >= 0 else current
        state = collection.entries if version == current else collection.at(version)
        if state is None:
            raise _forgotten(chosen)
        start = (chosen.start or "").encode()
        keys = sorted(key for key in state if key.encode() >= start) if start else sorted(state)
        found = [entry for entry in map(state.__getitem__, keys) if chosen.selects(entry)]
        metadata: Json = {"resourceVersion": str(version)}
        page = found[: chosen.limit] if chosen.limit else found
        if len(page) < len(found):
            metadata["continue"] = selection.token(version, page[-1])
            if not chosen.narrow:
                metadata["remainingItemCount"] = len(found) - len(page)
        return representation.many(page, metadata)

    def create(self, resource: Resource, namespace: str, body: object, user: User) -> Entry:
        """Create an object.

        Raises:
            status.StatusError: 400, 403, 404 for the namespace, 409, 422.
        """
        new = documents.decode(resource, body)
        metadata = new["metadata"]
        _place(resource, namespace, metadata)
        if metadata.pop("resourceVersion", ""):
            raise status.internal("resourceVersion should not be set on objects to be created")
        for field in _SERVER_CREATED:
            metadata.pop(field, None)
        managed_fields.settle(metadata, {})
        if not metadata.get("name") and "generateName" in metadata:
            metadata["name"] = f"{metadata['generateName']}{secrets.token_hex(3)}"
        if namespace:
            self._admit_into(resource, namespace, metadata.get("name", ""))
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": _now()}
        causes = [*check_metadata(resource, metadata), *resource.rules.create(new, user)]
        if causes:
            raise status.invalid(resource, metadata.get("name", ""), causes)
        if resource is core.PODS:
            self._admit_pod(new)
        present = self.store.find(resource, namespace, metadata["name"])
        if present is not None:
            deleting = "deletionTimestamp" in present.object["metadata"]
            raise status.already_exists(resource, metadata["name"], deleting=deleting)
        return self.store.put(resource, new)

    def update(self, resource: Resource, namespace: str, name: str, subresource: str, body: object) -> Entry:
        """Replace an object, or what the subresource covers.

        Raises:
            status.StatusError: 400, 404, 409 for another uid or another version, 422.
        """
        new = documents.decode(resource, body)
        metadata = new["metadata"]
        if not metadata.get("name"):
            message = f"the name of the object ({name} based on URL) was undeterminable: name must be provided"
            raise status.bad_request(message)
        if metadata["name"] != name:
            message = f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            raise status.bad_request(message)
        _place(resource, namespace, metadata)
        old = self.get(resource, namespace, name)
        wanted, found = metadata.get("uid"), old.object["metadata"]["uid"]
        if wanted is not None and wanted != found:
            raise status.other_uid(resource, name, wanted=wanted, found=found)
        return self._replace(resource, subresource, old, new)

    def patch(self, resource: Resource, namespace: str, name: str, subresource: str, body: object) -> Entry:
        """Apply a JSON merge patch (RFC 7396).

        Raises:
            status.StatusError: 400, 404, 409 for another version, else 422 for another uid.
        """
        old = self.get(resource, namespace, name)
        if not isinstance(body, dict):
            raise status.bad_request("a merge patch must be a JSON object")
        patched = documents.merge(copy.deepcopy(old.object), body)
        new = documents.decode(resource, patched)
        _check_version(resource, old, new["metadata"])
        uid = new["metadata"].get("uid")
        if uid is not None and uid != old.object["metadata"]["uid"]:
            cause = status.invalid_value("metadata.uid", status.quote(uid), "field is immutable")
            raise status.invalid(resource, name, [cause])
        return self._replace(resource, subresource, old, new)

    def delete(self, resource: Resource, namespace: str, name: str, options: object) -> tuple[Entry, bool]:
        """Delete an object, or mark it where something keeps it.

        Returns:
            Its last state, and whether it is gone.

        Raises:
            status.StatusError: 400, 404, 409 for preconditions.
        """
        asked = documents.delete_options(options or {})
        old = self.get(resource, namespace, name)
        _check_preconditions(resource, name, old, asked.get("preconditions", {}))
        grace = resource.rules.grace_seconds(old.object, asked.get("gracePeriodSeconds"))
        new = copy.deepcopy(old.object)
        metadata = new["metadata"]
        shortens = grace < metadata.get("deletionGracePeriodSeconds", grace + 1)
        if "deletionTimestamp" not in metadata or shortens:
            if "generation" in metadata and "deletionTimestamp" not in metadata:
                metadata["generation"] += 1
            metadata |= {"deletionTimestamp": core.deletion_time(grace), "deletionGracePeriodSeconds": grace}
        if not resource.rules.lingers(new):
            return self.store.remove(resource, old.key, new), True
        if resource is core.NAMESPACES:
            new["status"] = {"phase": "Terminating"}
        return (old if new == old.object else self.store.put(resource, new)), False

    def request_token(self, namespace: str, name: str, body: object) -> Json:
        """Issue a token for a service account.

        Raises:
            status.StatusError: 400, 404, 409 for the bound object's uid, 422.
        """
        account = self.get(core.SERVICE_ACCOUNTS, namespace, name)
        return self.tokens.issue(account.object, documents.decode(tokens.REQUEST, body)["spec"])

    def _replace(self, resource: Resource, subresource: str, old: Entry, new: Json) -> Entry:
        metadata, stored = new["metadata"], old.object["metadata"]
        _check_version(resource, old, metadata)
        metadata.pop("resourceVersion", None)
        for field in _SERVER_KEPT:
            metadata.pop(field, None)
            if field in stored:
                metadata[field] = stored[field]
        managed_fields.settle(metadata, stored, fixed=bool(subresource))
        causes = [*check_metadata(resource, metadata), *resource.rules.update(subresource, old.object, new)]
        if "deletionTimestamp" in stored:
            added = set(metadata.get("finalizers", [])) - set(stored.get("finalizers", []))
            if added:
                message = f"no new finalizers can be added if the object is being deleted, found {sorted(added)}"
                causes.append(status.forbidden_change("metadata.finalizers", message))
        if causes:
            raise status.invalid(resource, stored["name"], causes)
        if "deletionTimestamp" in stored and not resource.rules.lingers(new):
            return self.store.remove(resource, old.key, new)
        # An update that changes nothing is no new version.
        metadata["resourceVersion"] = stored["resourceVersion"]
        return old if new == old.object else self.store.put(resource, new)

    def _admit_into(self, resource: Resource, namespace: str, name: str) -> None:
        found = self.store.find(core.NAMESPACES, "", namespace)
        if found is None:
            raise status.not_found(core.NAMESPACES, namespace)
        if "deletionTimestamp" in found.object["metadata"]:
            message = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise status.forbidden(resource, name, message)

    def _admit_pod(self, pod: Json) -> None:
        namespace, account = pod["metadata"]["namespace"], pod["spec"]["serviceAccountName"]
        if self.store.find(core.SERVICE_ACCOUNTS, namespace, account) is None:
            message = (
                f"error looking up service account {namespace}/{account}: "
                f"serviceaccount {status.quote(account)} not found"
            )
            raise status.forbidden(core.PODS, pod["metadata"]["name"], message)


def _place(resource: Resource, namespace: str, metadata: Json) -> None:
    given = metadata.pop("namespace", "")
    if not resource.namespaced:
        return
    if given not in {"", namespace}:
        raise status.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    metadata["namespace"] = namespace


def _check_version(resource: Resource, old: Entry, metadata: Json) -> None:
    version = metadata.get("resourceVersion", "") or "0"
    if not (version.isascii() and version.isdigit()):
        raise status.internal(f"strconv.ParseUint: parsing {status.quote(version)}: invalid syntax")
    if int(version) not in {0, old.version}:
        raise status.modified(resource, old.object["metadata"]["name"])


def _check_preconditions(resource: Resource, name: str, old: Entry, preconditions: Json) -> None:
    metadata = old.object["metadata"]
    for field, word, hint in (
        ("uid", "UID", "deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", "modified"),
    ):
        wanted, found = preconditions.get(field), metadata[field]
        if wanted not in {None, found}:
            message = (
                f"the {word} in the precondition ({wanted}) does not match the {word} in record ({found}). "
                f"The object might have been {hint}"
            )
            raise status.precondition_failed(resource, name, message)


def _forgotten(chosen: Selection) -> status.StatusError:
    if chosen.start is None:
        return status.expired("The resourceVersion for the provided list is too old.")
    message = (
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of "
        "the results. Continuing with the provided token results in an inconsistent list."
    )
    return status.expired(message, continue_token=selection.present_token(chosen.start))


def _now() -> str:
    return f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
