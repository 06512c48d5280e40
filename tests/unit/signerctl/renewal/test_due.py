"""Which pods are due, and how many of a DaemonSet may be unavailable; tests/renewal runs the command on a cluster."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import pytest

from signerctl.interface.program import CommandError
from signerctl.recorded import Certificate
from signerctl.renewal.disruption import max_unavailable, obstacle
from signerctl.renewal.pods import Pod, has_certificate
from signerctl.renewal.requesters import Requesters, from_configuration
from signerctl.renewal.validity import Validity, holders, recorded
from tests.unit.signerctl.outputs import Document, outputs
from tests.unit.signerctl.renewal.cluster import NOW, SIGNER, csr_of, owner, pod_object
from tests.unit.signerctl.stage import signerctl

YEAR = timedelta(days=365)
CALICO = Requesters(signer_name=SIGNER, lifetime=YEAR, accounts=("calico-system/calico-node",))
HOURLY = Requesters(signer_name="example.com/short", lifetime=timedelta(hours=1), accounts=CALICO.accounts)


def pod(name: str = "calico-node-1", **changes: Any) -> Pod:
    """A pod of calico-node, as renewal reads it."""
    return Pod.from_api(pod_object(name, **changes))


@pytest.mark.parametrize(
    ("age", "remaining", "due"),
    [
        pytest.param(timedelta(0), "1/3", False, id="new"),
        pytest.param(YEAR * 2 / 3, "1/3", False, id="exactly a third is left"),
        pytest.param(YEAR * 2 / 3 + timedelta(seconds=1), "1/3", True, id="a second less than a third"),
        pytest.param(timedelta(days=328), "1/10", False, id="37 days, and a tenth is 36.5"),
        pytest.param(timedelta(days=329), "0.1", True, id="36 days"),
        pytest.param(timedelta(days=400), "1/3", True, id="ended"),
        pytest.param(timedelta(days=-1), "1/3", False, id="the clock is behind"),
    ],
)
def test_a_pod_is_due_if_less_than_the_part_is_left(age: timedelta, remaining: str, *, due: bool) -> None:
    """Without records, the certificate is as old as the pod, because Calico's client asks when the pod starts."""
    (holder,) = holders([pod(age=age)], [CALICO], {}, now=NOW, remaining=Fraction(remaining))
    assert holder.due is due


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"spec__serviceAccountName": "another"}, id="another service account"),
        pytest.param({"metadata__ownerReferences": []}, id="no owner, so no pod would replace it"),
        pytest.param({"metadata__ownerReferences": [owner(controller=False)]}, id="an owner that is no controller"),
        pytest.param({"metadata__ownerReferences": [owner("Node", "node-1")]}, id="a static pod"),
        pytest.param({"metadata__ownerReferences": [owner("Job", "job")]}, id="a job"),
        pytest.param({"metadata__deletionTimestamp": "2026-11-01T00:00:00Z"}, id="already being deleted"),
        pytest.param({"status__phase": "Succeeded"}, id="ended"),
        pytest.param({"spec__nodeSelector": {"kubernetes.io/os": "windows"}}, id="Windows, by its selector"),
        pytest.param({"spec__os": {"name": "windows"}}, id="Windows, by its spec"),
    ],
)
def test_other_pods_are_never_due(other: dict[str, Any]) -> None:
    """The eviction of such a pod would renew nothing, or stop a pod for good."""
    assert not holders([pod(age=YEAR, **other)], [CALICO], {}, now=NOW, remaining=Fraction(1, 3))


