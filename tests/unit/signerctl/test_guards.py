"""`signerctl guards` derives the policies from the function's document and its profiles."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from signerctl.guards import guarded, manifest
from signerctl.guards.guarded import Exporter, Guarded
from tests.paths import EXAMPLE_PROFILES
from tests.unit.function.policy.component_tables import configured
from tests.unit.signerctl.stage import signerctl

USER = "csr-signer@p.iam.gserviceaccount.com"
NODE = "system:serviceaccount:calico-system:calico-node"
EXAMPLES = EXAMPLE_PROFILES
Document = dict[str, Any]


def signer(name: str = "example.com/calico", cluster: str = "prod", **changes: object) -> Document:
    """Returns one signer of the function's document; the files that it names do not exist."""
    key_version = "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
    return {
        "cluster": cluster,
        "signer_name": name,
        "profile": {"name": "calico", "release": "3.31"},
        "issuer": {"key_version": key_version, "certificate": "ca.pem", "trust_bundle": "ca.pem"},
        **changes,
    }


def written(folder: Path, *signers: Document) -> Path:
    """Writes a document with two clusters."""
    clusters = {
        name: {"source": f"//example.com/{name}", "authentication": {"kubeconfig": "any"}} for name in ("prod", "test")
    }
    path = folder / "function.yaml"
    path.write_text(yaml.safe_dump({"clusters": clusters, "signers": list(signers)}), encoding="utf-8")
    return path


def run(path: Path, *more: str, cluster: str = "prod") -> list[Document]:
    """Returns the policies and bindings that the command prints."""
    options = ("--configuration", path, "--cluster", cluster, "--function-user", USER)
    result = signerctl("guards", *options, *more)
    assert result.exit_code == 0, result.output
    return list(yaml.safe_load_all(result.stdout))


def refused(path: Path, *more: str, cluster: str = "prod", user: str = USER) -> str:
    """Returns the error of a command that must fail."""
    options = ("--configuration", path, "--cluster", cluster, "--function-user", user)
    result = signerctl("guards", *options, *more)
    assert result.exit_code != 0
    assert result.stdout == ""
    return result.stderr


def loaded(path: Path, **changes: Any) -> Guarded:
    """Loads the facts that the guards enforce."""
    given = {"cluster": "prod", "function": USER, "approvers": (), "exporter": Exporter()}
    return guarded.load(path, **{**given, **changes})


def test_each_policy_has_a_binding(tmp_path: Path) -> None:
    """There are six policies with failurePolicy Fail, and each has a binding that denies."""
    documents = run(written(tmp_path, signer()))
    policies, bindings = documents[0::2], documents[1::2]
    names = [each["metadata"]["name"] for each in policies]
    rules = ("create", "delete", "decide", "function", "events", "exporter-pods")
    assert names == [f"kms-csr-signer-{rule}" for rule in rules]
    assert [each["spec"] for each in bindings] == [
        {"policyName": name, "validationActions": ["Deny"]} for name in names
    ]
    assert {each["spec"]["failurePolicy"] for each in policies} == {"Fail"}
    assert all(rule["reason"] for each in policies for rule in each["spec"]["validations"])


def test_the_metrics_secret_is_the_only_one_that_exporter_pods_may_mount(tmp_path: Path) -> None:
    """The option makes the same policy as `cluster manifests --metrics-tls`."""
    path = written(tmp_path, signer())
    rules = [
        rule["expression"]
        for each in run(path, "--metrics-tls", "metrics")
        for rule in each["spec"].get("validations", ())
    ]
    assert any("volume.?secret.?secretName.orValue('') == \"metrics\"" in rule for rule in rules), rules
    assert "secretName" not in str(run(path))
    assert "--metrics-tls" in refused(path, "--metrics-tls", "Not_A_Name")


@pytest.mark.parametrize(("action", "actions"), [("audit", ["Audit"]), ("warn", ["Warn", "Audit"])])
def test_audit_and_warn_refuse_no_request(tmp_path: Path, action: str, actions: list[str]) -> None:
    """The bindings then only audit or warn, so that an operator can try the policies."""
    documents = run(written(tmp_path, signer()), "--action", action)
    assert [each["spec"]["validationActions"] for each in documents[1::2]] == [actions] * 6


def test_the_yaml_parses_to_the_same_policies(tmp_path: Path) -> None:
    """Folding long expressions does not change them, not even in names with several spaces."""
    found = loaded(written(tmp_path, signer()), function=f"a  {'long  ' * 30} name", approvers=['it\'s "quoted" \\'])
    documents = manifest.documents(found)
    assert tuple(yaml.safe_load_all(manifest.render(documents))) == documents


def test_only_the_clusters_signers_are_guarded(tmp_path: Path) -> None:
    """The policies of one cluster do not name the signers of another."""
    path = written(tmp_path, signer(), signer("example.com/other", "test"))
    assert loaded(path).signer_names == ("example.com/calico",)
    assert loaded(path, cluster="test").signer_names == ("example.com/other",)


@pytest.mark.parametrize(
    ("release", "name"), [("3.31", "node-certs:{pod}"), ("3.28", "node-certs:{pod}"), ("3.27", "calico-system:{pod}")]
)
def test_csr_names_follow_the_release(tmp_path: Path, release: str, name: str) -> None:
    """The requester's namespace replaces its placeholder."""
    reference = {"name": "calico", "release": release, "namespaces": configured("calico", release)}
    found = loaded(written(tmp_path, signer(profile=reference)))
    assert found.names["example.com/calico"][NODE] == (name,)
    assert ("calico-apiserver" in found.namespaces) == (release != "3.31")
    assert found.reserved is not None
    assert re.match(found.reserved, name.replace("{pod}", "calico-node-x2b4c"))


