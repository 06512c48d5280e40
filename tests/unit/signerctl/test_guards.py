"""`signerctl guards`: policies that follow from the function's document and its profiles."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from signerctl import guarded, manifest
from signerctl.guarded import Exporter, Guarded
from tests.paths import EXAMPLE_PROFILES
from tests.unit.function.policy.component_tables import configured
from tests.unit.signerctl.stage import signerctl

USER = "csr-signer@p.iam.gserviceaccount.com"
NODE = "system:serviceaccount:calico-system:calico-node"
EXAMPLES = EXAMPLE_PROFILES
Document = dict[str, Any]


def signer(name: str = "example.com/calico", cluster: str = "prod", **changes: object) -> Document:
    """One signer of the function's document; the files that it names are nowhere."""
    key_version = "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
    return {
        "cluster": cluster,
        "signer_name": name,
        "profile": {"name": "calico", "release": "3.31"},
        "issuer": {"key_version": key_version, "certificate": "ca.pem", "trust_bundle": "ca.pem"},
        **changes,
    }


def written(folder: Path, *signers: Document) -> Path:
    """A document with two clusters."""
    clusters = {
        name: {"source": f"//example.com/{name}", "authentication": {"kubeconfig": "any"}} for name in ("prod", "test")
    }
    path = folder / "function.yaml"
    path.write_text(yaml.safe_dump({"clusters": clusters, "signers": list(signers)}), encoding="utf-8")
    return path


def run(path: Path, *more: str, cluster: str = "prod") -> list[Document]:
    """The policies and bindings that the command prints."""
    options = ("--configuration", path, "--cluster", cluster, "--function-user", USER)
    result = signerctl("guards", *options, *more)
    assert result.exit_code == 0, result.output
    return list(yaml.safe_load_all(result.stdout))


def refused(path: Path, *more: str, cluster: str = "prod", user: str = USER) -> str:
    """What it says instead."""
    options = ("--configuration", path, "--cluster", cluster, "--function-user", user)
    result = signerctl("guards", *options, *more)
    assert result.exit_code != 0
    assert result.stdout == ""
    return result.stderr


def loaded(path: Path, **changes: Any) -> Guarded:
    """What is guarded."""
    given = {"cluster": "prod", "function": USER, "approvers": (), "exporter": Exporter()}
    return guarded.load(path, **{**given, **changes})


def test_each_policy_has_what_puts_it_in_force(tmp_path: Path) -> None:
    """Five policies, refusing what they cannot judge, each with a binding that denies."""
    documents = run(written(tmp_path, signer()))
    policies, bindings = documents[0::2], documents[1::2]
    names = [each["metadata"]["name"] for each in policies]
    rules = ("create", "delete", "decide", "function", "exporter-pods")
    assert names == [f"kms-csr-signer-{rule}" for rule in rules]
    assert [each["spec"] for each in bindings] == [
        {"policyName": name, "validationActions": ["Deny"]} for name in names
    ]
    assert {each["spec"]["failurePolicy"] for each in policies} == {"Fail"}
    assert all(rule["reason"] for each in policies for rule in each["spec"]["validations"])


@pytest.mark.parametrize(("action", "actions"), [("audit", ["Audit"]), ("warn", ["Warn", "Audit"])])
def test_a_trial_refuses_nothing(tmp_path: Path, action: str, actions: list[str]) -> None:
    """Other actions are for looking what would be refused."""
    documents = run(written(tmp_path, signer()), "--action", action)
    assert [each["spec"]["validationActions"] for each in documents[1::2]] == [actions] * 5


def test_the_text_is_what_is_meant(tmp_path: Path) -> None:
    """Folding long expressions changes none of them, not even in names with runs of spaces."""
    found = loaded(written(tmp_path, signer()), function=f"a  {'long  ' * 30} name", approvers=['it\'s "quoted" \\'])
    documents = manifest.documents(found)
    assert tuple(yaml.safe_load_all(manifest.render(documents))) == documents


def test_only_the_clusters_signers_are_guarded(tmp_path: Path) -> None:
    """Another cluster's are none of this one's business."""
    path = written(tmp_path, signer(), signer("example.com/other", "test"))
    assert loaded(path).signer_names == ("example.com/calico",)
    assert loaded(path, cluster="test").signer_names == ("example.com/other",)


@pytest.mark.parametrize(
    ("release", "name"), [("3.31", "node-certs:{pod}"), ("3.28", "node-certs:{pod}"), ("3.27", "calico-system:{pod}")]
)
def test_names_are_those_of_the_release(tmp_path: Path, release: str, name: str) -> None:
    """With the requester's namespace in its place."""
    reference = {"name": "calico", "release": release, "namespaces": configured("calico", release)}
    found = loaded(written(tmp_path, signer(profile=reference)))
    assert found.names["example.com/calico"][NODE] == (name,)
    assert ("calico-apiserver" in found.namespaces) == (release != "3.31")
    assert found.reserved is not None
    assert re.match(found.reserved, name.replace("{pod}", "calico-node-x2b4c"))


