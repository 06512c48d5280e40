"""`signerctl` works outside the repository, installed from the wheel, with the dependencies that the wheel asks for."""

import json
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from csr_signer import VERSION
from development import manifests
from sandbox.api import CSRS, Api
from tests.packaging.conftest import Installed
from tests.paths import DOCS
from tests.sandbox.demo.running import LONG, read_until, started
from tests.unit.signerctl.outputs import function_user

pytestmark = pytest.mark.slow

USER = "csr-signer@p.iam.gserviceaccount.com"


def test_it_tells_its_version(installed: Installed) -> None:
    """The command and the metadata name the version of the source."""
    assert VERSION in installed.run("signerctl", "--version")
    program = "import importlib.metadata as metadata; print(metadata.version('kms-csr-signer'))"
    assert installed.run("python", "-c", program).strip() == VERSION


def test_it_brings_what_signerctl_needs_and_no_more(installed: Installed) -> None:
    """Every module of signerctl can be imported; the function's runtime and the exporter's packages are absent."""
    program = "import pkgutil, signerctl\nfor each in pkgutil.walk_packages(signerctl.__path__, 'signerctl.'):\n"
    installed.run("python", "-c", f"{program}    each.name.endswith('__main__') or __import__(each.name)\n")
    listing = "import importlib.metadata as metadata; print(*(each.name for each in metadata.distributions()))"
    names = {re.sub("[-_.]+", "-", name).lower() for name in installed.run("python", "-c", listing).split()}
    assert {"kms-csr-signer", "click"} <= names
    assert not names & {"functions-framework", "gunicorn", "prometheus-client", "starlette", "uvicorn"}


def test_it_writes_a_clusters_manifests(installed: Installed) -> None:
    """The templates are in the wheel: the folder is the repository's example, byte for byte."""
    options = ("--terraform-output", str(manifests.TERRAFORM_OUTPUT), "--cluster", "demo")
    user = ("--function-user", function_user("demo"))
    exporter, tool = manifests.OPTIONS.image, str(manifests.OPTIONS.renewal_image)
    images = ("--image", exporter, "--renewal-image", tool, "--key-pairs-image", tool)
    installed.run("signerctl", "cluster", "manifests", *options, *user, *images, "--out", "demo")
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


def test_doctor_and_explain_run_against_a_served_demo(installed: Installed, tmp_path: Path) -> None:
    """The demo prints doctor's command; installed from the wheel, it finds no error, and explain knows the fleet.

    So the wheel has all that runs the function's own decision.
    """
    with started("--serve", "--pods", "2", "--plain", temporary=tmp_path) as demo:
        printed = "".join(read_until(demo, "To compare each signature"))
        command = printed.partition("-m signerctl doctor")[2].partition("\n\n")[0].replace("\\\n", " ")
        options = shlex.split(command)
        checks = {
            each["check"]: each
            for each in json.loads(installed.run("signerctl", "doctor", *options, "--json"))["items"]
        }
        assert {"error", "warning"}.isdisjoint(each["level"] for each in checks.values())
        assert checks["function"]["level"] == checks["kms-key"]["level"] == "ok"
        with Api.from_kubeconfig(Path(options[options.index("--kubeconfig") + 1])) as api:
            csrs = api.get(CSRS)["items"]
        name = next(each["metadata"]["name"] for each in csrs if each["status"].get("certificate"))
        found = json.loads(installed.run("signerctl", "explain", name, *options, "--json"))["items"]
        assert [(each["name"], each["state"]) for each in found] == [(name, "issued")]
        demo.send_signal(signal.SIGINT)
        assert demo.wait(LONG) == 0


def test_it_helps(installed: Installed) -> None:
    """`ca --help` names the program as an operator types it."""
    assert installed.run("signerctl", "ca", "--help").startswith("Usage: signerctl ca ")


def test_bash_completes_commands(installed: Installed) -> None:
    """The line of docs/signerctl.md for ~/.bashrc makes bash complete the installed command."""
    (line,) = re.findall(r"^eval .*$", (DOCS / "signerctl.md").read_text(encoding="utf-8"), re.MULTILINE)
    press = 'COMP_WORDS=(signerctl expl) COMP_CWORD=1; _signerctl_completion signerctl; echo "${COMPREPLY[*]}"'
    environment = {**os.environ, "PATH": f"{installed.venv / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", f"{line}\n{press}"], env=environment, capture_output=True, check=True)
    assert done.stdout == b"explain\n"


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
