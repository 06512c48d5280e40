"""The project's own manifests, infra/cluster, put into an API server as an operator would, without kubectl.

Only what decides who may do what: namespace, accounts, roles and bindings. The exporter's workload is left out, as it
runs as a process here. So whatever the sandbox's function and exporter do, these manifests allow it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sandbox.api import NAMESPACES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.calico.world import World

NAMESPACE = "kms-csr-signer"
EXPORTER_ACCOUNT = "csr-exporter"
FUNCTION_USER = "csr-signer@example-project.iam.gserviceaccount.com"
EXPORTER_EMAIL = "csr-exporter@example-project.iam.gserviceaccount.com"
SIGNER_NAME = "csr-signer.example.com/calico"

_FOLDER = Path(__file__).resolve().parents[2] / "infra" / "cluster"
_FILES = (
    "base/namespace.yaml",
    "base/exporter-identity.yaml",
    "base/function.yaml",
    "approve/function.yaml",
    "profiles/calico/calico-system.yaml",
)
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_COLLECTIONS = {
    "Namespace": NAMESPACES,
    "ServiceAccount": f"{NAMESPACES}/{{namespace}}/serviceaccounts",
    "ClusterRole": f"{_RBAC}/clusterroles",
    "ClusterRoleBinding": f"{_RBAC}/clusterrolebindings",
    "Role": f"{_RBAC}/namespaces/{{namespace}}/roles",
    "RoleBinding": f"{_RBAC}/namespaces/{{namespace}}/rolebindings",
}


def apply(world: World, *, function: Mapping[str, str] | None = None) -> None:
    """Put them in; the namespaces of Calico must be there.

    Args:
        world: Where, and what will remove them.
        function: The RBAC subject that the function is known as; by default the user that the manifests name.
    """
    for document in _documents():
        metadata = document["metadata"]
        collection = _COLLECTIONS[document["kind"]].format(namespace=metadata.get("namespace", ""))
        content = {key: value for key, value in document.items() if key not in {"apiVersion", "kind"}}
        if function is not None and "subjects" in content:
            content["subjects"] = [dict(function) if each["kind"] == "User" else each for each in content["subjects"]]
        world.ensure(collection, document["kind"], content, metadata["name"], optional=_RBAC in collection)


def _documents() -> Iterator[dict[str, Any]]:
    for name in _FILES:
        for document in yaml.safe_load_all((_FOLDER / name).read_text(encoding="utf-8")):
            if document["kind"] in _COLLECTIONS:
                yield document
