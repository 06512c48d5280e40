"""The tigera operator's Installation in a cluster without the operator, as far as `signerctl` reads it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from sandbox.api import ApiError

if TYPE_CHECKING:
    from sandbox.deployment import Deployment

_GROUP: Final = "operator.tigera.io"
_DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_INSTALLATIONS: Final = f"/apis/{_GROUP}/v1/installations"
_ANYTHING: Final = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_PATCH: Final = "5"
_NOT_FOUND: Final = 404


def put_in(deployment: Deployment) -> None:
    """Creates the resource definition and the Installation, with Calico's release and the deployment's CA."""
    settings = deployment.settings
    deployment.world.ensure(
        _DEFINITIONS, "CustomResourceDefinition", {"spec": _definition()}, f"installations.{_GROUP}"
    )
    management = {
        "caCert": base64.b64encode(deployment.certificate_authority.read_bytes()).decode(),
        "signerName": settings.signer_name,
    }
    body: dict[str, Any] = {
        "spec": {"certificateManagement": management},
        "status": {"calicoVersion": f"v{settings.release}.{_PATCH}"},
    }
    while True:  # the API server serves a new resource after a moment
        try:
            deployment.world.ensure(_INSTALLATIONS, "Installation", body, "default")
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
        else:
            return


def _definition() -> dict[str, Any]:
    names = {
        "kind": "Installation",
        "listKind": "InstallationList",
        "plural": "installations",
        "singular": "installation",
    }
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": _ANYTHING}}
    return {"group": _GROUP, "scope": "Cluster", "names": names, "versions": [version]}
