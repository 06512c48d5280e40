"""The tigera operator's Installation in a cluster, as far as `signerctl` and the operator's double read it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from sandbox.api import ApiError
from sandbox.calico.render import CertificateManagement

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.api import Api
    from sandbox.calico.world import World

_GROUP: Final = "operator.tigera.io"
_DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_INSTALLATIONS: Final = f"/apis/{_GROUP}/v1/installations"
PATH: Final = f"{_INSTALLATIONS}/default"
_ANYTHING: Final = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_PATCH: Final = "5"
_NOT_FOUND: Final = 404


def put_in(world: World, *, authority: Path, signer_name: str, release: str) -> None:
    """Creates the resource definition and the Installation.

    Args:
        world: The cluster.
        authority: PEM file of the CAs that Calico's pods trust.
        signer_name: The signerName of their CSRs.
        release: Calico's release, such as 3.31.
    """
    world.ensure(_DEFINITIONS, "CustomResourceDefinition", {"spec": _definition()}, f"installations.{_GROUP}")
    body: dict[str, Any] = {
        "spec": {"certificateManagement": {"caCert": _encoded(authority), "signerName": signer_name}},
        "status": {"calicoVersion": f"v{release}.{_PATCH}"},
    }
    while True:  # the API server serves a new resource after a moment
        try:
            world.ensure(_INSTALLATIONS, "Installation", body, "default")
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
        else:
            return


def trust(api: Api, authority: Path) -> None:
    """Changes caCert to the CAs of a PEM file."""
    api.patch(PATH, {"spec": {"certificateManagement": {"caCert": _encoded(authority)}}})


def management(api: Api) -> CertificateManagement:
    """Returns the settings of certificates; keys are P-256, as Calico's documentation recommends."""
    found = api.get(PATH)["spec"]["certificateManagement"]
    return CertificateManagement(
        signer_name=found["signerName"],
        authority_pem=base64.b64decode(found["caCert"]),
        key_algorithm="ECDSAWithCurve256",
        signature_algorithm="ECDSAWithSHA256",
    )


def _encoded(authority: Path) -> str:
    return base64.b64encode(authority.read_bytes()).decode()


def _definition() -> dict[str, Any]:
    names = {
        "kind": "Installation",
        "listKind": "InstallationList",
        "plural": "installations",
        "singular": "installation",
    }
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": _ANYTHING}}
    return {"group": _GROUP, "scope": "Cluster", "names": names, "versions": [version]}