def test_a_release_that_the_profile_does_not_know_is_a_warning(tmp_path: Path) -> None:
    """The policies are printed, and a warning on standard error names the signer and both releases."""
    path = written(tmp_path, signer(profile={"name": "calico", "release": "3.34"}))
    result = signerctl("guards", "--configuration", path, "--cluster", "prod", "--function-user", USER)
    assert result.exit_code == 0
    (line,) = result.stderr.splitlines()
    assert line.startswith('warning: example.com/calico: profile.release: "3.34" is newer than "3.33"')
    assert "newer than" not in result.stdout


@pytest.mark.parametrize("release", ["4", "v3.31", "3.31.2.1", "4.0", "latest"])
def test_a_release_that_cannot_be_is_refused(tmp_path: Path, release: str) -> None:
    """The error names the field and the allowed values."""
    said = refused(written(tmp_path, signer(profile={"name": "calico", "release": release})))
    assert f'signers[0].profile.release: Invalid value: "{release}": must be ' in said


def test_names_without_a_colon_are_not_reserved(tmp_path: Path) -> None:
    """Kubelets and people name CSRs without a colon: reserving `{pod}` alone would reserve all their names."""
    text = (EXAMPLES / "postgresql.yaml").read_text(encoding="utf-8")
    profile = yaml.safe_load(text)
    for row in profile["components"]:
        row["request_names"] = [{"name": "{pod}"}]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    path = written(tmp_path, signer(profile={"name": "own.yaml"}))
    assert loaded(path).reserved is None
    (condition,) = run(path)[0]["spec"]["matchConditions"]
    assert condition["expression"] == 'object.spec.signerName in ["example.com/calico"]'


def test_a_dot_in_a_reserved_name_matches_only_a_dot(tmp_path: Path) -> None:
    """It is not a wildcard of the regular expression."""
    profile = yaml.safe_load((EXAMPLES / "postgresql.yaml").read_text(encoding="utf-8"))
    profile["components"][0]["request_names"] = [{"name": "a.b:{pod}"}]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    reserved = loaded(written(tmp_path, signer(profile={"name": "own.yaml"}))).reserved
    assert reserved is not None
    assert re.match(reserved, "a.b:any")
    assert not re.match(reserved, "axb:any")


def test_an_account_has_separate_names_for_each_signer(tmp_path: Path) -> None:
    """For a foreign signerName, the account may use the names of all our signers."""
    old = {"name": "calico", "release": "3.27", "namespaces": ["calico-system"]}
    found = loaded(written(tmp_path, signer(), signer("example.com/old", profile=old)))
    assert found.names["example.com/calico"][NODE] == ("node-certs:{pod}",)
    assert found.names["example.com/old"][NODE] == ("calico-system:{pod}",)
    assert found.names_of(NODE) == ("calico-system:{pod}", "node-certs:{pod}")


def test_approvers_are_the_function_and_the_named_users(tmp_path: Path) -> None:
    """The function approves for signers with `approve: true`; other signers need --approver."""
    path = written(tmp_path, signer(), signer("example.com/signed", approve=False))
    assert loaded(path, approvers=("alice",)).approvers == {
        "example.com/calico": ("alice", USER),
        "example.com/signed": ("alice",),
    }
    words = refused(path)
    assert "--approver: Required value: must name an approver" in words
    assert '"example.com/signed"' in words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cluster": "else"}, '--cluster: Not found: "else": '),
        ({"cluster": "else"}, 'has ["prod", "test"]'),
        ({"cluster": "test"}, 'signers: Required value: must have a signer for cluster "test"'),
        ({"user": "a\nb"}, "must have 1 to 512 printable ASCII characters"),
        ({"user": ""}, "must have 1 to 512 printable ASCII characters"),
    ],
)
def test_options_that_do_not_match_the_document_are_refused(
    tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    """The message names the value and the rule, and standard output stays empty."""
    assert words in " ".join(refused(written(tmp_path, signer()), **changes).split())


@pytest.mark.parametrize("name", ["example/calico", "kubernetes.io/kubelet-serving", "a.k8s.io/b", 'a.b/"'])
def test_a_signer_name_that_the_function_cannot_serve_is_refused(tmp_path: Path, name: str) -> None:
    """The command refuses the names that the function's configuration refuses."""
    assert "signer_name: Invalid value" in refused(written(tmp_path, signer(name)))


def test_the_pods_policy_names_the_exporters_account(tmp_path: Path) -> None:
    """--exporter sets its namespace and service account."""
    path = written(tmp_path, signer())
    spec = run(path, "--exporter", "signing/exporter-a")[-2]["spec"]
    selector = spec["matchConstraints"]["namespaceSelector"]
    assert selector == {"matchLabels": {"kubernetes.io/metadata.name": "signing"}}
    assert '"exporter-a"' in spec["validations"][0]["expression"]
    assert "must be NAMESPACE/NAME" in refused(path, "--exporter", "exporter")


def test_a_wrong_profile_is_refused(tmp_path: Path) -> None:
    """The message is the function's own."""
    assert "profile.name: Not found" in refused(written(tmp_path, signer(profile={"name": "absent"})))
    assert "profile.release: Required value" in refused(written(tmp_path, signer(profile={"name": "calico"})))


def test_help_explains_the_command() -> None:
    """It says when the command is needed, and has an example and the next step."""
    text = " ".join(signerctl("guards", "--help").stdout.split())
    assert all(part in text for part in ("You need them because", "Example:", "Next:", "docs/guards.md"))
    assert "guards" in signerctl("--help").stdout
