"""`signerctl key-pairs` on a real API server with guards, the real function, and exactly the CronJob's rights."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.api import CSRS, NAMESPACES, Api, ApiError
from sandbox.calico import installation
from sandbox.calico.components import CALICO_SYSTEM
from tests.key_pairs.cluster import SECRETS, verifies

if TYPE_CHECKING:
    from pathlib import Path

    from tests.key_pairs.cluster import Cluster

pytestmark = [pytest.mark.real, pytest.mark.slow]


def items(output: str) -> dict[str, Any]:
    """The list's items by component."""
    return {each["component"]: each for each in json.loads(output)["items"]}


def test_every_volume_gets_its_key_pair(cluster: Cluster, tmp_path: Path) -> None:
    """The Secrets are where the operator looks; openssl accepts each chain for exactly its uses, and the keys fit."""
    before = items(cluster.run("--dry-run", "-o", "json").stdout)
    states = {name: each["state"] for name, each in before.items()}
    assert states == {
        "goldmane": "missing",
        "whisker": "missing",
        "whisker-backend": "missing",
        "guardian": "absent",
        "calico-webhooks": "absent",
    }
    done = cluster.run("-o", "json")
    assert done.exit_code == 0, done.stderr
    after = {name: each["state"] for name, each in items(done.stdout).items()}
    assert after == {name: state.replace("missing", "valid") for name, state in states.items()}
    anchor = cluster.deployment.certificate_authority
    for name in SECRETS:
        certificate, key = cluster.files(name, tmp_path)
        assert verifies(certificate, anchor, "sslserver")
        assert verifies(certificate, anchor, "sslclient") == (name == "whisker-backend-key-pair")
        asks = (("x509", "-in", certificate, "-pubkey", "-noout"), ("pkey", "-in", key, "-pubout"))
        one, other = (subprocess.run(["openssl", *ask], capture_output=True, check=True).stdout for ask in asks)
        assert one == other
    csr = cluster.api.get(f"{CSRS}/goldmane-key-pair:goldmane-1")
    assert csr["spec"]["username"] == "system:serviceaccount:calico-system:goldmane"


def test_the_secrets_of_a_pod_are_written_after_all_its_certificates(cluster: Cluster) -> None:
    """The operator replaces Whisker when it has the first Secret, and the pod's tokens end with it."""
    assert cluster.run("whisker", "whisker-backend").exit_code == 0
    names = ("whisker-key-pair", "whisker-backend-key-pair")
    csrs, secrets = (
        [int(each["metadata"]["resourceVersion"]) for each in found]
        for found in (
            [cluster.api.get(f"{CSRS}/{name}:whisker-1") for name in names],
            [cluster.secret(name) for name in names],
        )
    )
    assert max(csrs) < min(secrets)


def test_a_second_run_changes_nothing(cluster: Cluster) -> None:
    """The key pairs are valid."""
    assert cluster.run().exit_code == 0
    before = {name: cluster.secret(name)["metadata"]["resourceVersion"] for name in SECRETS}
    assert cluster.run().exit_code == 0
    assert before == {name: cluster.secret(name)["metadata"]["resourceVersion"] for name in SECRETS}


def test_a_renewal_replaces_the_key(cluster: Cluster) -> None:
    """The CSR of the earlier run has the same name, so the run deletes it first."""
    assert cluster.run("goldmane").exit_code == 0
    before = cluster.secret("goldmane-key-pair")["data"]
    done = cluster.run("goldmane", "--remaining", "999999999/1000000000")
    assert done.exit_code == 0, done.stderr
    after = cluster.secret("goldmane-key-pair")["data"]
    assert before["tls.key"] != after["tls.key"]


def test_a_secret_of_another_owner_stays(cluster: Cluster) -> None:
    """Only --replace takes it over; but the policy does not let the CronJob do that."""
    path = f"{NAMESPACES}/{CALICO_SYSTEM}/secrets"
    cluster.api.post(path, {"metadata": {"name": "whisker-key-pair"}, "data": {"tls.crt": "", "tls.key": ""}})
    done = cluster.run("-o", "json")
    assert done.exit_code == 0, done.stderr
    found = items(done.stdout)
    assert found["whisker"]["state"] == "foreign"
    assert found["whisker-backend"]["state"] == "valid"
    assert cluster.run("whisker").exit_code == 1
    replaced = cluster.run("whisker", "--replace", "calico-system/whisker-key-pair")
    assert "may write only Secrets with the annotation" in replaced.stderr
    assert cluster.secret("whisker-key-pair")["data"] == {"tls.crt": "", "tls.key": ""}


