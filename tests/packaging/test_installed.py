"""`signerctl` works outside the repository, installed from the wheel, with the dependencies that the wheel asks for."""

import json
from pathlib import Path

import pytest
import yaml

from csr_signer import VERSION
from development import manifests
from tests.packaging.conftest import Installed

pytestmark = pytest.mark.slow

USER = "csr-signer@p.iam.gserviceaccount.com"


def test_it_tells_its_version(installed: Installed) -> None:
    """The command and the metadata name the version of the source."""
    assert VERSION in installed.run("signerctl", "--version")
    assert f"Version: {VERSION}\n" in installed.run("pip", "show", "kms-csr-signer")


def test_it_brings_what_signerctl_needs_and_no_more(installed: Installed) -> None:
    """Every module of signerctl can be imported; the function's runtime and the exporter's packages are absent."""
    program = "import pkgutil, signerctl\nfor each in pkgutil.walk_packages(signerctl.__path__, 'signerctl.'):\n"
    installed.run("python", "-c", f"{program}    each.name.endswith('__main__') or __import__(each.name)\n")
    names = {package["name"] for package in json.loads(installed.run("pip", "list", "--format", "json"))}
    assert not names & {"functions-framework", "gunicorn", "prometheus_client", "uvicorn"}


def test_it_writes_a_clusters_manifests(installed: Installed) -> None:
    """The templates are in the wheel: the folder is the repository's example, byte for byte."""
    options = ("--terraform-output", str(manifests.TERRAFORM_OUTPUT), "--cluster", "demo")
    images = ("--image", manifests.OPTIONS.image, "--renewal-image", str(manifests.OPTIONS.renewal_image))
    installed.run("signerctl", "cluster", "manifests", *options, *images, "--out", "demo")
    assert _files(installed.folder / "demo") == _files(manifests.EXAMPLES / "demo")


def test_it_prints_guards(installed: Installed) -> None:
    """The profiles are in the wheel: the policies follow from a shipped profile."""
    issuer = {
        "key_version": "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
        "certificate": "ca.pem",
        "trust_bundle": "ca.pem",
    }
    document = {
        "clusters": {"prod": {"source": "//example.com/prod", "authentication": {"kubeconfig": "any"}}},
        "signers": [
            {
                "cluster": "prod",
                "signer_name": "example.com/calico",
                "profile": {"name": "calico", "release": "3.31"},
                "issuer": issuer,
            }
        ],
    }
    (installed.folder / "function.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    options = ("--configuration", "function.yaml", "--cluster", "prod", "--function-user", USER)
    printed = list(yaml.safe_load_all(installed.run("signerctl", "guards", *options)))
    assert {each["kind"] for each in printed} == {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}


def test_it_helps(installed: Installed) -> None:
    """`ca --help` names the program as an operator types it."""
    assert installed.run("signerctl", "ca", "--help").startswith("Usage: signerctl ca ")


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
