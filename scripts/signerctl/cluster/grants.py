"""Says what a folder grants and to whom, from its rendered files, for the operator who reviews a new folder."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from signerctl.cluster.removal import LOADER
from signerctl.cluster.rendering import CONFIGURATION
from signerctl.guards.guarded import Guarded
from signerctl.interface.text import one_line

Json = Mapping[str, Any]

_ROLES: Final = ("ClusterRole", "Role")
_BINDINGS: Final = ("ClusterRoleBinding", "RoleBinding")


def lines(rendered: Mapping[str, str], guarded: Guarded) -> Iterator[str]:
    """Yields the rights of each user and account, who gets certificates, and where the exporter sends events."""
    texts = (text for name, text in rendered.items() if name != CONFIGURATION)
    documents = [document for text in texts for document in yaml.load_all(text, Loader=LOADER)]
    roles = {_role(each, each["kind"], each["metadata"]["name"]): each for each in documents if each["kind"] in _ROLES}
    rights: dict[str, list[str]] = {}
    for each in documents:
        if each["kind"] in _BINDINGS:
            role = roles[_role(each, each["roleRef"]["kind"], each["roleRef"]["name"])]
            namespace = each["metadata"].get("namespace")
            for subject in each["subjects"]:
                rights.setdefault(_subject(subject), []).extend(_right(rule, namespace) for rule in role["rules"])
    for subject, found in rights.items():
        yield one_line(f"{subject} may")
        yield from (f"  {one_line(each)}" for each in sorted(set(found)))
    for each in documents:
        if each["kind"] == "Namespace":
            standard = each["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]  # every template has one
            yield one_line(f"Namespace {each['metadata']['name']} gets the Pod Security Standard {standard}")
    for signer_name, names in sorted(guarded.names.items()):
        yield one_line(f"{signer_name} certifies, by CSR name")
        for account, forms in sorted(names.items()):
            certified = f"{account}: {', '.join(forms)}"
            yield f"  {one_line(certified)}"
    yield one_line(f"The exporter sends events to {json.loads(rendered[CONFIGURATION])['function']['url']}")


def _role(document: Json, kind: str, name: str) -> tuple[str, str, str]:
    """Returns what identifies a role: of a role itself, or of a binding's reference to it."""
    return kind, document["metadata"]["namespace"] if kind == "Role" else "", name


def _subject(subject: Json) -> str:
    where = f"{subject['namespace']}/" if "namespace" in subject else ""
    return f"{subject['kind']} {where}{subject['name']}"


def _right(rule: Json, namespace: str | None) -> str:
    names = f" {', '.join(rule['resourceNames'])}" if "resourceNames" in rule else ""
    where = "" if namespace is None else f" in {namespace}"
    return f"{', '.join(rule['verbs'])} {', '.join(rule['resources'])}{names}{where}"
