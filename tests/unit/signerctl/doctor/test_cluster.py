"""doctor compares what the cluster runs with what the configuration asks for."""

import base64
import contextlib
import json
import shutil
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from signerctl.doctor import api_server, cluster, exporter, http
from signerctl.doctor.examination import Examination
from signerctl.doctor.result import Result
from signerctl.guards import manifest
from signerctl.guards.guarded import Exporter
from signerctl.objects import User
from tests.paths import ROOT
from tests.patience import PATIENCE
from tests.unit.signerctl.answers import Answers
from tests.unit.signerctl.authorities import certificates
from tests.unit.signerctl.doctor.conftest import FUNCTION_USER, Examine
from tests.unit.signerctl.doctor.healthy import BINDING, NAMESPACE, REVIEWS, pod, review
from tests.unit.signerctl.installations import installation
from tests.unit.signerctl.outputs import IMAGE, function_user, outputs
from tests.unit.signerctl.stage import SIGNER_NAME, Stage, signerctl

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
INSTALLATION = "GET /apis/operator.tigera.io/v1/installations/default"
NAMESPACES = "GET /apis/apps/v1/namespaces"
STATEFUL_SET = f"{NAMESPACES}/kms-csr-signer/statefulsets/csr-exporter"
PLURALS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
Json = dict[str, Any]


def test_all_rights_of_the_manifests_are_asked_for_the_functions_user(examine: Examine, api: Answers) -> None:
    """The rights come from function.yaml itself, so that a new right is checked too."""
    api.prepared[REVIEWS] = review()
    outcome = api_server.rights(examine())
    assert outcome.level == "ok", outcome.found
    asked = [json.loads(body)["spec"] for _, _, _, body in api.received]
    assert {spec["user"] for spec in asked} == {FUNCTION_USER}
    rights = {(each["verb"], each["resource"]) for each in (spec["resourceAttributes"] for spec in asked)}
    assert {
        ("sign", "signers"),
        ("approve", "signers"),
        ("patch", "certificatesigningrequests"),
        ("get", "certificatesigningrequests"),
        ("get", "pods"),
        ("create", "events"),
    } == rights
    names = {spec["resourceAttributes"].get("name") for spec in asked}
    assert SIGNER_NAME in names


def test_a_missing_right_is_named_with_the_user_that_has_it(examine: Examine, api: Answers) -> None:
    """A binding that names another user is the usual cause."""
    api.prepared[REVIEWS] = review(lambda spec: spec["resourceAttributes"].get("verb") == "sign")
    api.prepared[BINDING] = 200, {"subjects": [{"kind": "User", "name": "someone@example.com"}]}
    outcome = api_server.rights(examine())
    assert outcome.level == "error"
    assert f"{FUNCTION_USER} lacks 1 of " in outcome.found
    assert f'sign signers "{SIGNER_NAME}"' in outcome.found
    assert 'names "someone@example.com"' in outcome.found
    assert "cluster manifests" in outcome.remedy


def test_pods_that_the_function_may_not_read_are_an_error(examine: Examine, api: Answers) -> None:
    """The Role is in each namespace of the profile."""
    api.prepared |= {NAMESPACE: (200, {"kind": "Namespace"}), REVIEWS: review(lambda _: True)}
    outcome = api_server.pods(examine())
    assert outcome.level == "error"
    assert "may not read pods in calico-system" in outcome.found


PODS = {
    "some": ([pod("calico-node"), pod("calico-typha")], "ok", "calico-node"),
    "only others": ([pod("csi-node-driver")], "warning", "no pod"),
    "none": ([], "warning", "no pod"),
}