@pytest.mark.parametrize("start", ["1970-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "x", None])
def test_attack_a_forged_start_time_changes_nothing(start: str | None) -> None:
    """Calico's service accounts may write every pod's status, so only the pod's creation counts."""
    age = timedelta(days=100)
    forged = holders([pod(age=age, status__startTime=start)], [CALICO], {}, now=NOW, remaining=Fraction(1, 3))
    honest = holders([pod(age=age)], [CALICO], {}, now=NOW, remaining=Fraction(1, 3))
    assert [each.validity for each in forged] == [each.validity for each in honest]


def test_attack_a_record_makes_no_other_pod_due() -> None:
    """A record of another service, or a forged one, names any pod; only pods of the requesters are replaced."""
    other = pod(spec__serviceAccountName="another")
    ended = Validity(start=NOW - 2 * YEAR, end=NOW - YEAR, recorded=True)
    assert not holders([other], [CALICO], {other.uid: ended}, now=NOW, remaining=Fraction(1, 3))


def test_with_two_signers_the_shorter_lifetime_counts() -> None:
    """A pod may hold certificates of both."""
    (holder,) = holders([pod()], [CALICO, HOURLY], {}, now=NOW, remaining=Fraction(1, 3))
    assert holder.validity.end == NOW + timedelta(hours=1)


def test_the_certificate_that_ends_first_comes_first() -> None:
    """So an interrupted run has renewed the most urgent pods."""
    pods = [pod("b", age=timedelta(days=1)), pod("c", age=timedelta(days=9)), pod("a", age=timedelta(days=1))]
    found = holders(pods, [CALICO], {}, now=NOW, remaining=Fraction(1, 3))
    assert [each.pod.name for each in found] == ["c", "a", "b"]


def certificate(uid: str, end: datetime, component: str = "calico-node") -> Certificate:
    """A recorded certificate."""
    values = dict.fromkeys((each.name for each in dataclasses.fields(Certificate)), "any")
    times = {"not_before": end - YEAR, "not_after": end, "issued": NOW, "signer_name": SIGNER}
    return Certificate(**cast("Any", values | {"pod_uid": uid, "component": component} | times))


def test_the_newest_record_of_each_component_counts_and_the_first_end() -> None:
    """A pod asks again after a reboot; a pod with two certificates is due when the first of them is."""
    early, late, later = NOW, NOW + timedelta(days=9), NOW + timedelta(days=99)
    found = recorded(
        [
            certificate("a", early),
            certificate("a", later),
            certificate("a", late, "prometheus"),
            certificate("b", early),
        ]
    )
    assert found == {
        "a": Validity(start=late - YEAR, end=late, recorded=True),
        "b": Validity(start=early - YEAR, end=early, recorded=True),
    }


@pytest.mark.parametrize(
    ("strategy", "desired", "expected"),
    [
        pytest.param({}, 28, 1, id="the API server's default"),
        pytest.param({"type": "OnDelete"}, 28, 1, id="OnDelete has no limit"),
        pytest.param({"rollingUpdate": {"maxUnavailable": 3}}, 28, 3, id="a number"),
        pytest.param({"rollingUpdate": {"maxUnavailable": "10%"}}, 28, 3, id="2.8, rounded up"),
        pytest.param({"rollingUpdate": {"maxUnavailable": "10%"}}, 30, 3, id="exactly 3"),
        pytest.param({"rollingUpdate": {"maxUnavailable": "1%"}}, 28, 1, id="0.28, rounded up"),
        pytest.param({"rollingUpdate": {"maxUnavailable": "100%"}}, 28, 28, id="all"),
        pytest.param({"rollingUpdate": {"maxUnavailable": "10%"}}, 0, 1, id="no node"),
        pytest.param({"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}, 28, 0, id="surge"),
        pytest.param({"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "10%"}}, 28, 0, id="surge as a percentage"),
        pytest.param({"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 0}}, 28, 1, id="impossible, so the default"),
    ],
)
def test_max_unavailable_is_as_the_controller_computes_it(
    strategy: dict[str, Any], desired: int, expected: int
) -> None:
    """Kubernetes: pkg/controller/daemon/util/daemonset_util.go and update.go."""
    daemon_set = {"spec": {"updateStrategy": strategy}, "status": {"desiredNumberScheduled": desired}}
    assert max_unavailable(daemon_set) == expected


def test_a_daemon_set_with_surge_is_never_evicted() -> None:
    """An eviction cannot create the new pod first; the message names the command that can."""
    strategy = {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    daemon_set = {"spec": {"updateStrategy": strategy}, "status": {"desiredNumberScheduled": 3}}
    found = obstacle(pod(), [pod()], daemon_set)
    assert found is not None
    assert "kubectl rollout restart" in found.why
    assert not found.lacks_pods, "nothing is wrong with the pods, so others may be evicted"
    assert not obstacle(pod(ready=False), [pod()], daemon_set)


@pytest.mark.parametrize(
    ("statuses", "complete"),
    [
        ([], False),
        ([{}], False),
        ([{"certificate": "LS0t"}], True),
        ([{"certificate": "LS0t"}, {}], False),
        ([{"certificate": "LS0t"}, {"conditions": [{"type": "Denied"}]}], True),
        ([{"conditions": [{"type": "Denied"}]}], False),
    ],
    ids=["no CSR", "it waits", "issued", "one of two waits", "an earlier one was denied", "only denied"],
)
def test_a_pod_has_its_certificate_if_no_csr_of_it_waits(statuses: list[dict[str, Any]], *, complete: bool) -> None:
    """A pod may have several certificates; other pods' CSRs do not count."""
    csrs = [csr_of("calico-node-1", **status) for status in statuses]
    others: list[dict[str, Any]] = [csr_of("another", certificate="LS0t"), {"spec": {}}]
    assert has_certificate(pod(), [*csrs, *others]) is complete


@pytest.mark.parametrize(
    ("own", "expected"), [(None, "30d"), ("20d", "20d"), ("60d", "30d")], ids=["the profile's", "shorter", "longer"]
)
def test_the_configuration_document_gives_the_arguments_of_the_cron_job(
    tmp_path: Path, own: str | None, expected: str
) -> None:
    """The lifetime is that of a request without expirationSeconds, as in the function's decision."""

    def change(values: Document) -> None:
        (signer,) = (each for each in values["document"]["signers"] if each["cluster"] == "databases")
        signer["lifetime"] = own

    documents = outputs(change)["documents"]["value"]
    for name, text in documents.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (found,) = from_configuration(tmp_path / "configuration.yaml", "databases")
    assert found.arguments == ("csr-signer.example.com/postgresql", expected, "databases/postgres")


def test_the_only_cluster_needs_no_name(tmp_path: Path) -> None:
    """With several, the error lists them."""

    def only_databases(values: Document) -> None:
        document = values["document"]
        document["clusters"] = {"databases": document["clusters"]["databases"]}
        document["signers"] = [each for each in document["signers"] if each["cluster"] == "databases"]

    several = tmp_path / "several"
    several.mkdir()
    for folder, change in ((tmp_path, only_databases), (several, lambda _: None)):
        for name, text in outputs(change)["documents"]["value"].items():
            (folder / name).write_text(text, encoding="utf-8")
    (found,) = from_configuration(tmp_path / "configuration.yaml", None)
    assert found.accounts == ("databases/postgres",)
    with pytest.raises(CommandError, match=r'^--cluster: Required value: .* has \["databases", "demo"\]'):
        from_configuration(several / "configuration.yaml", None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--configuration: Required value: or give --requesters"),
        (["--cluster", "demo"], "--cluster: Forbidden: without --configuration"),
        (
            ["--requesters", "example.com/a", "365d", "a"],
            '--requesters: Invalid value: "a": must be NAMESPACE/SERVICE_ACCOUNT',
        ),
        (
            ["--requesters", "example.com/a", "1y", "a/b"],
            '--requesters: Invalid value: "1y": must be a whole number with a unit',
        ),
        (["--requesters", "kubernetes.io/a", "365d", "a/b"], "--requesters: Invalid value"),
        (["--remaining", "1"], '--remaining: Invalid value: "1": must be a part of the lifetime'),
        (["--remaining", "a third"], "--remaining: Invalid value"),
        (["--remaining", "1/0"], "--remaining: Invalid value"),
        (["--timeout", "2h"], '--timeout: Invalid value: "2h": must be less than 60m'),
        (["--timeout", "0s"], '--timeout: Invalid value: "0s": must be a whole number with a unit'),
    ],
)
def test_a_wrong_command_line_is_refused_before_any_request(arguments: list[str], message: str) -> None:
    """With exit code 2, and the option's name."""
    result = signerctl("renew", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
