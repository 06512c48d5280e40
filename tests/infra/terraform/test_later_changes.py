"""What an administrator changes in a running deployment."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pytest

from development.terraform import files
from tests.infra.terraform.conftest import initialised
from tests.infra.terraform.deployed import AUDIT, CLUSTERS, IMAGE, KEY, SIGNERS, Deployment
from tests.paths import DOCS, INFRA

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.infra.terraform.deployed import Run, Variables

FUNCTION: Final = "module.function[0].google_cloudfunctions2_function.this"
ANOTHER_KEY: Final = KEY.replace("at-rest", "next")
LOG_BUCKET_KEY: Final = {"audit": AUDIT | {"encryption_key": KEY}}
AT_SOURCE: Final[Variables] = {}
FROM_IMAGE: Final = {"image": IMAGE}
IN_ANOTHER_REGION: Final = {
    "audit": AUDIT | {"location": "europe-west1"},
    "key_location": "europe-west1",
    "location": "europe-west4",
}
RENAMED: Final = {
    "retired_signers": {"prod-calico": {}},
    "signers": {"prod-next": SIGNERS["prod-calico"], "site-calico": SIGNERS["site-calico"]},
}
AUDIT_TRAIL: Final = "module.audit[0]."
# Each chain: what is created first, until what is created last.
WAITS: Final = (
    *(
        (
            f"{AUDIT_TRAIL}google_logging_metric",
            f"{AUDIT_TRAIL}time_sleep.metrics",
            f"{AUDIT_TRAIL}google_monitoring_{name}",
        )
        for name in (
            "alert_policy.failing",
            "alert_policy.found",
            "alert_policy.signatures",
            "alert_policy.silent",
            "slo",
        )
    ),
    *(
        (
            f"{AUDIT_TRAIL}{grant}",
            f"{AUDIT_TRAIL}time_sleep.monitoring",
            f"{AUDIT_TRAIL}google_monitoring_alert_policy.{name}",
        )
        for grant in ("google_bigquery_dataset_iam_member", "google_project_iam_member.monitoring")
        for name in ("unfinished_runs", "unrecorded_signatures")
    ),
    *(
        (f"module.function[0].{grant}", "module.function[0].time_sleep.grants", FUNCTION)
        for grant in (
            "google_artifact_registry_repository_iam_member.build_push",
            "google_project_iam_member.build_log",
            "google_project_iam_member.build_read_source",
            "google_service_account_iam_member.deploy",
        )
    ),
    ("google_service_account_iam_member.deploy", FUNCTION),
    ("google_project_service.this", f"{AUDIT_TRAIL}google_project_service.audit"),
    (
        f"{AUDIT_TRAIL}google_kms_crypto_key_iam_member",
        f"{AUDIT_TRAIL}time_sleep.encryption",
        f"{AUDIT_TRAIL}google_logging_project",
    ),
    (AUDIT_TRAIL, "module.key.google_kms_crypto_key_iam_member", FUNCTION),
    (
        "google_kms_crypto_key_iam_member.use",
        "time_sleep.encryption",
        "module.function[0].google_storage_bucket.source",
    ),
)
SOON: Final = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
WITHOUT_CA: Final = {
    "ca_administrator_until": SOON,
    "signers": {name: {**signer, "ca_certificate": None} for name, signer in SIGNERS.items()},
}
SECOND: Final = {
    "clusters": {"edge": CLUSTERS["site"]},
    "key_ring": "edge-signer",
    "name": "edge-signer",
    "audit": AUDIT | {"link_key_project": False},
    "signers": {"edge-calico": SIGNERS["site-calico"] | {"cluster": "edge"}},
}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Terraform, and a Google that each test starts with."""
    with initialised(tmp_path_factory) as workspace:
        yield Deployment(workspace=workspace)


@pytest.fixture(scope="module")
def installed(deployment: Deployment) -> Run:
    """A first apply, with all that has to wait."""
    deployment.empty()
    run = deployment.apply(LOG_BUCKET_KEY | {"deployer": "user:b@example.com", "encryption_key": KEY})
    assert run.errors == []
    return run


def change(deployment: Deployment, variables: Variables) -> Run:
    """Applies a change. It succeeds, the next plan is empty, and nothing becomes unreadable meanwhile."""
    run = deployment.apply(variables)
    assert run.errors == []
    deployment.assert_unchanged(variables)
    assert deployment.projects["unreadable"] == []
    return run