@pytest.mark.parametrize(("items", "level", "words"), PODS.values(), ids=PODS)
def test_the_components_pods_are_looked_for(
    examine: Examine, api: Answers, *, items: list[Json], level: str, words: str
) -> None:
    """Without any pod, the profile or its namespaces may be wrong."""
    api.prepared |= {
        NAMESPACE: (200, {"kind": "Namespace"}),
        f"{NAMESPACE}/pods": (200, {"items": items, "metadata": {}}),
        REVIEWS: review(),
    }
    outcome = api_server.pods(examine())
    assert outcome.level == level
    assert words in outcome.found


SKEWS = {
    "none": (0, "ok"),
    "two minutes": (120, "warning"),
    "an hour": (3600, "error"),
    "an hour behind": (-3600, "error"),
}


@pytest.mark.parametrize(("seconds", "level"), SKEWS.values(), ids=SKEWS)
def test_a_wrong_clock_is_told(examine: Examine, api: Answers, *, seconds: int, level: str) -> None:
    """A certificate may not be valid yet for a peer whose clock is behind."""
    api.date = f"{datetime.now(UTC) + timedelta(seconds=seconds):%a, %d %b %Y %H:%M:%S GMT}"
    api.prepared["GET /version"] = 200, {"gitVersion": "v1.37.2"}
    found = examine()
    assert "v1.37.2" in api_server.reached(found).found
    assert api_server.clock(found).level == level


def test_what_refused_credentials_would_show_is_unknown(examine: Examine, api: Answers) -> None:
    """All checks at the API server would fail, but no server is at fault."""
    api.prepared["GET /version"] = 401, {"kind": "Status", "message": "Unauthorized"}
    assert api_server.reached(examine()).level == "unknown"


def guarded(found: Examination, api: Answers, change: Callable[[Json], object] = lambda _: None) -> Result:
    """Gives the API server the guards as it stores them, after a change of each, and makes the check."""
    api.prepared[f"GET {ADMISSION}"] = 200, {"kind": "APIResourceList"}
    for document in manifest.documents(found.guarded(User.of(FUNCTION_USER))):
        stored = defaulted(document)
        if change(stored) is not False:
            api.prepared[f"GET {ADMISSION}/{PLURALS[stored['kind']]}/{stored['metadata']['name']}"] = 200, stored
    return cluster.guards(found)


def defaulted(document: Json) -> Json:
    """Returns a policy as the API server stores it."""
    spec = dict(document["spec"])
    if "matchConstraints" in spec:
        rules = [{**rule, "scope": "*"} for rule in spec["matchConstraints"]["resourceRules"]]
        defaults = {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}}
        spec["matchConstraints"] = {**defaults, **spec["matchConstraints"], "resourceRules": rules}
    return {**document, "spec": spec}


def test_guards_as_this_release_makes_them_are_ok(examine: Examine, api: Answers) -> None:
    """The API server's defaults are no difference."""
    outcome = guarded(examine(), api)
    assert outcome.level == "ok", outcome.found


def only_demo(values: Json) -> None:
    """Leaves one cluster, because the clusters would share the test's CA."""
    document = values["document"]
    document["clusters"] = {"demo": document["clusters"]["demo"]}
    document["signers"] = [each for each in document["signers"] if each["cluster"] == "demo"]


@pytest.fixture
def folder(authority: Path, tmp_path: Path) -> Path:
    """The folder that `cluster manifests --metrics-tls` writes, with the function's documents beside it."""
    values = outputs(only_demo)
    for name, text in values["documents"]["value"].items():
        (tmp_path / name).write_text(text)
    for signer in yaml.safe_load((tmp_path / "configuration.yaml").read_text())["signers"]:
        for name in (signer["issuer"]["certificate"], signer["issuer"]["trust_bundle"]):
            shutil.copy(authority, tmp_path / name)
    options = ("--cluster", "demo", "--image", IMAGE, "--metrics", "0.0.0.0:9877", "--metrics-tls", "metrics")
    user = ("--function-user", function_user("demo"))
    made = tmp_path / "demo"
    written = signerctl(
        "cluster", "manifests", "--terraform-output", "-", *options, *user, "--out", made, stdin=json.dumps(values)
    )
    assert written.exit_code == 0, written.output
    return made


