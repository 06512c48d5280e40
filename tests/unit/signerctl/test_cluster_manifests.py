"""`signerctl cluster manifests` writes the folder of one cluster from Terraform's outputs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from signerctl.cluster import monitoring
from signerctl.cluster.rendering import MARK
from tests.paths import EXAMPLE_PROFILES
from tests.unit.signerctl.outputs import IMAGE, TERRAFORM_OUTPUT, Document, function_user, outputs
from tests.unit.signerctl.stage import signerctl

FILES = ["configuration.json", "exporter.yaml", "function.yaml", "guards.yaml", "kustomization.yaml", "namespace.yaml"]


def run(
    out: Path,
    *more: str,
    given: Document | str | None = None,
    cluster: str = "demo",
    image: str = IMAGE,
    user: str | None = "",
) -> Result:
    """Runs the command with the outputs on standard input; `user` is by default the example's, None is no option."""
    text = given if isinstance(given, str) else json.dumps(given or outputs())
    options = ("--terraform-output", "-", "--cluster", cluster, "--image", image, "--out", out)
    repeated = () if user is None else ("--function-user", user or function_user(cluster))
    return signerctl("cluster", "manifests", *options, *repeated, *more, stdin=text)


def written(out: Path, *more: str, given: Document | None = None, cluster: str = "demo") -> list[Document]:
    """Runs the command, which must succeed; returns the objects of all resources of its kustomization."""
    result = run(out, *more, given=given, cluster=cluster)
    assert result.exit_code == 0, result.output
    resources = yaml.safe_load((out / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    return [each for name in resources for each in yaml.load_all((out / name).read_bytes(), yaml.CSafeLoader)]


def refused(out: Path, *more: str, **given: Any) -> str:
    """Runs the command, which must fail before it shows or writes anything; returns its message."""
    result = failed(out, *more, **given)
    assert result.stdout == ""
    return " ".join(result.stderr.split())


def failed(out: Path, *more: str, **given: Any) -> Result:
    """Runs the command, which must fail and write nothing."""
    before = contents(out)
    result = run(out, *more, **given)
    assert result.exit_code != 0
    assert contents(out) == before
    return result


def contents(out: Path) -> Mapping[str, bytes]:
    """Returns the files of a folder by name."""
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} if out.is_dir() else {}


def objects(documents: list[Document], kind: str) -> dict[str, Document]:
    """Returns the objects of one kind by name."""
    return {each["metadata"]["name"]: each for each in documents if each["kind"] == kind}


def template(documents: list[Document]) -> Document:
    """Returns the spec of the exporter's pods."""
    found: Document = objects(documents, "StatefulSet")["csr-exporter"]["spec"]["template"]["spec"]
    return found


def approve_by_another(values: Document) -> None:
    """Makes another approver decide for the cluster's only signer."""
    for signer in values["document"]["signers"]:
        signer["approve"] = False
    (signer,) = json.loads(values["exporter_configurations"]["demo"])["signers"]
    exporter_of(values, signers=[{**signer, "stages": ["approved"]}])


def demo_profile(values: Document) -> Document:
    """Returns the profile of the cluster's signer, which is the second one of the document."""
    found: Document = values["document"]["signers"][1]["profile"]
    return found


# What the folder holds.


def test_the_folder_is_complete(tmp_path: Path) -> None:
    """Its kustomization names every file, without patches and without paths out of the folder."""
    written(tmp_path / "clusters" / "demo")
    assert sorted(contents(tmp_path / "clusters" / "demo")) == FILES
    text = (tmp_path / "clusters" / "demo" / "kustomization.yaml").read_text(encoding="utf-8")
    kustomization = yaml.safe_load(text)
    assert "patches" not in kustomization
    assert ".." not in text
    named = [*kustomization["resources"], *kustomization["configMapGenerator"][0]["files"], "kustomization.yaml"]
    assert sorted(named) == FILES
    template_marks = [path for path, text in contents(tmp_path / "clusters" / "demo").items() if b"{{" in text]
    assert template_marks == []


def test_terraforms_output_may_be_a_file(tmp_path: Path) -> None:
    """The command reads a file as it reads standard input."""
    options = ("--cluster", "demo", "--image", IMAGE, "--function-user", function_user("demo"))
    signerctl("cluster", "manifests", "--terraform-output", TERRAFORM_OUTPUT, *options, "--out", tmp_path / "file")
    written(tmp_path / "standard-input")
    assert contents(tmp_path / "file") == contents(tmp_path / "standard-input")


def test_a_second_cluster_of_one_project_has_its_own_account(tmp_path: Path) -> None:
    """Service account, binding, pods and guards all have the name that Terraform grants rights to."""

    def rename(values: Document) -> None:
        values["manifests"]["demo"] |= {"exporter_service_account": "csr-exporter-b", "namespace": "signing"}

    documents = written(tmp_path, given=outputs(rename))
    assert list(objects(documents, "ServiceAccount")) == ["csr-exporter-b"]
    assert template(documents)["serviceAccountName"] == "csr-exporter-b"
    subjects = objects(documents, "ClusterRoleBinding")["kms-csr-signer:export"]["subjects"]
    assert subjects == [{"kind": "ServiceAccount", "name": "csr-exporter-b", "namespace": "signing"}]
    policy = objects(documents, "ValidatingAdmissionPolicy")["kms-csr-signer-exporter-pods"]["spec"]
    assert '"csr-exporter-b"' in policy["validations"][0]["expression"]
    selector = policy["matchConstraints"]["namespaceSelector"]["matchLabels"]
    assert selector == {"kubernetes.io/metadata.name": "signing"}
    namespaced = [each["metadata"]["namespace"] for each in documents if "namespace" in each["metadata"]]
    assert set(namespaced) == {"signing", "calico-system", "default"}
    assert list(objects(documents, "Namespace")) == ["signing"]


def test_names_are_never_read_as_another_type(tmp_path: Path) -> None:
    """YAML would read a plain `true` or `1234` as a boolean or a number."""
    documents = written(
        tmp_path,
        given=outputs(
            lambda values: values["manifests"]["demo"].update(exporter_service_account="true", namespace="no")
        ),
    )
    assert template(documents)["serviceAccountName"] == "true"
    assert list(objects(documents, "Namespace")) == ["no"]


def test_the_function_approves_only_its_own_signers(tmp_path: Path) -> None:
    """It may sign for all signers of the cluster, and approve for those with `approve: true`."""

    def add(values: Document) -> None:
        (calico,) = (each for each in values["document"]["signers"] if each["cluster"] == "demo")
        values["document"]["signers"].append({**calico, "signer_name": "example.com/signed", "approve": False})
        signers = json.loads(values["exporter_configurations"]["demo"])["signers"]
        signers.append({"signer_name": "example.com/signed", "stages": ["approved"]})
        exporter_of(values, signers=signers)

    roles = objects(written(tmp_path, "--approver", "alice", given=outputs(add)), "ClusterRole")
    assert roles["kms-csr-signer:sign"]["rules"][0]["resourceNames"] == [
        "csr-signer.example.com/calico",
        "example.com/signed",
    ]
    assert roles["kms-csr-signer:approve"]["rules"][0]["resourceNames"] == ["csr-signer.example.com/calico"]


def test_without_approve_the_function_cannot_approve(tmp_path: Path) -> None:
    """There is no role and no binding for it, and the guards name the other approver."""
    documents = written(tmp_path, "--approver", "alice", given=outputs(approve_by_another))
    names = {each["metadata"]["name"] for each in documents}
    assert "kms-csr-signer:approve" not in names
    assert '"alice"' in str(objects(documents, "ValidatingAdmissionPolicy")["kms-csr-signer-decide"])


@pytest.mark.parametrize(
    ("profile", "namespaces"),
    [
        ({"name": "calico", "release": "3.31"}, ["calico-system"]),
        (
            {"name": "calico", "release": "3.30", "namespaces": ["calico-apiserver", "calico-system"]},
            ["calico-apiserver", "calico-system"],
        ),
        ({"name": "postgresql.yaml"}, ["databases"]),
    ],
)
def test_roles_are_in_the_namespaces_of_the_profile(tmp_path: Path, profile: Document, namespaces: list[str]) -> None:
    """The function may read pods in exactly the namespaces of the requesters, also of a profile of one's own.

    Besides, it writes Events on CSRs, which are in `default`.
    """

    def judge_by(values: Document) -> None:
        for signer in values["document"]["signers"]:
            signer["profile"] = profile

    documents = written(tmp_path, given=outputs(judge_by))
    for kind in ("Role", "RoleBinding"):
        assert [each["metadata"]["namespace"] for each in documents if each["kind"] == kind] == ["default", *namespaces]


@pytest.mark.parametrize(("addresses", "read"), [("pod", True), ("omit", False)])
def test_the_function_reads_nodes_only_for_certified_addresses(tmp_path: Path, addresses: str, read: bool) -> None:  # noqa: FBT001 - a parameter of the table
    """A profile without `addresses: pod` needs no right on nodes."""

    def certify(values: Document) -> None:
        profile = (EXAMPLE_PROFILES / "postgresql.yaml").read_text(encoding="utf-8")
        values["documents"]["postgresql.yaml"] = re.sub("addresses: pod", f"addresses: {addresses}", profile)

    documents = written(tmp_path, given=outputs(certify), cluster="databases")
    assert ("kms-csr-signer:host-addresses" in objects(documents, "ClusterRole")) is read
    assert ("kms-csr-signer:host-addresses" in objects(documents, "ClusterRoleBinding")) is read


def test_the_networks_differ(tmp_path: Path) -> None:
    """Only the host network needs the projected token; only the pod network has the annotation and a NetworkPolicy."""
    host, pod = written(tmp_path / "host"), written(tmp_path / "pod", cluster="databases")
    assert template(host)["hostNetwork"] is True
    assert "hostNetwork" not in template(pod)
    (token,) = [each for each in template(host)["volumes"] if each["name"] == "google-token"]
    (source,) = token["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == "example-project.svc.id.goog"
    assert [each["name"] for each in template(pod)["volumes"]] == ["configuration"]
    (account,) = objects(pod, "ServiceAccount").values()
    assert account["metadata"]["annotations"] == {
        "iam.gke.io/gcp-service-account": "csr-exporter-databases@example-project.iam.gserviceaccount.com"
    }
    assert len(objects(pod, "NetworkPolicy")) == 1
    assert objects(host, "NetworkPolicy") == {}


@pytest.mark.parametrize(("guards", "actions"), [("deny", ["Deny"]), ("audit", ["Audit"]), ("warn", ["Warn", "Audit"])])
def test_guards_may_only_audit_or_warn(tmp_path: Path, guards: str, actions: list[str]) -> None:
    """--guards sets what the API server does with a request that breaks a rule."""
    bindings = objects(written(tmp_path, "--guards", guards), "ValidatingAdmissionPolicyBinding")
    assert len(bindings) == 6
    assert all(each["spec"]["validationActions"] == actions for each in bindings.values())


def test_replicas_and_pull_secret_are_options(tmp_path: Path) -> None:
    """The exporters' number is the same in the StatefulSet and in their configuration, and fits into the quota."""
    documents = written(tmp_path, "--replicas", "3", "--image-pull-secret", "registry")
    assert template(documents)["imagePullSecrets"] == [{"name": "registry"}]
    assert objects(documents, "StatefulSet")["csr-exporter"]["spec"]["replicas"] == 3
    configuration = json.loads((tmp_path / "configuration.json").read_text(encoding="utf-8"))
    assert configuration["replicas"] == {"count": 3, "delay_seconds": 15}
    quota = objects(documents, "ResourceQuota")["system-cluster-critical"]["spec"]["hard"]
    assert quota == {"pods": "5"}


def test_the_cron_jobs_run_only_on_chosen_nodes(tmp_path: Path) -> None:
    """Both CronJobs select the labels and tolerate the taints, also in the next run; empty values remove both."""
    images = ("--renewal-image", IMAGE, "--key-pairs-image", IMAGE)
    labels = ("--node-selector", "node-restriction.kubernetes.io/jobs=true", "--node-selector", "pool=")
    taints = ("--toleration", "a.example/jobs=true:NoSchedule", "--toleration", "b:NoExecute", "--toleration", "c")

    def placed(*more: str) -> list[tuple[Document, list[Document]]]:
        jobs = objects(written(tmp_path, *more), "CronJob").values()
        pods = [each["spec"]["jobTemplate"]["spec"]["template"]["spec"] for each in jobs]
        return [(each["nodeSelector"], each.get("tolerations", [])) for each in pods]

    selector = {"kubernetes.io/os": "linux", "node-restriction.kubernetes.io/jobs": "true", "pool": ""}
    tolerations = [
        {"key": "a.example/jobs", "operator": "Equal", "value": "true", "effect": "NoSchedule"},
        {"key": "b", "operator": "Exists", "effect": "NoExecute"},
        {"key": "c", "operator": "Exists"},
    ]
    assert placed(*images, *labels, *taints) == [(selector, tolerations)] * 2
    assert placed() == [(selector, tolerations)] * 2
    assert placed("--node-selector", "", "--toleration", "") == [({"kubernetes.io/os": "linux"}, [])] * 2


@pytest.mark.parametrize(("lifetime", "schedule"), [("21d", "17 6 * * *"), ("20d", "17 * * * *")])
def test_the_renewal_runs_hourly_for_short_lifetimes(tmp_path: Path, lifetime: str, schedule: str) -> None:
    """docs/renew.md: of less than 21 days."""
    given = outputs(lambda values: values["document"]["signers"][1].update(lifetime=lifetime))
    jobs = objects(written(tmp_path, "--renewal-image", IMAGE, given=given), "CronJob")
    assert jobs["csr-renewal"]["spec"]["schedule"] == schedule


# Refreshing the folder.


SCRAPED = ("--metrics", "[::]:9877", "--metrics-tls", "metrics", "--monitoring", "prometheus-operator")


def test_nothing_listens_for_other_hosts_unless_chosen(tmp_path: Path) -> None:
    """The exporter's configuration has no section `metrics`, and no Secret is allowed."""
    written(tmp_path)
    assert "metrics" not in json.loads((tmp_path / "configuration.json").read_text(encoding="utf-8"))
    assert "secretName" not in (tmp_path / "guards.yaml").read_text(encoding="utf-8")


def test_the_operator_of_prometheus_gets_its_objects(tmp_path: Path) -> None:
    """The PodMonitor finds the port on the host network, and the rules are those of the file, word for word."""
    documents = written(tmp_path, *SCRAPED)
    monitor = objects(documents, "PodMonitor")["csr-exporter"]["spec"]
    assert monitor["selector"] == objects(documents, "StatefulSet")["csr-exporter"]["spec"]["selector"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert "port" not in endpoint
    replaced = [
        re.sub(f"^{each['regex']}$", each["replacement"].replace("$1", r"\1"), address)
        for each in endpoint["relabelings"]
        for address in ("10.0.0.1", "fd00::1")
        if re.fullmatch(each["regex"], address)
    ]
    assert replaced == ["10.0.0.1:9877", "[fd00::1]:9877"]
    assert endpoint["tlsConfig"]["keySecret"] == {"name": "metrics-client", "key": "tls.key"}
    rule = objects(documents, "PrometheusRule")["csr-exporter"]["spec"]
    assert rule == yaml.safe_load(monitoring.ALERTS.read_text(encoding="utf-8"))


def test_the_metrics_are_kept_and_removed_like_other_options(tmp_path: Path) -> None:
    """A run without them keeps them; empty values remove them."""
    written(tmp_path, *SCRAPED)
    before = contents(tmp_path)
    written(tmp_path)
    assert contents(tmp_path) == before
    written(tmp_path, "--metrics", "", "--metrics-tls", "", "--monitoring", "none")
    assert sorted(contents(tmp_path)) == FILES


def test_the_same_outputs_change_nothing(tmp_path: Path) -> None:
    """The second run says so, touches no file, and names no option that has its default."""
    written(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    result = run(tmp_path)
    assert result.stdout == f"{tmp_path}: nothing changes\n"
    assert "Kept" not in result.stderr
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_refresh_shows_what_changes(tmp_path: Path) -> None:
    """There is a unified diff of each changed file, and of no other."""
    written(tmp_path)
    result = run(tmp_path, image=IMAGE.replace("a" * 64, "b" * 64))
    lines = result.stdout.splitlines()
    assert lines[:2] == [f"--- {tmp_path}/exporter.yaml", f"+++ {tmp_path}/exporter.yaml"]
    changed = [line.split(maxsplit=2) for line in lines[2:] if line.startswith(("-", "+"))]
    assert [(sign, key) for sign, key, _ in changed] == [("-", "image:"), ("+", "image:")]
    assert "b" * 64 in (tmp_path / "exporter.yaml").read_text(encoding="utf-8")


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    """It shows the same diff, for a folder that does not exist and for one that does."""
    out = tmp_path / "demo"
    shown = run(out, "--dry-run")
    assert not out.exists()
    assert run(out).stdout == shown.stdout
    before = contents(out)
    assert "-kind: NetworkPolicy" not in run(out, "--dry-run", "--replicas", "3").stdout
    assert "+  replicas: 3" in run(out, "--dry-run", "--replicas", "3").stdout
    assert contents(out) == before
    assert "nothing changes" in run(out, "--dry-run").stdout


def test_files_that_are_no_longer_rendered_are_deleted(tmp_path: Path) -> None:
    """Without guards their file is gone, and the diff shows it; a file of the operator stays."""
    written(tmp_path)
    (tmp_path / "mine.yaml").write_text("kind: ConfigMap\n")
    result = run(tmp_path, "--guards", "none")
    assert f"--- {tmp_path}/guards.yaml\n+++ /dev/null\n" in result.stdout
    assert sorted(contents(tmp_path)) == sorted({*FILES, "mine.yaml"} - {"guards.yaml"})
    assert (tmp_path / "mine.yaml").read_text() == "kind: ConfigMap\n"


@pytest.mark.parametrize("name", [*FILES, "kustomization.yml", "Kustomization"])
def test_a_foreign_file_is_never_replaced(tmp_path: Path, name: str) -> None:
    """The command refuses before it writes anything."""
    (tmp_path / name).write_text("{}")
    said = refused(tmp_path)
    reason = "signerctl wrote no kustomization.yaml beside it" if name == "configuration.json" else "it lacks the first"
    assert f"{tmp_path / name}: Forbidden: {reason}" in said
    assert "so another program wrote" in said
    assert "choose another folder, or move it away and run the command again" in said


@pytest.mark.parametrize(
    ("put", "words"),
    [
        (lambda path: path.mkdir(), "it is a folder"),
        (lambda path: path.symlink_to("absent"), "it is a link to a missing file"),
        (lambda path: path.write_bytes(b"\xff"), "it is not readable as UTF-8 text"),
    ],
    ids=["folder", "dangling link", "no text"],
)
@pytest.mark.parametrize("name", ["exporter.yaml", "Kustomization"])
def test_what_is_no_text_file_is_refused(tmp_path: Path, put: Callable[[Path], object], words: str, name: str) -> None:
    """The message says what is there, and what to do."""
    put(tmp_path / name)
    assert f"{name}: Forbidden: {words}: choose another folder, or move it away" in refused(tmp_path)


def test_a_crash_leaves_nothing_that_can_be_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between old and new files the kustomization refers to a missing file; the next run completes the folder."""
    written(tmp_path)
    replace = Path.replace

    def crash(self: Path, target: Path) -> Path:
        if target.name == "exporter.yaml":
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", crash)
    result = run(tmp_path, "--replicas", "3")
    monkeypatch.undo()
    assert result.exit_code == 130
    message = f"error: {tmp_path}: interrupted: the folder is incomplete: run the same command again to complete it"
    assert message in result.stderr
    assert "+  replicas: 3" in result.stdout
    (resource,) = yaml.safe_load((tmp_path / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert not (tmp_path / resource).exists()
    documents = written(tmp_path)  # the folder remembers the number
    assert objects(documents, "StatefulSet")["csr-exporter"]["spec"]["replicas"] == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES


# What the folder remembers.


def test_options_of_the_last_run_are_kept(tmp_path: Path) -> None:
    """A run with only a new image changes only the image, and says which options it kept."""
    options = ("--approver", "alice", "--approver", "bob b", "--image-pull-secret", "registry", "--replicas", "3")
    written(tmp_path, *options, "--guards", "warn")
    result = run(tmp_path, image=IMAGE.replace("a" * 64, "b" * 64))
    changed = [line.split()[:2] for line in result.stdout.splitlines() if re.match(r"[-+](?![-+])", line)]
    assert changed == [["-", "image:"], ["+", "image:"]]
    (kept,) = [line for line in result.stderr.splitlines() if line.startswith("Kept from the last run: ")]
    for words in (*options, "--guards warn", "--approver 'bob b'"):
        assert words in kept


def test_a_given_option_replaces_the_kept_one(tmp_path: Path) -> None:
    """An empty name removes approvers and the Secret; the other options stay, and the next run keeps the result."""
    written(tmp_path, "--approver", "alice", "--approver", "bob", "--image-pull-secret", "registry", "--replicas", "3")
    documents = written(tmp_path, "--approver", "carol", "--image-pull-secret", "", "--guards", "audit")
    assert objects(documents, "StatefulSet")["csr-exporter"]["spec"]["replicas"] == 3
    assert "imagePullSecrets" not in template(documents)
    policy = str(objects(documents, "ValidatingAdmissionPolicy")["kms-csr-signer-decide"])
    assert [name in policy for name in ("alice", "bob", "carol")] == [False, False, True]
    assert "nothing changes" in run(tmp_path).stdout
    documents = written(tmp_path, "--approver", "")
    assert "carol" not in str(documents)
    assert "carol" not in run(tmp_path).stderr


def test_a_run_without_guards_keeps_the_approvers_for_later(tmp_path: Path) -> None:
    """Guards that come back name the same approvers."""
    before = written(tmp_path, "--approver", "alice")
    written(tmp_path, "--guards", "none")
    assert "nothing changes" in run(tmp_path).stdout
    assert written(tmp_path, "--guards", "deny") == before


def test_the_folder_of_another_cluster_is_refused(tmp_path: Path) -> None:
    """The message names both clusters, and what to do."""
    written(tmp_path)
    said = refused(tmp_path, cluster="databases")
    assert f'--out: Forbidden: "{tmp_path}" is the folder of cluster "demo", not of "databases": give each' in said
    assert f'correct its name in the line "# Options:" of {tmp_path}/kustomization.yaml' in said


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (r"\{.*", "{", 'kustomization.yaml: the line "# Options:": Invalid value: must be as signerctl wrote it'),
        (r"\{.*", "[]", "must be as signerctl wrote it"),
        (r"\{.*", '{"cluster": "demo"}', "must be as signerctl wrote it"),
        (r'"approvers": \[\]', '"approvers": "alice"', "must be as signerctl wrote it"),
        ('"replicas": 2', '"replicas": 99', "--replicas: Invalid value: 99 is not in the range"),
    ],
    ids=["no JSON", "list", "incomplete", "another type", "out of range"],
)
def test_a_broken_line_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    """Otherwise the command would drop options, or write values that the command line does not take."""
    written(tmp_path)
    path = tmp_path / "kustomization.yaml"
    path.write_text(re.sub(f"(# Options: .*?){old}", rf"\1{new}", path.read_text(encoding="utf-8")), encoding="utf-8")
    assert words in refused(tmp_path)


def test_without_its_line_the_folder_remembers_nothing(tmp_path: Path) -> None:
    """As the message about a broken line says: delete it, and give all options again."""
    written(tmp_path, "--replicas", "3")
    path = tmp_path / "kustomization.yaml"
    path.write_text(re.sub("# Options: .*\n", "", path.read_text(encoding="utf-8")), encoding="utf-8")
    documents = written(tmp_path)
    assert objects(documents, "StatefulSet")["csr-exporter"]["spec"]["replicas"] == 2


# What the operator must do in the cluster.


GRANTED = """\
ServiceAccount kms-csr-signer/csr-exporter may
  list, watch certificatesigningrequests
User csr-access-demo@example-project.iam.gserviceaccount.com may
  approve signers csr-signer.example.com/calico
  create events in calico-system
  create events in default
  get certificatesigningrequests
  get pods in calico-system
  patch certificatesigningrequests/approval
  patch certificatesigningrequests/status
  sign signers csr-signer.example.com/calico
Namespace kms-csr-signer gets the Pod Security Standard privileged
csr-signer.example.com/calico certifies, by CSR name
  system:serviceaccount:calico-system:calico-apiserver: calico-apiserver-certs:{pod}
  system:serviceaccount:calico-system:calico-node: node-certs:{pod}
  system:serviceaccount:calico-system:calico-typha: typha-certs:{pod}
  system:serviceaccount:calico-system:goldmane: goldmane-key-pair:{pod}
  system:serviceaccount:calico-system:guardian: guardian-key-pair:{pod}
  system:serviceaccount:calico-system:whisker: whisker-backend-key-pair:{pod}
The exporter sends events to https://csr-signer-0123456789-ew.a.run.app/
"""
RENEWAL_GRANTED = """\
ServiceAccount kms-csr-signer-renewal/csr-renewal may
  create pods/eviction in calico-system
  get daemonsets, replicasets, statefulsets in calico-system
  list certificatesigningrequests
  list pods in calico-system
"""


def test_the_first_run_says_what_the_folder_grants_and_to_whom(tmp_path: Path) -> None:
    """It lists the files too; a diff against nothing would only repeat them."""
    (tmp_path / "mine.yaml").write_text("kind: ConfigMap\n")
    files = "".join(f"{tmp_path}/{name}: new file\n" for name in FILES)
    assert run(tmp_path).stdout == files + GRANTED
    assert RENEWAL_GRANTED in run(tmp_path / "renewal", "--renewal-image", IMAGE).stdout


def test_removed_guards_have_their_command(tmp_path: Path) -> None:
    """`kubectl apply` leaves the policies in force: one command deletes all bindings and policies."""
    written(tmp_path)
    rules = ("create", "decide", "delete", "events", "exporter-pods", "function")
    names = " ".join(f"kms-csr-signer-{rule}" for rule in rules)
    command = f"  kubectl delete validatingadmissionpolicybinding,validatingadmissionpolicy {names}"
    for more in (("--dry-run",), ()):
        lines = run(tmp_path, "--guards", "none", *more).stderr.splitlines()
        assert [line for line in lines if "kubectl delete" in line] == [command]
    assert "delete" not in run(tmp_path).stderr


def test_removed_rights_have_their_commands(tmp_path: Path) -> None:
    """Rights in a namespace that the profile no longer uses, and the right to approve."""

    def older(values: Document) -> None:
        demo_profile(values).update(release="3.30", namespaces=["calico-apiserver", "calico-system"])

    written(tmp_path, given=outputs(older))
    lines = run(tmp_path, "--approver", "alice", given=outputs(approve_by_another)).stderr.splitlines()
    assert {line.strip() for line in lines if " delete " in line and "kubectl" in line} >= {
        "kubectl --namespace calico-apiserver delete rolebinding,role kms-csr-signer:attest",
        "kubectl delete clusterrolebinding,clusterrole kms-csr-signer:approve",
    }


def test_a_changed_object_and_a_broken_file_have_no_command(tmp_path: Path) -> None:
    """Only objects that disappear are named; a file that is no YAML any more has no objects."""
    written(tmp_path)
    (tmp_path / "guards.yaml").write_text(f"{MARK}\na: [\n---\nb")
    assert "delete" not in run(tmp_path, "--replicas", "3").stderr


def test_the_next_commands_are_named(tmp_path: Path) -> None:
    """They create the requesters' namespaces, apply the folder, and come after a reminder of the context."""
    out = tmp_path / "my clusters"
    lines = run(out).stderr.splitlines()
    assert lines == [
        "Next, if `kubectl config current-context` prints this cluster:",
        "  kubectl create namespace calico-system   # only if it does not exist",
        f"  kubectl apply -k '{out}'",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("redirected", "reason"),
    [
        ("> /dev/full", "No space left on device: no file was changed"),
        ("", "Broken pipe: no file was changed"),
        (">&-", "it is closed"),
    ],
    ids=["full", "no reader", "closed"],
)
def test_standard_output_that_takes_nothing_ends_the_run(tmp_path: Path, redirected: str, reason: str) -> None:
    """One line says so, and no file changes, because the operator has not seen what would change."""
    options = ("--terraform-output", TERRAFORM_OUTPUT, "--cluster", "demo", "--image", IMAGE, "--out", tmp_path / "out")
    user = ("--function-user", function_user("demo"))
    command = [sys.executable, "-m", "signerctl", "cluster", "manifests", *map(str, options), *user]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as without_reader:
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {redirected}', "sh", *command],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=without_reader,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.stderr == f"error: standard output: cannot write: {reason}\n"
    assert done.returncode == 1
    assert not (tmp_path / "out").exists()


def test_every_file_says_where_it_comes_from(tmp_path: Path) -> None:
    """The mark lets the command replace its own files, and tells readers not to edit them."""
    written(tmp_path)
    for name, text in contents(tmp_path).items():
        assert text.startswith(MARK.encode()) or name == "configuration.json"


# Bad input.


def drop(output: str) -> Document:
    """Returns the outputs without one."""
    found = outputs()
    del found[output]
    return found


@pytest.mark.parametrize("output", ["documents", "exporter_configurations", "manifests"])
def test_a_missing_output_is_refused(tmp_path: Path, output: str) -> None:
    """An older root module, or one of one's own, may lack it."""
    said = refused(tmp_path, given=drop(output))
    assert (
        f"standard input: {output}: Required value: must be an output of your root module, as in infra/examples: add it"
        in said
    )


@pytest.mark.parametrize("output", ["documents", "exporter_configurations", "manifests"])
def test_a_sensitive_output_is_refused(tmp_path: Path, output: str) -> None:
    """The folder goes into git, so a secret must not reach it."""
    given = outputs()
    given[output]["sensitive"] = True
    assert f"standard input: {output}: Forbidden: a sensitive output" in refused(tmp_path, given=given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", "standard input: Required value: no outputs: is this the folder of main.tf, and did you apply?"),
        ("{}\n", "standard input: Required value: no outputs: is this the folder of main.tf, and did you apply?"),
        ('manifests = {\n  "demo" = {}\n}', "must be JSON"),
        ("[" * 100_000, "must be JSON"),
        ('{"a": "\\ud800"}', "must be JSON"),
        ("[]", "must be Terraform's outputs"),
        ('{"demo": {}}', "must be Terraform's outputs"),
        ('{"demo": {"approves": []}}', "must be Terraform's outputs"),
    ],
    ids=["empty", "no outputs", "without -json", "deep", "no Unicode", "list", "values", "one output"],
)
def test_what_is_not_terraforms_output_is_refused(tmp_path: Path, given: str, words: str) -> None:
    """The message says how to make it."""
    assert words in refused(tmp_path, given=given)


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    """The message names it."""
    options = ("--cluster", "demo", "--image", IMAGE, "--out", tmp_path / "out")
    for path, words in ((tmp_path / "absent", "does not exist"), (tmp_path, "is a directory")):
        result = signerctl("cluster", "manifests", "--terraform-output", path, *options)
        assert result.exit_code != 0
        assert words in " ".join(result.stderr.split())


def test_an_unknown_cluster_is_refused(tmp_path: Path) -> None:
    """The message says which clusters exist."""
    said = refused(tmp_path, cluster="prod")
    assert '--cluster: Not found: "prod": standard input has ["databases", "demo"]' in said


def test_a_cluster_without_a_ca_certificate_is_refused(tmp_path: Path) -> None:
    """The message says to make the certificate and to apply again."""
    given = outputs(lambda values: values["exporter_configurations"].pop("demo"))
    assert "must have a signer with a CA certificate: make the certificate" in refused(tmp_path, given=given)


def test_a_signer_without_a_ca_certificate_is_named(tmp_path: Path) -> None:
    """The cluster's other signers are rendered, and a warning says what is missing."""
    given = outputs(lambda values: values["manifests"]["demo"]["signs"].append("example.com/later"))
    result = run(tmp_path, given=given)
    assert result.exit_code == 0
    assert "warning: example.com/later: this signer has no CA certificate yet" in result.stderr
    assert "example.com/later" not in (tmp_path / "function.yaml").read_text(encoding="utf-8")


def test_a_release_that_the_profile_does_not_know_is_a_warning(tmp_path: Path) -> None:
    """The folder is written, and a warning names both releases."""
    given = outputs(lambda values: values["document"]["signers"][1]["profile"].update(release="3.34"))
    result = run(tmp_path, given=given)
    assert result.exit_code == 0
    assert 'profile.release: "3.34" is newer than "3.33"' in result.stderr


CHANGES: dict[str, tuple[Callable[[Document], object], str]] = {
    "manifests": (lambda v: v.update(manifests=[]), "standard input: manifests: Invalid value: must be a mapping"),
    "cluster": (
        lambda v: v["manifests"].update(demo=[]),
        "standard input: manifests.demo: Invalid value: must be a mapping",
    ),
    "older module": (
        lambda v: v["manifests"]["demo"].pop("exporter_network"),
        'manifests.demo.exporter_network: Unsupported value: "None"',
    ),
    "network": (
        lambda v: v["manifests"]["demo"].update(exporter_network="bridge"),
        'exporter_network: Unsupported value: "bridge": supported values: "host", "pod"',
    ),
    "audience": (lambda v: v["manifests"]["demo"].update(token_audience=None), "token_audience: Required value"),
    "signs": (lambda v: v["manifests"]["demo"].update(signs="x"), "manifests.demo.signs: Invalid value"),
    "documents": (lambda v: v["documents"].update({"../x": ""}), 'standard input: documents: Invalid value: "../x"'),
    "text": (lambda v: v["documents"].update(x=1), 'standard input: documents: Invalid value: "x"'),
    "exporter": (
        lambda v: v["exporter_configurations"].update(demo="{"),
        "standard input: exporter_configurations.demo: Invalid value: must be the exporter's configuration as JSON",
    ),
    "signers": (lambda v: v["document"].update(signers=[]), "signers"),
    "profile": (
        lambda v: demo_profile(v).update(name="absent.yaml"),
        "output documents: configuration.yaml: signers[1].profile.name: Not found",
    ),
    "release": (
        lambda v: demo_profile(v).update(release="2.0"),
        'output documents: configuration.yaml: signers[1].profile.release: Invalid value: "2.0": must be a release',
    ),
    "namespaces": (
        lambda v: demo_profile(v).update(namespaces=["absent"]),
        "output documents: configuration.yaml: signers[1].profile.namespaces: Unsupported value",
    ),
    "broken profile": (
        lambda v: (demo_profile(v).update(name="own.yaml"), v["documents"].update({"own.yaml": "name: 1"})),
        "output documents: own.yaml: ",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_outputs_of_another_version_are_refused(tmp_path: Path, change: str) -> None:
    """The message names the field, and what to do."""
    apply, words = CHANGES[change]
    assert words in refused(tmp_path, given=outputs(apply))


def test_a_missing_configuration_document_is_refused(tmp_path: Path) -> None:
    """Rights and guards come from it."""
    given = outputs()
    del given["documents"]["value"]["configuration.yaml"]
    assert "standard input: documents.configuration.yaml: Required value" in refused(tmp_path, given=given)


@pytest.mark.parametrize(
    ("image", "wrong"),
    [
        ("registry.example.com/x:latest", 'remove the tag "latest", which can point to other code'),
        ("registry.example.com/x:latest", "the digest is missing"),
        ("registry.example.com:5000/x", "REPOSITORY@sha256:DIGEST: the digest is missing;"),
        (f"registry.example.com/x:1.0@sha256:{'a' * 64}", 'REPOSITORY@sha256:DIGEST: remove the tag "1.0"'),
        (f"sha256:{'a' * 64}", "the digest is missing"),
        (f"registry.example.com/x@sha256:{'a' * 63}", "the digest must have 64 characters after sha256:, and has 63"),
        (f"registry.example.com/x@sha256:{'A' * 64}", "the digest must have only the characters 0 to 9 and a to f"),
        (f"registry.example.com/x@sha256:{'a' * 64}\n", "the digest must have 64 characters"),
        (f"registry.example.com/x@sha512:{'a' * 128}", "DIGEST: the digest must start with sha256:"),
        (f"Registry.example.com/X@sha256:{'a' * 64}", 'DIGEST: the repository "Registry.example.com/X" must be HOST'),
        (f" @sha256:{'a' * 64}", 'the repository " " must be HOST[:PORT]/NAME, with NAME in lower case'),
        ("", "the digest is missing"),
    ],
)
def test_an_image_without_a_digest_is_refused(tmp_path: Path, image: str, wrong: str) -> None:
    """The message names the parts that are wrong, and only these; it says how to get the digest."""
    said = refused(tmp_path, image=image)
    assert "must be REPOSITORY@sha256:DIGEST" in said
    assert wrong in said
    assert "; docker push prints the digest" in said


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--replicas", "0"), "--replicas: Invalid value: 0 is not in the range 1<=x<=9"),
        (("--guards", "on"), "--guards: Invalid value: 'on' is not one of 'deny', 'audit', 'warn', 'none'"),
        (("--approver", "é"), "must have 1 to 512 printable ASCII characters"),
        (("--approver", "a", "--approver", ""), '--approver: Invalid value: "": must have 1 to 512 printable ASCII'),
        (("--guards", "none", "--approver", "a"), "--approver: Forbidden: only guards name approvers: give --guards"),
        (("--out", ""), '--out: Invalid value: "": must be a folder; . is the current one'),
        (("--image-pull-secret", "A"), '--image-pull-secret: Invalid value: "A": must be the name of a Secret'),
        (("--metrics", "9877"), '--metrics: Invalid value: "9877": must be ADDRESS:PORT, for example 0.0.0.0:9877'),
        (("--metrics", ":::9877"), '--metrics: Invalid value: ":::9877": must be ADDRESS:PORT'),
        (("--metrics", "[::g]:9877"), '--metrics: Invalid value: "[::g]:9877": must be ADDRESS:PORT'),
        (
            ("--metrics", "1.2.3:9877"),
            "--metrics: Invalid value: \"1.2.3:9877\": '1.2.3' does not appear to be an IPv4",
        ),
        (("--metrics", "0.0.0.0:443"), "the port must be from 1024 to 65535, and none of Calico's and the exporter's"),
        (("--metrics", "0.0.0.0:9876"), "the port must be from 1024 to 65535"),
        (("--metrics", "0.0.0.0:9091"), "the port must be from 1024 to 65535"),
        (("--node-selector", "a"), '--node-selector: Invalid value: "a": must be KEY=VALUE, a label of nodes'),
        (("--node-selector", "kubernetes.io/os=x"), "must be another label than kubernetes.io/os: the folder selects"),
        (("--node-selector", "a=b"), "--node-selector: Forbidden: needs --renewal-image or --key-pairs-image too"),
        (("--toleration", "a"), "--toleration: Forbidden: needs --renewal-image or --key-pairs-image too"),
        (("--function-user", ""), "--function-user: Required value: must be the function's user"),
        (("--node-selector", "a=b", "--node-selector", "a=c"), '["a=b", "a=c"]: must have each key once'),
        (("--toleration", ":NoSchedule"), '--toleration: Invalid value: ":NoSchedule": must be KEY[=VALUE][:EFFECT]'),
        (("--toleration", "a:Never"), '"a:Never": "Never" must be one of the effects NoSchedule, PreferNoSchedule, No'),
        (("--metrics-tls", "a"), "--metrics-tls: Forbidden: needs --metrics ADDRESS:PORT too"),
        (("--monitoring", "prometheus-operator"), "--monitoring: Forbidden: needs --metrics ADDRESS:PORT too"),
    ],
)
def test_invalid_options_are_refused(tmp_path: Path, more: tuple[str, ...], words: str) -> None:
    """The message names the option and the rule."""
    assert words in refused(tmp_path, *more)


def test_guards_need_an_approver(tmp_path: Path) -> None:
    """With `approve: false` nobody could approve under the guards; without guards, RBAC says who may."""
    given = outputs(approve_by_another)
    assert "--approver: Required value: must name an approver, because approve is false" in refused(
        tmp_path, given=given
    )
    assert run(tmp_path, "--guards", "none", given=given).exit_code == 0


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """The message says what --out must be."""
    out = tmp_path / "file"
    out.write_text("mine")
    assert "--out: Invalid value:" in refused(out)
    assert "must be a folder, or a path that does not exist" in refused(out)
    assert out.read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """The message names it."""
    (tmp_path / "file").write_text("mine")
    assert "cannot make the folder: Not a directory" in failed(tmp_path / "file" / "demo").stderr


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the file; permissions do not bind root, so the test makes the first write fail."""

    def fail(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", fail)
    assert f"error: {tmp_path}/configuration.json: cannot write the file: Permission denied" in failed(tmp_path).stderr


def test_help_explains_the_command() -> None:
    """It says when the command is needed and what the folder remembers, and has an example and the next step."""
    text = " ".join(signerctl("cluster", "manifests", "--help").stdout.split())
    assert all(
        part in text
        for part in (
            "You need it when",
            "The folder remembers --approver",
            "Example:",
            "Next:",
            "infra/cluster/README.md",
        )
    )
    assert "manifests" in signerctl("cluster", "--help").stdout


def changed(**fields: object) -> Callable[[Document], object]:
    """Changes fields of the cluster's manifests output."""
    return lambda values: values["manifests"]["demo"].update(fields)


def inside(section: str, **fields: object) -> Callable[[Document], object]:
    """Changes fields of a section of the exporter's document."""
    return lambda values: exporter_of(
        values, **{section: {**json.loads(values["exporter_configurations"]["demo"]).get(section, {}), **fields}}
    )


def in_the_requesters_namespace(values: Document) -> None:
    """Puts the exporter into the namespace of a profile of one's own."""
    values["document"]["signers"][1]["profile"] = {"name": "postgresql.yaml"}
    values["manifests"]["demo"]["namespace"] = "databases"


FOREIGN = "csr-access-demo@another-project.iam.gserviceaccount.com"
STATE: dict[str, tuple[Callable[[Document], object], str]] = {
    "rights for a component of Kubernetes": (
        changed(function_user="system:kube-controller-manager"),
        'manifests.demo.function_user: Invalid value: "system:kube-controller-manager": must match',
    ),
    "rights for a person": (
        changed(function_user="alice@example.com"),
        'manifests.demo.function_user: Invalid value: "alice@example.com": must match',
    ),
    "rights for an account of another project": (
        changed(function_user=FOREIGN),
        f'--function-user: Invalid value: "{function_user("demo")}": must be the function\'s user',
    ),
    "a namespace of Kubernetes": (changed(namespace="kube-system"), 'demo.namespace: Invalid value: "kube-system"'),
    "the operator's namespace": (changed(namespace="calico-system"), 'demo.namespace: Invalid value: "calico-system"'),
    "a requester's namespace": (in_the_requesters_namespace, 'demo.namespace: Invalid value: "databases": must be a'),
    "every pod's account": (changed(exporter_service_account="default"), "exporter_service_account: Invalid value"),
    "a token for the API server": (
        changed(token_audience="https://kubernetes.default.svc"),
        'token_audience: Invalid value: "https://kubernetes.default.svc"',
    ),
    "another Google account": (
        changed(google_service_account="a@b.iam.gserviceaccount.com"),
        'google_service_account: Invalid value: "a@b.iam.gserviceaccount.com"',
    ),
    "another account in the document": (
        inside("identity", service_account="a@b.iam.gserviceaccount.com"),
        "identity.service_account: Invalid value",
    ),
    "the token to a foreign STS": (inside("identity", sts_url="https://a"), "identity.sts_url: Forbidden"),
    "the token to this machine": (inside("identity", unsafe_sts_url="http://[::1]"), "unsafe_sts_url: Forbidden"),
    "an access token to a foreign host": (
        inside("identity", iam_credentials_url="https://a"),
        "identity.iam_credentials_url: Forbidden",
    ),
    "a foreign API server": (inside("api_server", server="https://a", token_file="/token"), "api_server: Forbidden"),
    "the token of the API server": (
        inside("identity", token_file="/var/run/secrets/kubernetes.io/serviceaccount/token"),
        "identity.token_file: Invalid value",
    ),
    "a provider of another pool": (
        inside("identity", sts_audience="identitynamespace:evil.svc.id.goog:https://container.googleapis.com/"),
        '"identitynamespace:evil.svc.id.goog:https://container.googleapis.com/" must match',
    ),
    "no identity": (inside("identity", kind="unsafe_none"), "identity.kind: Invalid value"),
    "the ID token to another host than its audience's": (
        inside("function", url="https://evil.example/"),
        "function.url: Invalid value",
    ),
    "events to a host outside Cloud Run": (
        lambda values: exporter_of(
            values, function={"url": "https://evil.example/", "audience": "https://evil.example"}
        ),
        '"https://evil.example" must match',
    ),
    "health for other hosts": (inside("health", address="0.0.0.0"), "health.address: Invalid value"),  # noqa: S104
    "another port": (inside("health", port=443), "health.port: Invalid value"),
    "metrics for other hosts": (inside("metrics", address="0.0.0.0", port=1), "metrics: Forbidden"),  # noqa: S104
    "no rate limit": (inside("rate_limit", burst=10000, seconds=1), "rate_limit: Forbidden"),
    "a slow second replica": (inside("replicas", delay_seconds=300), "replicas.delay_seconds: Invalid value"),
    "an argument of the CronJob in the cluster's domain": (
        lambda values: values["document"]["clusters"]["demo"].update(cluster_domain="$(HOSTNAME)"),
        "cluster_domain: Invalid value",
    ),
    "another cluster's source": (
        lambda values: exporter_of(values, source="//example.com/another"),
        'exporter_configurations.demo: source: Invalid value: "//example.com/another"',
    ),
    "other signers": (
        lambda values: exporter_of(values, signers=[{"signer_name": "kubernetes.io/x", "stages": ["approved"]}]),
        "exporter_configurations.demo: signers: Invalid value: must be those of the function's",
    ),
    "another stage": (
        lambda values: exporter_of(
            values, signers=[{"signer_name": "csr-signer.example.com/calico", "stages": ["pending"]}]
        ),
        "signers: Invalid value",
    ),
}


@pytest.mark.parametrize(("change", "says"), STATE.values(), ids=STATE)
def test_attack_changing_the_state(tmp_path: Path, change: Callable[[Document], None], says: str) -> None:
    """Only values that our root module renders reach the folder, and only the named user gets rights."""
    result = run(tmp_path / "out", given=outputs(change))
    assert result.exit_code == 1
    assert says in result.output
    assert not (tmp_path / "out").exists()


def test_attack_changing_the_functions_user_in_the_state(tmp_path: Path) -> None:
    """A new folder, and each change of the user, needs the same name on the command line."""
    said = refused(tmp_path, user=None)
    assert "--function-user: Required value: must be the function's user, who may approve and sign" in said
    assert f'outputs name "{function_user("demo")}"' in said
    written(tmp_path)
    kept = run(tmp_path, user=None)
    assert kept.stdout == f"{tmp_path}: nothing changes\n"
    assert f"Kept from the last run: --function-user {function_user('demo')}\n" in kept.stderr
    moved = outputs(changed(function_user=FOREIGN))
    said = refused(tmp_path, user=None, given=moved)
    assert f'--function-user: Invalid value: "{function_user("demo")}"' in said
    changed_user = run(tmp_path, user=FOREIGN, given=moved)
    assert changed_user.exit_code == 0
    assert f"User {FOREIGN} may\n" in changed_user.stdout
    assert FOREIGN in (tmp_path / "function.yaml").read_text(encoding="utf-8")


def exporter_of(values: Document, **fields: object) -> None:
    """Changes fields of the exporter's configuration document."""
    document = json.loads(values["exporter_configurations"]["demo"])
    values["exporter_configurations"]["demo"] = json.dumps({**document, **fields})


def test_a_named_pipe_delays_nothing(tmp_path: Path) -> None:
    """The command reads no pipe that lies in the folder: no writer would come."""
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / "pipe.yaml")
    assert run(tmp_path / "out").exit_code == 0