def assert_order(run: Run, *steps: tuple[str, str]) -> None:
    """All resources of a step (an action, and the beginning of addresses) are complete before the next one starts."""
    for step, following in itertools.pairwise(steps):
        assert run.span(*step)[1] < run.span(*following)[0], (step, following)


def forgotten(page: str, heading: str) -> list[str]:
    """Returns the addresses that the first `terraform state rm` below a heading lets the state forget."""
    section = (DOCS / page).read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    command: str = re.findall(r"terraform state rm (?:.*\\\n)*.*", section)[0]
    return re.findall(r"module\.signer\.([^\s']+)", command)


@pytest.mark.parametrize("code", [AT_SOURCE, FROM_IMAGE], ids=["source", "image"])
def test_an_encryption_key_can_be_set_changed_and_removed(deployment: Deployment, code: Variables) -> None:
    """A right on a key comes before what uses the key, and goes after it; content is encrypted with the new key."""
    deployment.begin(code | {"encryption_key": KEY})
    for key in (ANOTHER_KEY, None, KEY):
        change(deployment, code | {"encryption_key": key})
        rights = [
            name for name in deployment.projects["objects"] if " roles/cloudkms.cryptoKeyEncrypterDecrypter " in name
        ]
        assert {right.partition(" ")[0] for right in rights} == ({key} if key else set())


def test_two_applies_install_and_a_third_changes_nothing(deployment: Deployment) -> None:
    """The first makes the keys and lets the CA administrator sign; the second deploys, and takes that right away.

    Terraform reads the zip's data source at plan: a plan that deferred it would print all files of the function.
    """
    deployment.begin(WITHOUT_CA)
    administrator = "user:ca-administrator@example.com"
    assert any(administrator in name for name in deployment.projects["objects"])
    run = change(deployment, AT_SOURCE)
    assert run.planned[FUNCTION] == "create"
    assert run.deferred == []
    assert not any(administrator in name for name in deployment.projects["objects"])


def test_a_new_function_gets_its_callers_back(deployment: Deployment) -> None:
    """A new Cloud Run service of the same name lacks the grants of the old one, so Terraform makes them again."""
    deployment.begin(AT_SOURCE)
    before = deployment.projects["objects"].keys()
    assert deployment.apply(AT_SOURCE, f"-replace={FUNCTION}").errors == []
    assert deployment.projects["objects"].keys() == before


def test_a_build_waits_for_its_rights_on_a_new_repository(deployment: Deployment) -> None:
    """With a key, the function gets a new repository of the same name; rights take effect after a delay."""
    deployment.begin(AT_SOURCE)
    run = change(deployment, {"encryption_key": KEY})
    assert_order(
        run,
        ("create", f'google_kms_crypto_key_iam_member.use_encryption_key["{KEY} example-signer artifactregistry"]'),
        ("create", "time_sleep.encryption"),
        ("create", "module.function[0].google_artifact_registry_repository.images"),
        ("create", "module.function[0].google_artifact_registry_repository_iam_member.build_push"),
        ("create", "module.function[0].time_sleep.grants"),
        ("update", FUNCTION),
    )


@pytest.mark.parametrize("chain", WAITS, ids=lambda chain: chain[-1])
def test_what_takes_effect_late_comes_early(installed: Run, chain: tuple[str, ...]) -> None:
    """A grant needs a minute, and Cloud Monitoring learns of a new metric up to ten minutes late."""
    assert_order(installed, *(("create", prefix) for prefix in chain))


def test_a_plan_that_enables_an_api_keeps_the_rights_on_keys(deployment: Deployment) -> None:
    """Terraform does not know the service agents meanwhile, and would replace the grants."""
    variables = LOG_BUCKET_KEY | {"encryption_key": KEY}
    deployment.begin(variables)
    gke = {"location": "europe-west1", "name": "next", "project": "next-clusters"}
    run = change(deployment, variables | {"clusters": CLUSTERS | {"next": CLUSTERS["prod"] | {"gke": gke}}})
    assert not any("crypto_key_iam_member" in address for address in run.planned)


def test_terraform_refuses_to_take_the_key_from_the_log_bucket(deployment: Deployment) -> None:
    """Google removes no key from a log bucket. The plan fails, and says what to do."""
    deployment.begin(LOG_BUCKET_KEY)
    (error,) = deployment.plan({}).errors
    assert "module.audit[0].google_kms_crypto_key_iam_member.encrypt[0] has lifecycle.prevent_destroy set" in error
    assert "# A log bucket keeps its key: set audit.encryption_key to it, docs/upgrade.md." in error


