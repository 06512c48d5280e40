"""What Terraform renders is what the function and the exporter read."""

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


def test_the_function_reads_its_bundle(planned: Mapping[str, Plan], tmp_path: Path) -> None:
    """The bundle of a function lies in one folder; its loader takes the document and all that it names."""
    for name, content in planned["deployed"].outputs["documents"].items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    loaded = loader.load(tmp_path / "configuration.yaml")
    assert set(loaded.signers) == {("prod", "example.com/calico"), ("site", "site.example.com/calico")}
    site = loaded.signers["site", "site.example.com/calico"]
    assert not site.approve
    assert site.lifetime.days == 90
    assert loaded.clusters["prod"].invokers == ("csr-exporter-prod@example-signer.iam.gserviceaccount.com",)
    assert loaded.clusters["site"].authentication.google_id_token is not None


def test_the_function_reads_a_profile_of_ones_own(planned: Mapping[str, Plan], tmp_path: Path) -> None:
    """A profile that Terraform was given is found beside the configuration."""
    for name, content in planned["a_profile_and_ranges_of_ones_own"].outputs["documents"].items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    loaded = loader.load(tmp_path / "configuration.yaml")
    assert set(loaded.signers) == {("prod", "example.com/postgresql")}


def test_the_function_reads_every_access_to_google(planned: Mapping[str, Plan], tmp_path: Path) -> None:
    """The loader takes Google's hosts, and of other hosts the private control plane that Terraform says is one."""
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
def test_namespaces_are_demanded_at_plan(profile: str, release: str) -> None:
    """Terraform demands them for the very releases for which the function's loader would refuse to serve."""
    text = (ROOT / "infra" / "variables.tf").read_text(encoding="utf-8")
    (pattern,) = re.findall(
        r'name == "calico-enterprise" \|\| .*? can\(regex\("(\S+)", signer\.profile\.release\)', text
    )
    demanded = profile == "calico-enterprise" or re.search(pattern.replace("\\\\", "\\"), release) is not None
    refusal = pytest.raises(ConfigurationError, match=r"^profile\.namespaces: Required value")
    with refusal if demanded else contextlib.nullcontext():
        load(profile, release=release, folder=SHIPPED)


def test_shipped_profiles_are_known_at_plan() -> None:
    """Terraform takes the names of the profiles that the function has, and no other that is not given to it."""
    shipped = sorted(path.stem for path in (ROOT / "function" / "csr_signer" / "profiles").glob("*.yaml"))
    listed = json.dumps(shipped)
    text = (ROOT / "infra" / "variables.tf").read_text(encoding="utf-8")
    assert f"contains(concat({listed}, keys(var.profiles)), signer.profile.name)" in text
    assert f"!contains({listed}, signer.profile.name)" in text


def test_the_service_reads_its_mounted_documents(planned: Mapping[str, Plan], tmp_path: Path) -> None:
    """Cloud Run mounts each document where the revision's volumes say; the loader finds all of them from there."""
    plan = planned["from_an_image"]
    template = plan.one("google_cloud_run_v2_service")["template"][0]
    container = template["containers"][0]
    folders = {mount["name"]: mount["mount_path"] for mount in container["volume_mounts"]}
    contents = {
        values["secret_id"]: plan.outputs["documents"][name]
        for name in plan.outputs["documents"]
        for address, values in plan.of_type("google_secret_manager_secret").items()
        if address.endswith(f'.document["{name}"]') and "_version." not in address and "_iam_" not in address
    }
    for volume in template["volumes"]:
        secret = volume["secret"][0]
        path = tmp_path / folders[volume["name"]].lstrip("/") / secret["items"][0]["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(contents[secret["secret"]], encoding="utf-8")
    (named,) = [each["value"] for each in container["env"] if each["name"] == "CSR_SIGNER_CONFIGURATION"]
    assert len(loader.load(tmp_path / named.lstrip("/")).signers) == 2


def test_the_exporters_read_their_documents(planned: Mapping[str, Plan]) -> None:
    """Each cluster's exporter watches its own signers, in the stages in which they are the function's to act on."""
    rendered = planned["deployed"].outputs["exporter_configurations"]
    prod, site = (exporter.parse(rendered[name], IN_A_POD) for name in ("prod", "site"))
    stages = {signer.signer_name: signer.stages for signer in (*prod.signers, *site.signers)}
    assert stages == {
        "example.com/calico": {Stage.PENDING, Stage.APPROVED},
        "site.example.com/calico": {Stage.APPROVED},
    }


def test_exporter_and_function_agree(planned: Mapping[str, Plan]) -> None:
    """An exporter's source and identity are those that the function expects of its cluster."""
    outputs = planned["deployed"].outputs
    clusters = yaml.safe_load(outputs["documents"]["configuration.yaml"])["clusters"]
    for name, text in outputs["exporter_configurations"].items():
        document = json.loads(text)
        assert document["source"] == clusters[name]["source"]
        assert [document["identity"]["service_account"]] == clusters[name]["invokers"]
        assert document["function"]["audience"] == outputs["function"]["url"]


def test_the_projected_token_is_for_the_exchange(planned: Mapping[str, Plan]) -> None:
    """Outside GKE both audiences are the provider; on GKE the pool, and the exchange names the cluster."""
    outputs = planned["deployed"].outputs
    audiences = {name: manifest["token_audience"] for name, manifest in outputs["manifests"].items()}
    exchange = {
        name: json.loads(text)["identity"]["sts_audience"] for name, text in outputs["exporter_configurations"].items()
    }
    assert audiences["site"] == exchange["site"]
    assert audiences["prod"] == "example-clusters.svc.id.goog"
    assert exchange["prod"].startswith(f"identitynamespace:{audiences['prod']}:https://container.googleapis.com/v1/")
