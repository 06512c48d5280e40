"""Folders of manifests: the examples, and others that signerctl renders for the tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.paths import INFRA
from tests.unit.signerctl.outputs import IMAGE, Document, outputs
from tests.unit.signerctl.stage import signerctl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXAMPLES = INFRA / "cluster" / "examples"
FUNCTION_OF_SITE = "gcp:csr-signer@example-project.iam.gserviceaccount.com"
_POOL = "//iam.googleapis.com/projects/1234567890/locations/global/workloadIdentityPools/csr-exporter-demo"
_PROVIDER = f"{_POOL}/providers/cluster"


def _outside_gke(values: Document) -> None:
    """Outside GKE, with a release of Calico that uses two namespaces."""
    values["manifests"]["demo"] |= {"function_user": FUNCTION_OF_SITE, "token_audience": _PROVIDER}
    configuration = json.loads(values["exporter_configurations"]["demo"])
    configuration["identity"]["sts_audience"] = _PROVIDER
    values["exporter_configurations"]["demo"] = json.dumps(configuration)
    (signer,) = (each for each in values["document"]["signers"] if each["cluster"] == "demo")
    signer["profile"] |= {"release": "3.30", "namespaces": ["calico-apiserver", "calico-system"]}


def _on_the_pod_network(values: Document) -> None:
    """The cluster demo, whose exporter is on the pod network as in the cluster databases."""
    values["manifests"]["demo"]["exporter_network"] = "pod"
    configuration = json.loads(values["exporter_configurations"]["demo"])
    configuration["identity"] = json.loads(values["exporter_configurations"]["databases"])["identity"]
    configuration["health"]["address"] = "0.0.0.0"  # noqa: S104 - the pod's own network
    values["exporter_configurations"]["demo"] = json.dumps(configuration)


def _as_it_is(_values: Document) -> None:
    """The cluster demo."""


RENDERED: dict[str, Callable[[Document], None]] = {
    "site": _outside_gke,
    "pod": _on_the_pod_network,
    "scraped": _as_it_is,
    "scraped pod": _on_the_pod_network,
}
"""Folders that are no examples: how Terraform's outputs differ from the example's for the cluster demo."""


SECRET = "csr-exporter-metrics"
_SCRAPED = ("--metrics", "0.0.0.0:9877", "--metrics-tls", SECRET)
_PLACED = ("--node-selector", "node-restriction.kubernetes.io/jobs=true", "--toleration", "jobs=true:NoSchedule")
_OPTIONS = {"scraped": _SCRAPED, "scraped pod": _SCRAPED, "pod": ("--renewal-image", IMAGE, *_PLACED)}


def render(out: Path, name: str) -> None:
    """Renders one of the folders."""
    options = ("--terraform-output", "-", "--cluster", "demo", "--image", IMAGE, "--out", out)
    given = outputs(RENDERED[name])
    user = ("--function-user", given["manifests"]["value"]["demo"]["function_user"])
    result = signerctl("cluster", "manifests", *options, *user, *_OPTIONS.get(name, ()), stdin=json.dumps(given))
    assert result.exit_code == 0, result.output
