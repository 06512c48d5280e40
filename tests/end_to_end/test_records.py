"""Records of a whole run answer questions: every decision can be made again from its record alone."""

import base64
import copy
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from csr_signer.policy.profile import SHIPPED
from sandbox.api import NAMESPACES
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.calico.stories import STORIES
from sandbox.deployment import Deployment, Settings, UserProfile
from tests.end_to_end.conftest import audit_records, eventually, fleet_maker, started
from tests.end_to_end.judged import Judged, certifying_profile
from tests.infra.audit.entries import of_function
from tests.unit.function.builders import ec_key, make_authority
from tests.unit.signerctl.stage import signerctl

RELEASE = "3.31"
CERTIFYING = "csr-signer.example.com/addresses"
PODS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run left behind.

    Attributes:
        records: The function's log.
        configuration: The function's folder.
        issued: uids of the CSRs that were issued.
        refused: uids of the CSRs that were refused, by story.
        deployment: The deployment, which still runs.
    """

    records: Path
    configuration: Path
    issued: frozenset[str]
    refused: dict[str, str]
    deployment: Deployment

    def copied(self, folder: Path) -> Path:
        """Copies the function's folder, for an edit; returns the document."""
        folder.mkdir()
        for file in self.configuration.parent.iterdir():
            if file.is_file() and file.suffix in (".json", ".pem", ".yaml", ".kubeconfig"):
                shutil.copy(file, folder)
        return folder / self.configuration.name


@pytest.fixture(scope="module", params=["embedded", pytest.param("real", marks=pytest.mark.real)])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, keys: KeyPool) -> Iterator[Run]:
    """A fleet of every component and kind of key under two profiles, and every attacker."""
    profile = certifying_profile(tmp_path_factory.mktemp("profile") / "addresses.yaml", RELEASE)
    settings = Settings(
        directory=tmp_path_factory.mktemp(request.param),
        plane=request.param,
        release=RELEASE,
        profiles={CERTIFYING: UserProfile(file=profile, release=RELEASE, nodes=True)},
    )
    with started(settings) as deployment, Observer(deployment.api) as observer:
        judged = Judged(deployment, keys, observer)
        make = fleet_maker(deployment, keys)
        fleets = [make(PODS, mixed=True), make(PODS, signer_name=CERTIFYING)]
        for fleet in fleets:
            fleet.submit()
        for fleet in fleets:
            judged.issued(fleet)
        filed = [each for each in judged.file(judged.attackers(*STORIES)) if each.uid]
        judged.ended(each.uid for each in filed)
        issued = frozenset(each.uid for fleet in fleets for each in fleet.submissions)
        refused = {each.attacker.story.name: each.uid for each in filed}
        log = deployment.log("function")
        eventually(lambda: ended(log) >= issued | set(refused.values()))
        yield Run(
            records=log,
            configuration=deployment.directory / "function.json",
            issued=issued,
            refused=refused,
            deployment=deployment,
        )


def ended(log: Path) -> set[object]:
    """Returns the uids with a record of their outcome, which the function writes after the CSR."""
    return {record["csr_uid"] for record in audit_records(log) if record["event"] in ("issued", "refused")}


def replayed(run: Run, configuration: Path, *more: str | Path, status: int) -> dict[str, Any]:
    """Returns what `signerctl replay` prints as JSON."""
    result = signerctl("replay", "--records", run.records, "--configuration", configuration, "--json", *more)
    assert (result.exit_code, result.stderr) == (status, "")
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_the_same_configuration_decides_the_same(run: Run) -> None:
    """No decision, code, text, name or time differs for any record, without the cluster and KMS."""
    document = replayed(run, run.configuration, status=0)
    assert document["items"] == []
    summary = document["summary"]
    assert summary["decisions"] >= len(run.issued) + len(run.refused)
    assert (summary["differences"], summary["notes"], summary["unknown"], summary["without_inputs"]) == (0, 0, 0, 0)


Edit = Callable[[dict[str, Any]], None]


def rows(profile: dict[str, Any], name: str) -> dict[str, Any]:
    """Returns a component of a profile."""
    (row,) = [row for row in profile["components"] if row["name"] == name]
    return row  # type: ignore[no-any-return]  # YAML


def another_common_name(profile: dict[str, Any]) -> None:
    """Typha's certificates need another common name."""
    rows(profile, "calico-typha")["common_name"] = "typha"