def test_destroying_a_second_deployment_takes_nothing_from_the_first(deployment: Deployment) -> None:
    """Terraform refuses until the page's `terraform state rm`; after it, the first one's next plan is empty."""
    encrypted = {"encryption_key": KEY}
    deployment.begin(encrypted)
    second = Deployment(workspace=deployment.workspace, name="second")
    change(second, SECOND | encrypted)
    *others, audit_log, monitoring, rights, place = forgotten("install.md", "Uninstall")
    second.forget(*others, rights, place)
    refused = " ".join(second.plan(SECOND | encrypted, "-destroy").errors)
    assert f"{audit_log} has lifecycle.prevent_destroy" in refused
    assert f"{monitoring} has lifecycle.prevent_destroy" in refused
    second.forget(audit_log, monitoring)
    assert second.apply(SECOND | encrypted, "-destroy").errors == []
    deployment.assert_unchanged(encrypted)
    assert deployment.projects["unreadable"] == []


@pytest.mark.parametrize("code", [AT_SOURCE, FROM_IMAGE], ids=["source", "image"])
def test_a_function_moves_to_another_region_while_the_old_one_serves(deployment: Deployment, code: Variables) -> None:
    """After the `terraform state rm` of docs/recovery.md, the apply makes new ones, and leaves the old ones alone."""
    code = code | {"encryption_key": KEY}
    deployment.begin(code)
    before = deployment.projects["objects"].keys()
    deployment.forget(*forgotten("recovery.md", "The function's region is gone"))
    change(deployment, code | IN_ANOTHER_REGION | {"encryption_key": KEY.replace("west1", "west4")})
    after = deployment.projects["objects"].keys()
    assert {name for name in before - after if "gcf-v2-sources" not in name} == set()
    assert {"europe-west1", "europe-west4"} <= {
        name.split("/")[3] for name in after if name.endswith("services/csr-signer")
    }


def test_a_signer_keeps_its_right_on_the_old_key_until_the_function_has_the_new_one(deployment: Deployment) -> None:
    """With `signs`, only the apply after the deployment takes the right away: a build that fails leaves it."""
    deployment.begin(AT_SOURCE)
    right = 'module.key.google_kms_crypto_key_iam_member.sign["prod-calico serviceAccount:'
    run = change(deployment, RENAMED | {"retired_signers": {"prod-calico": {"signs": True}}})
    assert run.planned[FUNCTION] == "update"
    assert not any(address.startswith(right) for address in run.planned)
    run = change(deployment, RENAMED)
    assert [action for address, action in run.planned.items() if address.startswith(right)] == ["delete"]


@pytest.mark.parametrize("writes", [4, 12])
def test_a_failed_change_can_be_taken_back(deployment: Deployment, writes: int) -> None:
    """Wherever the change of an encryption key stopped, the old values give the old deployment."""
    before = {"encryption_key": KEY}
    deployment.begin(before)
    complete = deployment.projects["objects"].keys()
    assert deployment.apply({"encryption_key": ANOTHER_KEY}, max_writes=writes).errors
    change(deployment, before)
    assert deployment.projects["objects"].keys() == complete


def test_a_repaired_sink_keeps_its_right_to_write(deployment: Deployment) -> None:
    """A sink that an attacker deleted comes back, and with it the records."""
    deployment.begin(AT_SOURCE)
    complete = deployment.projects["objects"].keys()
    deployment.delete("projects/example-keys/sinks/csr-signer-kms")
    change(deployment, AT_SOURCE)
    assert deployment.projects["objects"].keys() == complete


def test_an_interrupted_apply_can_be_repeated(deployment: Deployment) -> None:
    """The next apply completes it, and leaves nothing behind. No right to sign came before its audit trail."""
    variables = A_THIRD_CLUSTER | LOG_BUCKET_KEY | {"deployer": "user:b@example.com", "encryption_key": KEY}
    deployment.begin(variables)
    complete = deployment.projects["objects"]
    trail = {name for name, each in complete.items() if re.match("google_(logging|monitoring)|.*_audit_", each["kind"])}
    for writes in (15, 40, 75, 110):
        deployment.empty()
        assert deployment.apply(variables, max_writes=writes).errors
        begun = deployment.projects["objects"].keys()
        assert trail <= begun or not any(" roles/cloudkms.signer " in name for name in begun)
        assert deployment.apply(variables).errors == []
        assert deployment.projects["objects"].keys() == complete.keys()
    deployment.assert_unchanged(variables)


