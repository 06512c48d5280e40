"""Applies the example manifests of infra/cluster to an API server without kubectl.

It applies namespace, accounts, roles and bindings, with the signerNames and namespaces of the sandbox. It leaves out
the exporter's workload, which runs as a process. So the sandbox's function and exporter have exactly the manifests'
rights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sandbox.api import NAMESPACES
from sandbox.calico.components import CALICO_SYSTEM

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sandbox.calico.world import World

NAMESPACE = "kms-csr-signer"
EXPORTER_ACCOUNT = "csr-exporter"
FUNCTION_USER = "csr-access-demo@example-project.iam.gserviceaccount.com"
FUNCTION_SUBJECT = {"kind": "ServiceAccount", "namespace": NAMESPACE, "name": "csr-signer"}
"""The RBAC subject of a function that uses a token of a service account."""
FUNCTION_ACCOUNT_USER = f"system:serviceaccount:{NAMESPACE}:{FUNCTION_SUBJECT['name']}"
EXPORTER_EMAIL = "csr-exporter@example-project.iam.gserviceaccount.com"
SIGNER_NAME = "csr-signer.example.com/calico"

# The example folders that signerctl renders for a cluster: scripts/python -m development.manifests.
_EXAMPLES = Path(__file__).resolve().parents[2] / "infra" / "cluster" / "examples"
_FILES = ("demo/namespace.yaml", "demo/exporter.yaml", "demo/function.yaml")
# This example's profile certifies addresses.
_NODES_FILE = "databases/function.yaml"
_NODES = "kms-csr-signer:host-addresses"
_ATTEST = "kms-csr-signer:attest"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_COLLECTIONS = {
    "Namespace": NAMESPACES,
    "ServiceAccount": f"{NAMESPACES}/{{namespace}}/serviceaccounts",
    "ClusterRole": f"{_RBAC}/clusterroles",
    "ClusterRoleBinding": f"{_RBAC}/clusterrolebindings",
    "Role": f"{_RBAC}/namespaces/{{namespace}}/roles",
    "RoleBinding": f"{_RBAC}/namespaces/{{namespace}}/rolebindings",
}


def apply(
    world: World,
    *,
    signer_names: Sequence[str] = (SIGNER_NAME,),
    namespaces: Sequence[str] = (CALICO_SYSTEM,),
    nodes: bool = False,
    function: Mapping[str, str] | None = None,
) -> None:
    """Applies the manifests; all namespaces must exist.

    Args:
        world: The cluster; `World.remove` deletes the objects.
        signer_names: The function's signerNames.
        namespaces: Namespaces in which it may read pods and write Events.
        nodes: Whether the function may read nodes.
        function: The function's RBAC subject; by default, the manifests' user.
    """
    subject = dict(function or {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": FUNCTION_USER})
    for document in _documents(namespaces, nodes=nodes):
        metadata = document["metadata"]
        collection = _COLLECTIONS[document["kind"]].format(namespace=metadata.get("namespace", ""))
        content = {key: value for key, value in document.items() if key not in {"apiVersion", "kind"}}
        if "rules" in content:
            content["rules"] = [_for_signers(rule, signer_names) for rule in content["rules"]]
        if "subjects" in content:
            content["subjects"] = [subject if each["kind"] == "User" else each for each in content["subjects"]]
        world.ensure(collection, document["kind"], content, metadata["name"], optional=_RBAC in collection)


def _documents(namespaces: Sequence[str], *, nodes: bool) -> Iterator[dict[str, Any]]:
    for name in _FILES:
        for document in _read(name):
            if document["metadata"]["name"] == _ATTEST:
                for namespace in namespaces:
                    yield {**document, "metadata": {**document["metadata"], "namespace": namespace}}
            else:
                yield document
    if nodes:
        yield from (document for document in _read(_NODES_FILE) if document["metadata"]["name"] == _NODES)


def _read(name: str) -> Iterator[dict[str, Any]]:
    for document in yaml.safe_load_all((_EXAMPLES / name).read_text(encoding="utf-8")):
        if document["kind"] in _COLLECTIONS:
            yield document


def _for_signers(rule: dict[str, Any], signer_names: Sequence[str]) -> dict[str, Any]:
    return {**rule, "resourceNames": list(signer_names)} if rule["resources"] == ["signers"] else rule