def documents_of(path: Path) -> list[Json]:
    """Returns the objects of a file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def test_guards_that_allow_the_metrics_secret_are_ok(examine: Examine, api: Answers, folder: Path) -> None:
    """Doctor takes the Secret from the exporter's StatefulSet; any other Secret in the guard is an error."""
    (workload,) = (each for each in documents_of(folder / "exporter.yaml") if each["kind"] == "StatefulSet")
    path = f"{NAMESPACES}/{workload['metadata']['namespace']}/statefulsets/csr-exporter"
    api.prepared |= {path: (200, workload), f"GET {ADMISSION}": (200, {"kind": "APIResourceList"})}
    for document in documents_of(folder / "guards.yaml"):
        stored = f"GET {ADMISSION}/{PLURALS[document['kind']]}/{document['metadata']['name']}"
        api.prepared[stored] = 200, defaulted(document)
    chosen = {"configuration": folder.parent / "configuration.yaml", "cluster": "demo"}
    outcome = cluster.guards(examine(**chosen))
    assert outcome.level == "ok", outcome.found
    api.prepared[path] = 404, {}
    outcome = cluster.guards(examine(**chosen))
    assert outcome.level == "error"
    assert "kms-csr-signer-exporter-pods: spec.validations" in outcome.found


def weaker(document: Json) -> None:
    """Lets the policy `decide` pass everything."""
    if document["metadata"]["name"] == "kms-csr-signer-decide" and "validations" in document["spec"]:
        document["spec"]["validations"] = [{"expression": "true"}]


def narrowed(document: Json) -> None:
    """Exempts namespaces from a binding."""
    if document["metadata"]["name"] == "kms-csr-signer-create" and "policyName" in document["spec"]:
        document["spec"]["matchResources"] = {"namespaceSelector": {"matchLabels": {"none": "has-this"}}}


def audited(document: Json) -> None:
    """Only records what the policies refuse."""
    if "validationActions" in document["spec"]:
        document["spec"]["validationActions"] = ["Audit"]


CHANGES = {
    "a binding is missing": (lambda each: "policyName" not in each["spec"], "ValidatingAdmissionPolicyBinding"),
    "a policy is weaker": (weaker, "ValidatingAdmissionPolicy kms-csr-signer-decide: spec.validations differs"),
    "a binding is narrowed": (narrowed, "kms-csr-signer-create: spec.matchResources differs"),
    "they do not deny": (audited, "spec.validationActions[0] differs"),
}


@pytest.mark.parametrize(("change", "words"), CHANGES.values(), ids=CHANGES)
def test_guards_that_differ_are_an_error(
    examine: Examine, api: Answers, *, change: Callable[[Json], object], words: str
) -> None:
    """A guard that is missing, weaker or not enforced protects nothing."""
    outcome = guarded(examine(), api, change)
    assert outcome.level == "error"
    assert words in outcome.found
    assert "signerctl" in outcome.remedy


def test_guards_need_not_exist_where_they_cannot_or_shall_not(examine: Examine, api: Answers) -> None:
    """Kubernetes before 1.30 has no such policies, and `--guards none` says that there shall be none."""
    assert cluster.guards(examine()).level == "not_applicable"
    api.prepared[f"GET {ADMISSION}"] = 200, {"kind": "APIResourceList"}
    assert cluster.guards(examine()).level == "error"
    assert cluster.guards(examine(guards="none")).level == "not_applicable"


def management(document: Path, **changes: object) -> Json:
    """Returns the Installation for the configured CA, after changes of its certificateManagement."""
    found: Json = installation(*certificates(document.parent / "ca.pem"), **changes)
    return found


def test_an_installation_that_fits_is_ok(examine: Examine, api: Answers, document: Path) -> None:
    """CaCert and signerName are the function's."""
    api.prepared[INSTALLATION] = 200, management(document)
    assert cluster.installation(examine()).level == "ok"