def _signer(**values: object) -> Variables:
    return {"signers": {**SIGNERS, "prod-calico": SIGNERS["prod-calico"] | values}}


def _cluster(**values: object) -> Variables:
    return {"clusters": {**CLUSTERS, "prod": CLUSTERS["prod"] | values}}


ONE_CLUSTER: Final = {
    "clusters": {"prod": CLUSTERS["prod"]},
    "retired_signers": {"site-calico": {}},
    "signers": {"prod-calico": SIGNERS["prod-calico"]},
}
A_THIRD_CLUSTER: Final = {"clusters": {**CLUSTERS, "edge": CLUSTERS["site"] | {"audience": "https://example.com/edge"}}}
PROFILE: Final = {"postgresql.yaml": (INFRA / "examples" / "profiles" / "postgresql.yaml").read_text(encoding="utf-8")}
KEYS: Final = "projects/example-keys/locations/europe-west1/keyRings"

# The rows of docs/upgrade.md: by the first cell, what was applied before, and what one plan each changes.
ROWS: Final[Mapping[str, tuple[Variables, tuple[Variables, ...]]]] = {
    "`audit`: `notification_channels`, `retention_days`": (
        AT_SOURCE,
        ({"audit": AUDIT | {"notification_channels": ["projects/p/notificationChannels/2"], "retention_days": 500}},),
    ),
    "`audit`: `locked`": (AT_SOURCE, ({"audit": AUDIT | {"locked": True}},)),
    "`audit`: a first `encryption_key`": (AT_SOURCE, (LOG_BUCKET_KEY,)),
    "`audit`: another `encryption_key`, `location` or `project`; or `audit = null`": (
        LOG_BUCKET_KEY,
        (
            {"audit": AUDIT | {"encryption_key": ANOTHER_KEY}},
            {"audit": AUDIT | {"encryption_key": KEY.replace("west1", "west4"), "location": "europe-west4"}},
            {"audit": {"encryption_key": KEY, "project": "another-audit"}},
            {"audit": None},
        ),
    ),
    "`build_environment`, `callers`, `labels`, `max_instances`, `min_instances`, `network`, `worker_pool`": (
        AT_SOURCE,
        (
            {
                "build_environment": {"PIP_INDEX_URL": "https://pypi.example.com/simple/"},
                "callers": "perimeter",
                "labels": {"team": "platform"},
                "max_instances": 5,
                "min_instances": 1,
                "network": {"network": "main", "subnetwork": "functions"},
                "worker_pool": "projects/example-signer/locations/europe-west1/workerPools/private",
            },
        ),
    ),
    "`ca_administrator`, `ca_administrator_until`, `deployer`": (
        AT_SOURCE,
        ({"ca_administrator": "user:b@example.com", "ca_administrator_until": SOON, "deployer": "user:b@example.com"},),
    ),
    "`clusters`: one more whose signers have no CA certificate yet": (AT_SOURCE, (A_THIRD_CLUSTER,)),
    "`clusters`: one more with a CA certificate": (ONE_CLUSTER, (AT_SOURCE,)),
    "`clusters`: one less": (AT_SOURCE, (ONE_CLUSTER,)),
    "`clusters`: another name": (
        AT_SOURCE,
        (
            {
                "clusters": {"next": CLUSTERS["prod"], "site": CLUSTERS["site"]},
                "signers": _signer(cluster="next")["signers"],
            },
        ),
    ),
    "`clusters`: `access`, `address_ranges`, `audience`, `certificate_authority`, `cluster_domain`, `credential_id`, "
    "`fleet_project`, `server`, `shared_trust_domain`": (
        AT_SOURCE,
        (
            _cluster(
                address_ranges=["10.0.0.0/8"],
                cluster_domain="prod.local",
                credential_id="waived",
                server="https://gke-0123456789abcdef-210987654321.europe-west4.gke.goog",
                shared_trust_domain=True,
            ),
            _cluster(
                access="connect-gateway",
                fleet_project="example-fleet",
                server="https://connectgateway.googleapis.com/v1/projects/210987654321/locations/global/gkeMemberships/prod",
            ),
            {
                "clusters": CLUSTERS
                | {"site": CLUSTERS["site"] | {"audience": "https://csr-signer.example.com/another"}}
            },
        ),
    ),
    "`clusters`: `gke`, `oidc`": (
        AT_SOURCE,
        (_cluster(gke={"location": "europe-west1", "name": "prod", "project": "another-clusters"}),),
    ),
    "`clusters`: `exporter_network`, `exporter_service_account`; `exporter_namespace`": (
        AT_SOURCE,
        (_cluster(exporter_network="pod", exporter_service_account="exporter") | {"exporter_namespace": "signer"},),
    ),
    "`encryption_key`": ({"encryption_key": KEY}, ({"encryption_key": ANOTHER_KEY}, {})),
    "`image`: another digest; `binary_authorization_policy`": (
        FROM_IMAGE,
        ({"binary_authorization_policy": "default", "image": IMAGE.replace("00", "11")},),
    ),
    "`image`: a first one, or none": (AT_SOURCE, (FROM_IMAGE,)),
    "`key_location`, `key_project`, `key_ring`": (
        AT_SOURCE,
        ({"key_location": "europe-west4"}, {"key_project": "another-keys"}, {"key_ring": "another"}),
    ),
    "`location`, `project`": (AT_SOURCE, (IN_ANOTHER_REGION, {"project": "another-project"})),
    "`name`": (AT_SOURCE, ({"name": "another-signer"},)),
    "`profiles`": (AT_SOURCE, ({"profiles": PROFILE},)),
    "`signers`: `approve`, `ca_certificate`, `deferral_limit`, `lifetime`, `profile`, `signer_name`, `trust_bundle`": (
        AT_SOURCE,
        (
            _signer(
                approve=False,
                deferral_limit="4m",
                lifetime="90d",
                profile={"name": "calico", "release": "3.32"},
                signer_name="example.com/next",
                trust_bundle=SIGNERS["site-calico"]["ca_certificate"],
            ),
            _signer(ca_certificate=None),
        ),
    ),
    "`signers`: `key_version`, of the signer's own key": (
        AT_SOURCE,
        (_signer(key_version=f"{KEYS}/csr-signer/cryptoKeys/prod-calico/cryptoKeyVersions/2"),),
    ),
    "`signers`: `key_version`, of another key; `protection_level`": (
        AT_SOURCE,
        (
            _signer(key_version=f"{KEYS}/another/cryptoKeys/prod/cryptoKeyVersions/1"),
            _signer(protection_level="SOFTWARE"),
        ),
    ),
    "`signers`: `key_algorithm`": (AT_SOURCE, (_signer(key_algorithm="RSA_SIGN_PKCS1_3072_SHA256"),)),
    "`signers`: another name; the old one to `retired_signers`": (AT_SOURCE, (RENAMED,)),
    "`retired_signers`: one less": (RENAMED, (RENAMED | {"retired_signers": {}},)),
}
VERDICTS: Final = {
    (): "Leaves the function as it is",
    ("update",): "Deploys a new revision",
    ("replace",): "Replaces the function",
    ("create", "delete"): "Replaces the function",
}


