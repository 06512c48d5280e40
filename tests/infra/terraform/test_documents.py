"""The function and the exporter load the documents that Terraform renders."""

import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from csr_exporter import configuration as exporter
from csr_exporter.csr import Stage
from csr_signer.configuration import loader
from csr_signer.errors import ConfigurationError
from csr_signer.policy.profile import SHIPPED, load
from development.lock import ROOT
from tests.infra.terraform.plans import Plan
from tests.unit.function.policy.component_tables import CALICO_RELEASES, ENTERPRISE_RELEASES

IN_A_POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443", "POD_NAME": "csr-exporter-1"}


def test_the_function_loads_its_bundle(planned: Mapping[str, Plan], tmp_path: Path) -> None:
    """With all files in one folder, the loader accepts the document and the files that it names."""
    for name, content in planned["deployed"].outputs["documents"].items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    loaded = loader.load(tmp_path / "configuration.yaml")
    assert set(loaded.signers) == {("prod", "example.com/calico"), ("site", "site.example.com/calico")}
    site = loaded.signers["site", "site.example.com/calico"]
    assert not site.approve
    assert site.lifetime.days == 90
    assert loaded.clusters["prod"].invokers == ("csr-exporter-prod@example-signer.iam.gserviceaccount.com",)
    assert loaded.clusters["site"].authentication.google_id_token is not None


def test_the_function_loads_an_own_profile(planned: Mapping[str, Plan], tmp_path: Path) -> None:
    """The loader finds a profile of the variable `profiles` next to the configuration."""
    for name, content in planned["own_profile_and_address_ranges"].outputs["documents"].items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    loaded = loader.load(tmp_path / "configuration.yaml")
    assert set(loaded.signers) == {("prod", "example.com/postgresql")}


def test_the_function_loads_every_kind_of_access(planned: Mapping[str, Plan], tmp_path: Path) -> None:
    """The loader accepts Google's hosts, and a private control plane that Terraform marks as such."""
    for name, content in planned["every_access_to_google"].outputs["documents"].items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    clusters = loader.load(tmp_path / "configuration.yaml").clusters
    tokens = {name: cluster.authentication.google_access_token for name, cluster in clusters.items()}
    assert {name: token.private_endpoint for name, token in tokens.items() if token is not None} == {
        "dns": False,
        "edge": False,
        "private": True,
    }


@pytest.mark.parametrize(
    ("profile", "release"),
    [*(("calico", each) for each in CALICO_RELEASES), *(("calico-enterprise", each) for each in ENTERPRISE_RELEASES)],
)
def test_namespaces_are_required_at_plan(profile: str, release: str) -> None:
    """Terraform requires them for the same releases as the function's loader."""
    text = (ROOT / "infra" / "variables.tf").read_text(encoding="utf-8")
    (pattern,) = re.findall(
        r'name == "calico-enterprise" \|\| .*? can\(regex\("(\S+)", signer\.profile\.release\)', text
    )
    demanded = profile == "calico-enterprise" or re.search(pattern.replace("\\\\", "\\"), release) is not None
    refusal = pytest.raises(ConfigurationError, match=r"^profile\.namespaces: Required value")
    with refusal if demanded else contextlib.nullcontext():
        load(profile, release=release, folder=SHIPPED)


def test_shipped_profiles_are_known_at_plan() -> None:
    """Terraform accepts the function's profiles and those of the variable `profiles`, and no others."""
    shipped = sorted(path.stem for path in (ROOT / "function" / "csr_signer" / "profiles").glob("*.yaml"))
    listed = json.dumps(shipped)
    text = (ROOT / "infra" / "variables.tf").read_text(encoding="utf-8")
    assert f"contains(concat({listed}, keys(var.profiles)), signer.profile.name)" in text
    assert f"!contains({listed}, signer.profile.name)" in text


def test_the_service_loads_its_mounted_documents(planned: Mapping[str, Plan], tmp_path: Path) -> None:
    """The loader finds all documents at the paths where the service's revision mounts them."""
    template = planned["from_an_image"].one("google_cloud_run_v2_service")["template"][0]
    container = template["containers"][0]
    folders = {mount["name"]: mount["mount_path"] for mount in container["volume_mounts"]}
    secrets = {
        folders[volume["name"]] + "/" + volume["secret"][0]["items"][0]["path"]: volume["secret"][0]["secret"]
        for volume in template["volumes"]
    }
    (named,) = [each["value"] for each in container["env"] if each["name"] == "CSR_SIGNER_CONFIGURATION"]
    assert len(loaded_from(secrets, planned["from_an_image"], named, tmp_path).signers) == 2


def loaded_from(secrets: Mapping[str, str], plan: Plan, configuration: str, folder: Path) -> loader.Configuration:
    """Loads the configuration from a folder with the contents of the secrets at their paths."""
    contents = {
        values["secret_id"]: content
        for name, content in plan.outputs["documents"].items()
        for address, values in plan.of_type("google_secret_manager_secret").items()
        if address.endswith(f'.google_secret_manager_secret.this["{name}"]')
    }
    for mounted, secret in secrets.items():
        path = folder / mounted.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(contents[secret], encoding="utf-8")
    return loader.load(folder / configuration.lstrip("/"))


def test_the_exporters_load_their_documents(planned: Mapping[str, Plan]) -> None:
    """Each cluster's exporter watches its own signers, in the stages in which the function acts."""
    rendered = planned["deployed"].outputs["exporter_configurations"]
    prod, site = (exporter.parse(rendered[name], IN_A_POD) for name in ("prod", "site"))
    stages = {signer.signer_name: signer.stages for signer in (*prod.signers, *site.signers)}
    assert stages == {
        "example.com/calico": {Stage.PENDING, Stage.APPROVED},
        "site.example.com/calico": {Stage.APPROVED},
    }


def test_exporter_and_function_agree(planned: Mapping[str, Plan]) -> None:
    """The exporter has the source and the identity that the function expects for its cluster."""
    outputs = planned["deployed"].outputs
    clusters = yaml.safe_load(outputs["documents"]["configuration.yaml"])["clusters"]
    for name, text in outputs["exporter_configurations"].items():
        document = json.loads(text)
        assert document["source"] == clusters[name]["source"]
        assert [document["identity"]["service_account"]] == clusters[name]["invokers"]
        assert document["function"]["audience"] == outputs["function"]["url"]


def test_the_projected_token_has_the_audience_of_the_exchange(planned: Mapping[str, Plan]) -> None:
    """Outside GKE, both audiences are the provider. On GKE, the token's is the pool, and STS gets the cluster's URL."""
    outputs = planned["deployed"].outputs
    audiences = {name: manifest["token_audience"] for name, manifest in outputs["manifests"].items()}
    exchange = {
        name: json.loads(text)["identity"]["sts_audience"] for name, text in outputs["exporter_configurations"].items()
    }
    assert audiences["site"] == exchange["site"]
    assert audiences["prod"] == "example-clusters.svc.id.goog"
    assert exchange["prod"].startswith(f"identitynamespace:{audiences['prod']}:https://container.googleapis.com/v1/")