@pytest.mark.parametrize("name", ["another", "calico-node"])
def test_the_cron_job_may_create_no_other_secret(cluster: Cluster, name: str) -> None:
    """RBAC cannot limit the names of new objects; the policy can."""
    api = Api.from_kubeconfig(cluster.kubeconfig)
    body = {"metadata": {"name": name, "annotations": {"kms-csr-signer/key-pair-of": "any"}}, "data": {}}
    with pytest.raises(ApiError, match="may write only the key pairs of the profile"):
        api.post(f"{NAMESPACES}/{CALICO_SYSTEM}/secrets", body)


RIGHTS = {
    "pods": ("calico-system", "kms-csr-signer:key-pairs-pods", "pods", "list"),
    "token": ("calico-system", "kms-csr-signer:key-pairs-pods", "serviceaccounts/token", "create"),
    "read a Secret": ("tigera-operator", "kms-csr-signer:key-pairs-secrets", "secrets", "get"),
    "create a Secret": ("tigera-operator", "kms-csr-signer:key-pairs-secrets", "secrets", "create"),
    "file a CSR": ("", "kms-csr-signer:key-pairs", "certificatesigningrequests", "create"),
    "read the Installation": ("", "kms-csr-signer:key-pairs-trust", "installations", "get"),
    "read a CSR": ("", "kms-csr-signer:key-pairs-trust", "certificatesigningrequests", "get"),
    "delete a CSR": ("", "kms-csr-signer:key-pairs", "certificatesigningrequests", "delete"),
}


@pytest.mark.parametrize("right", RIGHTS.values(), ids=RIGHTS)
def test_each_right_is_needed(cluster: Cluster, right: tuple[str, str, str, str]) -> None:
    """Without one of them, Goldmane gets no key pair, and the error says 403."""
    with cluster.without(*right):
        done = cluster.run("goldmane", "--timeout", "2s")
    assert done.exit_code == 1
    assert "403" in done.stderr or "may not file its CSR" in done.stderr
    with pytest.raises(ApiError, match="404"):
        cluster.secret("goldmane-key-pair")


def test_a_renewal_needs_the_right_to_update(cluster: Cluster) -> None:
    """It replaces its own Secret, by name."""
    assert cluster.run("goldmane").exit_code == 0
    with cluster.without("tigera-operator", "kms-csr-signer:key-pairs-secrets", "secrets", "update"):
        done = cluster.run("goldmane", "--remaining", "999999999/1000000000")
    assert done.exit_code == 1
    assert "403" in done.stderr


OPERATORS = f"{NAMESPACES}/tigera-operator/secrets"


def stolen(annotations: dict[str, str], labels: dict[str, str], **more: object) -> dict[str, Any]:
    """Returns Goldmane's Secret as a thief of the CronJob's token would create it."""
    metadata = {"name": "goldmane-key-pair", "annotations": {"kms-csr-signer/key-pair-of": "any", **annotations}}
    data = {"tls.crt": "eA==", "tls.key": "eA=="}
    return {"metadata": {**metadata, "labels": labels}, "type": "kubernetes.io/tls", "data": data, **more}


STOLEN: dict[str, tuple[str, dict[str, Any], str]] = {
    "a Secret that gets an account's token": (
        OPERATORS,
        stolen(
            {"kubernetes.io/service-account.name": "tigera-operator"}, {}, type="kubernetes.io/service-account-token"
        ),
        "may write only Secrets of type kubernetes.io/tls",
    ),
    "another annotation": (OPERATORS, stolen({"another": "any"}, {}), "may add no other annotation"),
    "a label": (OPERATORS, stolen({}, {"another": "any"}), "and change no label, finalizer or owner"),
    "a frozen Secret": (OPERATORS, stolen({}, {}, immutable=True), "may not make a Secret immutable"),
    "a token without a pod": (
        f"{NAMESPACES}/{CALICO_SYSTEM}/serviceaccounts/goldmane/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}},
        "may get only tokens that are bound to a pod",
    ),
}


@pytest.mark.parametrize(("path", "body", "words"), STOLEN.values(), ids=STOLEN)
def test_attack_the_cron_jobs_token_is_worth_no_other_account(
    cluster: Cluster, path: str, body: dict[str, Any], words: str
) -> None:
    """RBAC alone would let its holder become every account in the Secrets' namespaces, for a year."""
    with pytest.raises(ApiError, match=words):
        Api.from_kubeconfig(cluster.kubeconfig).post(path, body)


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "frozen": ({"immutable": True}, "may not make a Secret immutable"),
    "labelled": ({"metadata": {"labels": {"any": "label"}}}, "and change no label, finalizer or owner"),
    "without its owner": ({"metadata": {"ownerReferences": []}}, "and change no label, finalizer or owner"),
}