INSTALLATIONS = {
    "another signerName": ({"signerName": "example.com/other"}, "error", "signerName: Invalid value"),
    "no PEM": ({"caCert": base64.b64encode(b"no PEM").decode()}, "error", "Calico would refuse"),
    "algorithms that do not match": ({"signatureAlgorithm": "SHA256WithRSA"}, "error", "signatureAlgorithm"),
}


@pytest.mark.parametrize(("changes", "level", "words"), INSTALLATIONS.values(), ids=INSTALLATIONS)
def test_an_installation_that_does_not_fit_is_told(
    examine: Examine, api: Answers, document: Path, *, changes: Json, level: str, words: str
) -> None:
    """Calico would ask another signer, or its components would refuse the certificates."""
    api.prepared[INSTALLATION] = 200, management(document, **changes)
    outcome = cluster.installation(examine())
    assert outcome.level == level
    assert words in outcome.found


def test_another_ca_in_the_installation_is_an_error(
    examine: Examine, api: Answers, stage: Stage, tmp_path: Path
) -> None:
    """Components trust only caCert."""
    other = stage.create(tmp_path / "other.pem", key=stage.key(number=2))
    api.prepared[INSTALLATION] = 200, installation(*certificates(other))
    outcome = cluster.installation(examine())
    assert outcome.level == "error"
    assert "ca bundle" in outcome.remedy


def test_an_installation_without_certificate_management_is_a_warning(examine: Examine, api: Answers) -> None:
    """It is the last step of the installation, so it is no error."""
    api.prepared[INSTALLATION] = 200, {"kind": "Installation", "spec": {}}
    outcome = cluster.installation(examine())
    assert (outcome.level, "spec.certificateManagement: Required value" in outcome.found) == ("warning", True)
    api.prepared.clear()
    assert cluster.installation(examine()).level == "not_applicable"


RELEASES = {
    "the same": ("v3.31.2", "ok"),
    "later": ("v3.32.0", "error"),
    "unreadable": ("master", "error"),
}


@pytest.mark.parametrize(("running", "level"), RELEASES.values(), ids=RELEASES)
def test_the_release_that_runs_is_compared(examine: Examine, api: Answers, *, running: str, level: str) -> None:
    """Another release requests other names."""
    api.prepared[INSTALLATION] = 200, {"kind": "Installation", "spec": {}, "status": {"calicoVersion": running}}
    outcome = cluster.release(examine())
    assert outcome.level == level
    assert running in outcome.found


def test_calicos_own_api_tells_the_release_too(examine: Examine, api: Answers) -> None:
    """Clusters without the operator have only ClusterInformation."""
    path = "GET /apis/crd.projectcalico.org/v1/clusterinformations/default"
    api.prepared[path] = 200, {"spec": {"calicoVersion": "v3.31.0"}}
    assert cluster.release(examine()).level == "ok"
    api.prepared[path] = 200, {"spec": {}}
    assert cluster.release(examine()).level == "unknown"
    api.prepared.clear()
    assert cluster.release(examine()).level == "not_applicable"


READY = {"all": (2, 2, "ok"), "one": (1, 2, "warning"), "none": (0, 2, "error"), "scaled to 0": (0, 0, "error")}


@pytest.mark.parametrize(("ready", "wanted", "level"), READY.values(), ids=READY)
def test_the_exporters_replicas_are_counted(
    examine: Examine, api: Answers, *, ready: int, wanted: int, level: str
) -> None:
    """One replica is enough for certificates, but not for a node's failure."""
    api.prepared[STATEFUL_SET] = 200, {"spec": {"replicas": wanted}, "status": {"readyReplicas": ready}}
    outcome = exporter.ready(examine(exporter=Exporter()))
    assert outcome.level == level


