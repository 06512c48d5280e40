"""The rows of a release are what a real tigera operator rendered in that release.

`operator-rendered.json` is what master of August 2026 (commit 40788b9) rendered on kube-apiserver 1.37.2, for an
Installation with `certificateManagement`, and with the APIServer, Goldmane and Whisker resources. `clients` has the
environment of the init containers that ask for a certificate. `empty_volumes` are key pairs' volumes that no container
fills. `test_components` compares the rows of all releases with the operator's source.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from csr_signer.document import read
from csr_signer.policy.profile import SHIPPED, Component, NameRule, Profile, RequestName
from development import conformance
from development.conformance import ASKS, KEY_PAIR, WITHOUT, ConformanceRow

RENDERED: Final[dict[str, Any]] = json.loads(Path(__file__).with_name("operator-rendered.json").read_text("utf-8"))
RELEASE: Final[str] = RENDERED["release"]
NOT_RENDERED: Final = {
    "guardian": "there was no ManagementClusterConnection",
    "calico-webhooks": "CRDs did not replace the aggregated API server",
}
"""Components that were not installed, and why."""
PROFILE: Final = read(Profile, SHIPPED / "calico.yaml")


def contradictions(profile: Profile, pods: list[dict[str, Any]]) -> list[str]:
    """What the rendered pods say otherwise than the profile's rows, one text for each field."""
    rows = [entry for entry in conformance.entries(profile) if RELEASE in entry.releases]
    accounts = [f"{pod['namespace']}/{pod['service_account']}" for pod in pods]
    found = [text for account, pod in zip(accounts, pods, strict=True) for text in _of_pod(account, pod, rows)]
    for row in rows:
        if set(row.service_accounts) <= set(accounts):
            continue
        if row.component not in NOT_RENDERED:
            found.append(f"{row.component}: service account: no pod of {', '.join(row.service_accounts)}")
    return found


def _of_pod(account: str, pod: Mapping[str, Any], rows: list[ConformanceRow]) -> Iterator[str]:
    mine = [row for row in rows if account in row.service_accounts]
    asking = {row.volume: row for row in mine if row.certificate == ASKS}
    given = {row.volume for row in mine if row.certificate == KEY_PAIR}
    clients = {environment["SECRET_NAME"]: environment for environment in pod["clients"].values()}
    for listed in NOT_RENDERED.keys() & {row.component for row in mine}:
        yield f"{listed}: rendered, but listed as not rendered"
    if asking.keys() != clients.keys():
        yield f"{account}: init containers: {sorted(clients)}: rows for {sorted(asking)}"
    if given != set(pod["empty_volumes"]):
        yield f"{account}: empty volumes: {pod['empty_volumes']}: key pairs for {sorted(given)}"
    for volume in asking.keys() & clients.keys():
        yield from _of_client(asking[volume], clients[volume])
    for row in mine:
        if row.request_names != (f"{row.volume}:{{pod}}",):
            yield f"{row.component}: CSR's name: {row.request_names} is not of the Secret {row.volume}"


def _of_client(row: ConformanceRow, environment: Mapping[str, str]) -> Iterator[str]:
    asked = environment["DNS_NAMES"].split(",")
    known = [rule.name.replace("{cluster_domain}", "cluster.local") for rule in row.dns_names]
    if row.common_name != environment["COMMON_NAME"]:
        yield f"{row.component}: common name: {environment['COMMON_NAME']}: row has {row.common_name}"
    if asked != known:
        yield f"{row.component}: DNS names: {asked}: row has {known}"


def test_the_profile_is_what_the_operator_rendered() -> None:
    """Field by field: service account, name of the CSR, volume, common name and DNS names."""
    assert contradictions(PROFILE, RENDERED["pods"]) == []


def test_components_without_certificate_are_rendered_so() -> None:
    """Their pods have no client and no empty volume, and exactly these pods."""
    without = {
        f"{pod['namespace']}/{pod['service_account']}"
        for pod in RENDERED["pods"]
        if not pod["clients"] and not pod["empty_volumes"]
    }
    entries = [entry for entry in WITHOUT if RELEASE in entry.releases]
    assert without == {account for entry in entries for account in entry.service_accounts}