def another_dns_name(profile: dict[str, Any]) -> None:
    """Typha may also have the API server's name."""
    rows(profile, "calico-typha")["dns_names"].append({"name": "kubernetes.default.svc", "optional": True})


def shorter_lifetime(profile: dict[str, Any]) -> None:
    """Certificates live 30 days."""
    profile["lifetime"] |= {"default": "30d", "maximum": "30d"}


def another_component(profile: dict[str, Any]) -> None:
    """calico-kube-controllers gets certificates too."""
    node = copy.deepcopy(rows(profile, "calico-node"))
    row = {**node, "name": "kube-controllers", "service_accounts": ["calico-system/calico-kube-controllers"]}
    profile["components"].append(row)


def another_purpose(profile: dict[str, Any]) -> None:
    """Typha is no client."""
    rows(profile, "calico-typha")["extended_key_usage"] = ["serverAuth"]


def edited(run: Run, folder: Path, edit: Edit) -> Path:
    """Copies the configuration; the first signer gets the shipped profile with one edit."""
    path = run.copied(folder)
    profile = yaml.safe_load((SHIPPED / "calico.yaml").read_text(encoding="utf-8"))
    edit(profile)
    (folder / "edited.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    document = json.loads(path.read_text(encoding="utf-8"))
    document["signers"][0]["profile"]["name"] = "edited.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def of_component(run: Run, *names: str) -> set[str]:
    """Returns the uids of CSRs of the first signer that were issued for these components; for all without a name."""
    records = audit_records(run.records)
    return {
        str(record["csr_uid"])
        for record in records
        if record["event"] == "issued" and record["signer_name"] != CERTIFYING
        if not names or record["component"] in names
    }


@pytest.mark.parametrize(
    ("edit", "components", "stories", "change"),
    [
        (
            another_common_name,
            ["calico-typha"],
            ["foreign DNS name"],
            {
                ("permitted", "refused", "subject.common_name"),
                ("refused", "refused", "+subject.common_name"),
            },
        ),
        (another_dns_name, None, ["foreign DNS name"], {("refused", "permitted", "calico-typha")}),
        (shorter_lifetime, [], [], {("permitted", "permitted", "not_after")}),
        (another_component, None, ["wrong service account"], {("refused", "needs_more", "")}),
        (another_purpose, ["calico-typha"], [], {("permitted", "permitted", "extended_key_usage")}),
    ],
)
def test_one_changed_rule_changes_exactly_its_decisions(
    run: Run,
    tmp_path: Path,
    edit: Edit,
    components: list[str] | None,
    stories: list[str],
    change: set[tuple[str, str, str]],
) -> None:
    """Each request that the rule judges is listed with what differs, and no other request."""
    items = replayed(run, edited(run, tmp_path / "new", edit), status=1)["items"]
    issued = set() if components is None else of_component(run, *components)
    assert issued or components is None
    differ = [item for item in items if item["level"] == "difference"]
    assert {item["csr_uid"] for item in differ} == issued | {run.refused[story] for story in stories}
    assert {(item["recorded"], item["replayed"], ", ".join(item["what"])) for item in differ} == change
    # Other refusals of Typha's and of unknown accounts only list other allowed values.
    assert {(item["level"], *item["what"]) for item in items if item not in differ} <= {("note", "violations")}


def test_another_ca_changes_validities_and_no_decision(run: Run, tmp_path: Path) -> None:
    """After a rotation, a certificate would start and end with the new CA: a note for each, and exit status 0."""
    path = run.copied(tmp_path / "new")
    now = datetime.now(UTC).replace(microsecond=0)
    document = json.loads(path.read_text(encoding="utf-8"))
    for number, signer in enumerate(document["signers"], start=1):
        ca = make_authority(key=ec_key(number=number), not_before=now, not_after=now + timedelta(days=300))
        (path.parent / f"next-{number}.pem").write_bytes(ca.pem)
        signer["issuer"] |= {"certificate": f"next-{number}.pem", "trust_bundle": f"next-{number}.pem"}
    path.write_text(json.dumps(document), encoding="utf-8")
    document = replayed(run, path, status=0)
    assert {item["csr_uid"] for item in document["items"]} == run.issued
    assert {(item["level"], *item["what"]) for item in document["items"]} == {("note", "not_before", "not_after")}


def test_entries_of_cloud_logging_replay_the_same(run: Run, tmp_path: Path) -> None:
    """What `gcloud logging read` prints holds the same inputs."""
    path = tmp_path / "entries.json"
    entries = of_function(run.records.read_text(encoding="utf-8").splitlines())
    path.write_text(json.dumps(entries, indent=2), encoding="utf-8")
    bare = replayed(run, run.configuration, status=0)["summary"]
    assert replayed(replace(run, records=path), run.configuration, status=0)["summary"] == bare


def test_a_signer_that_is_gone_is_a_difference(run: Run, tmp_path: Path) -> None:
    """Its CSRs would get no answer; --signer and --cluster choose what to replay."""
    path = run.copied(tmp_path / "new")
    document = json.loads(path.read_text(encoding="utf-8"))
    (gone,) = [signer for signer in document["signers"] if signer["signer_name"] == CERTIFYING]
    document["signers"].remove(gone)
    path.write_text(json.dumps(document), encoding="utf-8")
    items = replayed(run, path, status=1)["items"]
    assert {item["replayed"] for item in items} == {"no_signer"}
    assert {item["csr_uid"] for item in items} == run.issued - of_component(run)
    kept = document["signers"][0]["signer_name"]
    assert replayed(run, path, "--signer", kept, "--cluster", "demo", status=0)["items"] == []


def test_the_record_of_an_intent_holds_the_request(run: Run) -> None:
    """In the form of spec.request: an auditor can read it without the cluster."""
    intent = next(record for record in audit_records(run.records) if record["event"] == "intent")
    request = base64.b64decode(intent["decision_inputs"]["csr"]["request"])  # type: ignore[index]  # JSON
    assert hashlib.sha256(request).hexdigest() == intent["request_sha256"]
    assert request.startswith(b"-----BEGIN CERTIFICATE REQUEST-----")


def test_each_decision_has_its_inputs_once(run: Run) -> None:
    """In the intent or in the refusal, and in no other record; without a token."""
    records = audit_records(run.records)
    holding = [record["event"] for record in records if "decision_inputs" in record]
    assert Counter(holding) == Counter(
        record["event"] for record in records if record["event"] in ("intent", "refused")
    )
    assert "eyJ" not in run.records.read_text(encoding="utf-8")  # how every JSON Web Token starts


def test_list_has_every_certificate(run: Run) -> None:
    """What was issued to whom; every pod's certificate lives longer than the period of `expiring`."""
    result = signerctl("list", "--records", run.records, "--json")
    items = json.loads(result.stdout)["items"]
    assert {item["csr_uid"] for item in items} == run.issued
    assert json.loads(signerctl("expiring", "--records", run.records, "--json").stdout)["items"] == []
    expiring = signerctl("expiring", "--records", run.records, "--within", "366d", "--json")
    assert {item["csr_uid"] for item in json.loads(expiring.stdout)["items"]} == run.issued


def test_expiring_can_ask_which_pods_still_exist(run: Run) -> None:
    """With a kubeconfig, a deleted pod is not listed."""
    kubeconfig = run.deployment.plane.kubeconfig
    arguments = ("expiring", "--records", run.records, "--within", "366d", "--kubeconfig", kubeconfig, "--json")
    before = json.loads(signerctl(*arguments).stdout)["items"]
    assert {item["csr_uid"] for item in before} == run.issued
    gone = next(record for record in audit_records(run.records) if record["event"] == "issued")
    namespace, _, name = str(gone["pod"]).partition("/")
    now = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
    run.deployment.api.delete(f"{NAMESPACES}/{namespace}/pods/{name}", now)
    after = json.loads(signerctl(*arguments).stdout)["items"]
    assert {item["csr_uid"] for item in after} == run.issued - {gone["csr_uid"]}


def test_denied_has_every_attack(run: Run) -> None:
    """With the codes that its refusal must have."""
    result = signerctl("denied", "--records", run.records, "--since", "1h", "--json")
    codes = {item["csr_uid"]: item["codes"] for item in json.loads(result.stdout)["items"]}
    for story in STORIES:
        uid = run.refused.get(story.name)
        assert uid is None or set(story.expected_codes) <= set(codes[uid]), story.name
    assert set(codes) == set(run.refused.values())