@pytest.mark.parametrize(("change", "words"), CHANGES.values(), ids=CHANGES)
def test_attack_the_cron_jobs_token_spoils_no_secret(cluster: Cluster, change: dict[str, Any], words: str) -> None:
    """A renewal could not replace an immutable Secret, and labels and owners are the operator's."""
    assert cluster.run("goldmane").exit_code == 0
    path = f"{OPERATORS}/goldmane-key-pair"
    owner = {"apiVersion": "operator.tigera.io/v1", "kind": "Goldmane", "name": "default", "uid": "any"}
    present = cluster.api.patch(path, {"metadata": {"ownerReferences": [owner]}})
    metadata = {**present["metadata"], **change.get("metadata", {})}
    with pytest.raises(ApiError, match=words):
        Api.from_kubeconfig(cluster.kubeconfig).put(path, {**present, **change, "metadata": metadata})


@pytest.mark.parametrize("variant", ["TigeraSecureEnterprise", "CalicoEnterprise", "another"])
def test_attack_another_products_accounts_give_no_token(cluster: Cluster, variant: str, tmp_path: Path) -> None:
    """Calico Enterprise's Guardian may impersonate users: the command refuses before it makes a token or a Secret."""
    trust = ("--trust-bundle", str(cluster.deployment.certificate_authority))
    cluster.api.patch(installation.PATH, {"spec": {"variant": variant}})
    try:
        for more in ((), trust):
            done = cluster.run(*more)
            assert done.exit_code == 1
            assert f'spec.variant: Unsupported value: "{variant}": supported values: "Calico"' in done.stderr
    finally:
        cluster.api.patch(installation.PATH, {"spec": {"variant": "Calico"}})
    for name in SECRETS:
        with pytest.raises(ApiError, match="404"):
            cluster.secret(name)


def test_attack_a_token_that_is_valid_for_long(cluster: Cluster) -> None:
    """It would outlive the CronJob."""
    uid = cluster.api.get(f"{NAMESPACES}/{CALICO_SYSTEM}/pods/goldmane-1")["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "goldmane-1", "uid": uid}
    spec = {"boundObjectRef": reference, "expirationSeconds": 601}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    with pytest.raises(ApiError, match="may get only tokens that expire within 600 seconds"):
        Api.from_kubeconfig(cluster.kubeconfig).post(
            f"{NAMESPACES}/{CALICO_SYSTEM}/serviceaccounts/goldmane/token", body
        )


def test_attack_a_component_touches_no_other_signers_csr(cluster: Cluster) -> None:
    """Its account may file and delete CSRs only because of this signer."""
    world = cluster.deployment.world
    uid = cluster.api.get(f"{NAMESPACES}/{CALICO_SYSTEM}/pods/goldmane-1")["metadata"]["uid"]
    request = {"boundObjectRef": {"kind": "Pod", "name": "goldmane-1", "uid": uid}}
    path = f"{NAMESPACES}/{CALICO_SYSTEM}/serviceaccounts/goldmane/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": request}
    api = world.api.with_token(cluster.api.post(path, body)["status"]["token"])
    assert cluster.run("goldmane").exit_code == 0
    ours = cluster.api.get(f"{CSRS}/goldmane-key-pair:goldmane-1")
    spec = {key: ours["spec"][key] for key in ("request", "usages")}
    foreign = {"metadata": {"name": "foreign"}, "spec": {**spec, "signerName": "kubernetes.io/kube-apiserver-client"}}
    with pytest.raises(ApiError, match="may file and delete only CSRs of this signer"):
        api.post(CSRS, foreign)
    cluster.api.post(CSRS, foreign)
    with pytest.raises(ApiError, match="may file and delete only CSRs of this signer"):
        api.delete(f"{CSRS}/foreign")


def test_a_renewal_keeps_labels_and_owners(cluster: Cluster) -> None:
    """The operator may set them on a Secret in its components' namespace, and RBAC may forbid to remove them."""
    assert cluster.run("whisker").exit_code == 0
    path = f"{NAMESPACES}/{CALICO_SYSTEM}/secrets/whisker-key-pair"
    owner = {"apiVersion": "operator.tigera.io/v1", "kind": "Whisker", "name": "default", "uid": "any"}
    cluster.api.patch(path, {"metadata": {"labels": {"any": "label"}, "ownerReferences": [owner]}})
    done = cluster.run("whisker", "--remaining", "999999999/1000000000")
    assert done.exit_code == 0, done.stderr
    metadata = cluster.secret("whisker-key-pair")["metadata"]
    assert metadata["labels"] == {"any": "label"}
    assert metadata["ownerReferences"] == [owner]