def test_names_that_could_be_anybodys_are_not_reserved(tmp_path: Path) -> None:
    """Kubelets and people name CSRs without a colon: `{pod}` alone would take all their names."""
    text = (EXAMPLES / "postgresql.yaml").read_text(encoding="utf-8")
    profile = yaml.safe_load(text)
    for row in profile["components"]:
        row["request_names"] = [{"name": "{pod}"}]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    path = written(tmp_path, signer(profile={"name": "own.yaml"}))
    assert loaded(path).reserved is None
    (condition,) = run(path)[0]["spec"]["matchConditions"]
    assert condition["expression"] == 'object.spec.signerName in ["example.com/calico"]'


def test_a_dot_in_a_name_is_a_dot(tmp_path: Path) -> None:
    """And no wildcard of the expression that reserves it."""
    profile = yaml.safe_load((EXAMPLES / "postgresql.yaml").read_text(encoding="utf-8"))
    profile["components"][0]["request_names"] = [{"name": "a.b:{pod}"}]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    reserved = loaded(written(tmp_path, signer(profile={"name": "own.yaml"}))).reserved
    assert reserved is not None
    assert re.match(reserved, "a.b:any")
    assert not re.match(reserved, "axb:any")


def test_an_account_of_two_signers_keeps_their_names_apart(tmp_path: Path) -> None:
    """Each signerName has its own; for anybody else's all of them are the account's."""
    old = {"name": "calico", "release": "3.27", "namespaces": ["calico-system"]}
    found = loaded(written(tmp_path, signer(), signer("example.com/old", profile=old)))
    assert found.names["example.com/calico"][NODE] == ("node-certs:{pod}",)
    assert found.names["example.com/old"][NODE] == ("calico-system:{pod}",)
    assert found.names_of(NODE) == ("calico-system:{pod}", "node-certs:{pod}")


def test_who_approves(tmp_path: Path) -> None:
    """The function where the signer says so, and whom the operator names."""
    path = written(tmp_path, signer(), signer("example.com/signed", approve=False))
    assert loaded(path, approvers=("alice",)).approvers == {
        "example.com/calico": ("alice", USER),
        "example.com/signed": ("alice",),
    }
    words = refused(path)
    assert '"example.com/signed": Required value: --approver' in words
    assert "--approver" in words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cluster": "else"}, "clusters: Not found: \"else\": supported values: ['prod', 'test']"),
        ({"cluster": "test"}, 'signers: Required value: a signer for cluster "test"'),
        ({"user": "a\nb"}, "must have 1 to 512 printable ASCII characters"),
        ({"user": ""}, "must have 1 to 512 printable ASCII characters"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    """With what was got and what is allowed, and nothing on standard output."""
    assert words in " ".join(refused(written(tmp_path, signer()), **changes).split())


@pytest.mark.parametrize("name", ["example/calico", "kubernetes.io/kubelet-serving", "a.k8s.io/b", 'a.b/"'])
def test_a_signer_name_that_cannot_be_ours_is_refused(tmp_path: Path, name: str) -> None:
    """As in the function's configuration."""
    assert "signer_name: Invalid value" in refused(written(tmp_path, signer(name)))


def test_the_exporters_account(tmp_path: Path) -> None:
    """Another namespace and name go into the pods' policy."""
    path = written(tmp_path, signer())
    spec = run(path, "--exporter", "signing/exporter-a")[-2]["spec"]
    selector = spec["matchConstraints"]["namespaceSelector"]
    assert selector == {"matchLabels": {"kubernetes.io/metadata.name": "signing"}}
    assert '"exporter-a"' in spec["validations"][0]["expression"]
    assert "must be NAMESPACE/NAME" in refused(path, "--exporter", "exporter")


def test_a_wrong_profile_is_told(tmp_path: Path) -> None:
    """As the function would say it."""
    assert "profile.name: Not found" in refused(written(tmp_path, signer(profile={"name": "absent"})))
    assert "profile.release: Required value" in refused(written(tmp_path, signer(profile={"name": "calico"})))


def test_help_teaches() -> None:
    """What it does, when it is needed, an example, and what comes next."""
    text = " ".join(signerctl("guards", "--help").stdout.split())
    assert all(part in text for part in ("You need them because", "Example:", "Next:", "docs/guards.md"))
    assert "guards" in signerctl("--help").stdout
