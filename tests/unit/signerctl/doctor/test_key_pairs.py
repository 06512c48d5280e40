"""doctor and explain tell whether each pod has a key pair that its peers accept."""

import dataclasses
from types import MappingProxyType
from typing import Any

import pytest

from signerctl.doctor import key_pairs
from signerctl.doctor.examination import Examination
from tests.unit.signerctl.answers import Answers
from tests.unit.signerctl.doctor.conftest import Examine
from tests.unit.signerctl.key_pairs.test_need import CA, NOW, leaf, pod, secret

Json = dict[str, Any]
PODS = "GET /api/v1/namespaces/calico-system/pods"
SOURCE = "GET /api/v1/namespaces/tigera-operator/secrets/goldmane-key-pair"
COPY = "GET /api/v1/namespaces/calico-system/secrets/goldmane-key-pair"
MOUNTED = {"volumes": [{"name": "goldmane-key-pair", "secret": {"secretName": "goldmane-key-pair"}}]}
CLIENT = {"name": "client", "volumeMounts": [{"name": "goldmane-key-pair"}]}
EMPTY = "pod calico-system/goldmane-1: volume goldmane-key-pair is empty"
VALID, OUTDATED = secret(leaf(days=300)), secret(leaf(days=200))
FORBIDDEN = {"kind": "Status", "reason": "Forbidden", "message": "no right to get secrets"}
STATES: dict[str, tuple[Json, Json, str, str, str]] = {
    "no Secret": ({}, {}, "warning", EMPTY, "signerctl key-pairs"),
    "a Secret that is not mounted yet": (
        {},
        {SOURCE: VALID},
        "warning",
        f"{EMPTY}, although Secret tigera-operator/goldmane-key-pair exists",
        "the tigera operator copies and mounts it",
    ),
    "a Secret that may not be read": ({}, {SOURCE: FORBIDDEN}, "unknown", EMPTY, "may get this Secret"),
    "filled by an init container": ({"initContainers": [CLIENT]}, {}, "ok", "no component waits for a key pair", ""),
    "mounted and valid": (
        MOUNTED,
        {SOURCE: VALID, COPY: VALID},
        "ok",
        "the certificate in Secret tigera-operator/goldmane-key-pair is valid until 2027-08-28",
        "",
    ),
    "mounted, but gone": (
        MOUNTED,
        {},
        "warning",
        "pod calico-system/goldmane-1 mounts Secret calico-system/goldmane-key-pair, which does not exist",
        "signerctl key-pairs",
    ),
    "mounted, but the copy is gone": (
        MOUNTED,
        {SOURCE: VALID},
        "warning",
        "which does not exist, although tigera-operator/goldmane-key-pair does",
        "the tigera operator copies and mounts it",
    ),
    "mounted, but outdated": (
        MOUNTED,
        {SOURCE: VALID, COPY: OUTDATED},
        "warning",
        "mounts Secret calico-system/goldmane-key-pair, whose certificate is not the one in tigera-operator/",
        "the tigera operator copies and mounts it",
    ),
    "of another program, and unfit": (
        MOUNTED,
        {SOURCE: secret(CA, ours=False), COPY: secret(CA, ours=False)},
        "warning",
        "the certificate in Secret tigera-operator/goldmane-key-pair does not fit",
        "signerctl key-pairs",
    ),
}


@pytest.mark.parametrize(("spec", "secrets", "level", "words", "remedy"), STATES.values(), ids=STATES)
def test_each_state_of_a_key_pair_is_told(
    examine: Examine, api: Answers, *, spec: Json, secrets: Json, level: str, words: str, remedy: str
) -> None:
    """With the pod, the Secret and the command; a Secret is read only if a pod waits for it or mounts it."""
    api.prepared[PODS] = 200, {"items": [pod(**spec)], "metadata": {}}
    api.prepared |= {path: (403 if found is FORBIDDEN else 200, found) for path, found in secrets.items()}
    outcome = key_pairs.provided(trusting_the_ca_of_the_tests(examine()))
    assert outcome.level == level, outcome.found
    assert words in outcome.found
    assert remedy in outcome.remedy
    asked_for_secrets = any("/secrets/" in path for _, path, *_ in api.received)
    assert asked_for_secrets == ("initContainers" not in spec)


def trusting_the_ca_of_the_tests(examination: Examination) -> Examination:
    """Replaces the trust bundle and the time."""
    signers = {
        key: dataclasses.replace(signer, issuer=dataclasses.replace(signer.issuer, trust_bundle=(CA,)))
        for key, signer in examination.configuration.signers.items()
    }
    examination.configuration = dataclasses.replace(examination.configuration, signers=MappingProxyType(signers))
    examination.now = NOW
    return examination