PAGES = {
    "ready": (200, {"ok": True, "reasons": []}, "ok", "ready"),
    "ready with a warning": (200, {"ok": True, "reasons": ["an operator must act"]}, "warning", "an operator must act"),
    "not ready": (503, {"ok": False, "reasons": ["no ID token yet"]}, "error", "no ID token yet"),
    "another server": (200, "<html>", "error", "not an answer of the exporter"),
}


@pytest.mark.parametrize(("status", "body", "level", "words"), PAGES.values(), ids=PAGES)
def test_the_exporters_page_is_told(
    examine: Examine, service: Answers, *, status: int, body: object, level: str, words: str
) -> None:
    """With --exporter-url, the exporter says itself why it is not ready."""
    service.prepared["GET /readyz"] = status, body
    outcome = exporter.ready(examine(exporter_url=service.url))
    assert outcome.level == level
    assert words in outcome.found


WRONG_URLS = {
    "refused": (
        "http://127.0.0.1:1",
        "error",
        "nothing listens there: the exporter does not run, or --exporter-url is",
    ),
    "no such host": ("http://exporter.invalid:80", "unknown", "this says nothing about the exporter"),
}


@pytest.mark.parametrize(("url", "level", "words"), WRONG_URLS.values(), ids=WRONG_URLS)
def test_an_exporter_without_an_answer_is_not_blamed_for_the_url(
    examine: Examine, *, url: str, level: str, words: str
) -> None:
    """A dead exporter and a wrong --exporter-url can look alike."""
    outcome = exporter.ready(examine(exporter_url=url))
    assert outcome.level == level
    assert words in outcome.found


def test_a_frozen_exporter_is_not_called_dead(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its socket takes the connection, but no answer comes."""
    monkeypatch.setattr(http, "SILENT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        outcome = exporter.ready(examine(exporter_url=f"http://127.0.0.1:{frozen.getsockname()[1]}"))
    assert outcome.level == "error"
    assert "/readyz: no answer within 8 s: the exporter hangs, or the network drops the connection" in outcome.found


def test_an_answer_that_does_not_end_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that sends a byte now and then does not hold the operator up."""
    monkeypatch.setattr(http, "SECONDS", 1.0)
    is_over = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
            while not is_over.wait(0.05):
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=drip, args=(listener,), daemon=True)
        server.start()
        with pytest.raises(urllib3.exceptions.TimeoutError, match="did not end in time"):
            http.exchange("GET", f"http://127.0.0.1:{listener.getsockname()[1]}/")
        is_over.set()
        server.join(PATIENCE)


@pytest.mark.parametrize("verbs", [("list",), ("list", "watch")])
def test_an_exporter_without_its_rights_is_an_error(examine: Examine, api: Answers, verbs: tuple[str, ...]) -> None:
    """An administrator deleted its ClusterRoleBinding: it runs, and sees no CSR."""
    api.prepared[REVIEWS] = review(lambda spec: spec["resourceAttributes"]["verb"] in verbs)
    outcome = exporter.rights(examine())
    assert outcome.level == "error"
    assert (
        outcome.found
        == f"system:serviceaccount:kms-csr-signer:csr-exporter is not allowed to {' or '.join(verbs)} CSRs"
    )
    assert "ClusterRoleBinding kms-csr-signer:export" in outcome.remedy
    api.prepared[REVIEWS] = review()
    assert exporter.rights(examine()).level == "ok"


def test_the_exporters_rights_are_those_of_the_manifest() -> None:
    """A right that the exporter gets later is checked too."""
    documents = yaml.safe_load_all((ROOT / "infra/cluster/examples/demo/exporter.yaml").read_text(encoding="utf-8"))
    (role,) = (each for each in documents if each["kind"] == "ClusterRole")
    (rule,) = role["rules"]
    assert (rule["resources"], rule["verbs"]) == (["certificatesigningrequests"], list(exporter.VERBS))