def test_each_component_that_was_not_rendered_is_a_row() -> None:
    """The list of exceptions has nothing that the profile does not have in this release."""
    assert NOT_RENDERED.keys() <= {row.name for row in PROFILE.of_release(RELEASE).components}


def _with(name: str, **changes: Any) -> Profile:
    rows = tuple(replace(row, **changes) if row.name == name else row for row in PROFILE.components)
    return replace(PROFILE, components=rows)


def _without(name: str) -> Profile:
    return replace(PROFILE, components=tuple(row for row in PROFILE.components if row.name != name))


def _and(name: str, **changes: Any) -> Profile:
    return replace(PROFILE, components=(*PROFILE.components, replace(_row(name), **changes)))


def _row(name: str) -> Component:
    return next(row for row in PROFILE.components if row.name == name)


def _named(name: str) -> tuple[RequestName, ...]:
    return (RequestName(name=name),)


NODE, API = _row("calico-node"), _row("calico-apiserver")
CHANGED: Final[dict[str, tuple[Profile, str]]] = {
    "another account": (_with("calico-typha", service_accounts=("calico-system/typha",)), "service account"),
    "another namespace": (_with("goldmane", service_accounts=("default/goldmane",)), "service account"),
    "another account too": (
        _with("calico-node", service_accounts=(*NODE.service_accounts, "calico-system/other")),
        "service account",
    ),
    "another CSR name": (_with("calico-node", request_names=_named("node-tls:{pod}")), "init containers"),
    "an old CSR name": (
        _with("calico-node", request_names=(*NODE.request_names[:1], RequestName(name="{namespace}:{pod}"))),
        "CSR's name",
    ),
    "another common name": (_with("calico-node", common_name="typha-server"), "common name"),
    "a DNS name too much": (
        _with("calico-apiserver", dns_names=(*API.dns_names, NameRule(name="localhost", optional=True))),
        "DNS names",
    ),
    "a DNS name less": (_with("calico-apiserver", dns_names=API.dns_names[:-1]), "DNS names"),
    "no row": (_without("calico-typha"), "init containers"),
    "no row of a key pair": (_without("whisker"), "empty volumes"),
    "a row from a later release": (_with("whisker-backend", since="3.34"), "empty volumes"),
    "a row to an earlier release": (_with("calico-apiserver", until="3.32"), "init containers"),
    "a key pair of another Secret": (
        _with("goldmane", request_names=_named("guardian-key-pair:{pod}")),
        "empty volumes",
    ),
    "a key pair that asks itself": (_with("goldmane", request_names=_named("goldmane:{pod}")), "init containers"),
    "a row of a pod that has none": (
        _and("goldmane", service_accounts=("calico-system/csi-node-driver",)),
        "empty volumes",
    ),
    "a row of no pod": (_and("goldmane", service_accounts=("calico-system/relay",)), "service account"),
    "a pod that was not rendered": (
        _with("guardian", service_accounts=("calico-system/goldmane",)),
        "listed as not rendered",
    ),
}
"""Profiles with one wrong row, and the field that contradicts the rendered pods."""


@pytest.mark.parametrize(("profile", "field"), CHANGED.values(), ids=CHANGED)
def test_a_row_that_the_operator_contradicts_is_found(profile: Profile, field: str) -> None:
    """The comparison is not empty: each single change of a row is a contradiction, and the text names the field."""
    assert any(field in text for text in contradictions(profile, RENDERED["pods"]))


@pytest.mark.parametrize(
    "change",
    [
        lambda pod: pod["clients"].clear(),
        lambda pod: pod.update(empty_volumes=["node-certs"]),
        lambda pod: pod.update(service_account="other"),
        lambda pod: pod["clients"]["node-certs-key-cert-provisioner"].update(DNS_NAMES="typha-client,localhost"),
    ],
    ids=["no client", "an empty volume", "another account", "another DNS name"],
)
def test_a_newer_operator_that_renders_otherwise_is_found(change: Callable[[dict[str, Any]], None]) -> None:
    """New data for a release fails the test until the profile follows."""
    pods = json.loads(json.dumps(RENDERED["pods"]))
    change(next(pod for pod in pods if pod["workload"] == "calico-node"))
    assert contradictions(PROFILE, pods)