def documented() -> dict[str, str]:
    """Returns the second cell of each row by the first one."""
    section = (DOCS / "upgrade.md").read_text(encoding="utf-8").partition("\n## What you may change later\n")[2]
    return dict(re.findall(r"^\| (`[^|]*) \| ([^|]*) \|", section.partition("\n## ")[0], re.MULTILINE))


def test_the_page_has_a_row_for_each_variable() -> None:
    """No variable is missing, and none is gone."""
    assert documented().keys() == ROWS.keys()
    named = {name for row in ROWS for part in re.split("[;:]", row) for name in re.findall(r"`(\w+)`", part)}
    variables = {block.labels[0] for block in files.blocks(INFRA) if block.kind == "variable"}
    assert variables <= named


@pytest.mark.parametrize("row", ROWS)
def test_a_later_change_does_what_the_page_says(deployment: Deployment, row: str) -> None:
    """The plan leaves the function as it is, deploys a revision, replaces the function, or is refused."""
    before, changes = ROWS[row]
    deployment.begin(before)
    for variables in changes:
        run = deployment.plan(variables, "-refresh=false")
        kinds = ("google_cloudfunctions2_function", "google_cloud_run_v2_service")
        actions = sorted(action for address, action in run.planned.items() if address.split(".")[-2] in kinds)
        refused = [error for error in run.errors if error.startswith("Instance cannot be destroyed")]
        assert refused == run.errors
        assert documented()[row].startswith("Refuses" if refused else VERDICTS[tuple(actions)]), (variables, actions)
