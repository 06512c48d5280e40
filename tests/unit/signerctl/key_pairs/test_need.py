"""What a pod and a Secret show: whether a key pair must be provided."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from csr_signer.policy import profile
from signerctl.key_pairs import catalog, need
from signerctl.key_pairs.catalog import KeyPair
from signerctl.key_pairs.need import ANNOTATION, Need, assess

Json = dict[str, Any]

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SIGNER = "example.com/calico"


def pairs(release: str = "3.33") -> dict[str, KeyPair]:
    """The key pairs of a release, by component."""
    rows = profile.load("calico", release=release, namespaces=["calico-system"], folder=Path())
    return {each.component: each for each in catalog.of({SIGNER: rows}, cluster_domain="cluster.local")}


GOLDMANE = pairs()["goldmane"]
KEY = ec.generate_private_key(ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA")])


def certificate(subject: x509.Name, *, names: tuple[str, ...] = (), days: int = 365) -> x509.Certificate:
    """A certificate of the CA, for Goldmane's use."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(NAME)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=365 - days))
        .not_valid_after(NOW + timedelta(days=days))
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
        )
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    else:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(KEY, hashes.SHA256())


CA = certificate(NAME)


def leaf(**changes: Any) -> x509.Certificate:
    """Goldmane's certificate, after changes."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, changes.pop("common_name", "goldmane"))])
    return certificate(subject, **{"names": GOLDMANE.dns_names, **changes})


def secret(found: x509.Certificate | bytes, *, ours: bool = True) -> Json:
    """A Secret with a certificate."""
    pem = found if isinstance(found, bytes) else found.public_bytes(Encoding.PEM)
    annotations = {ANNOTATION: "calico-system/goldmane"} if ours else {}
    return {"metadata": {"annotations": annotations}, "data": {"tls.crt": base64.b64encode(pem).decode()}}


def pod(name: str = "goldmane-1", **changes: Any) -> Json:
    """Goldmane's pod, after changes of its spec."""
    volume = {"name": "goldmane-key-pair", "emptyDir": {}}
    return {
        "metadata": {"name": name, "uid": f"uid-of-{name}", "creationTimestamp": "2026-10-01T00:00:00Z"},
        "spec": {"serviceAccountName": "goldmane", "volumes": [volume], **changes},
    }


def assessed(*pods: Json, present: Json | None = None) -> Need:
    """The state of Goldmane's key pair."""
    return assess(GOLDMANE, pods, present, anchors=[CA], remaining=Fraction(1, 3), now=NOW)


@pytest.mark.parametrize(
    ("release", "components"),
    [
        ("3.29", []),
        ("3.30", ["goldmane", "guardian", "whisker-backend"]),
        ("3.32", ["calico-webhooks", "goldmane", "guardian", "whisker-backend"]),
        ("3.33", ["calico-webhooks", "goldmane", "guardian", "whisker", "whisker-backend"]),
    ],
)
def test_a_release_has_these_key_pairs(release: str, components: list[str]) -> None:
    """Goldmane and Whisker came with 3.30, the webhooks with 3.32, TLS of Whisker's web server with 3.33."""
    assert sorted(pairs(release)) == components


def test_a_key_pair_follows_the_operator() -> None:
    """Name of the CSR, place of the Secret, and the names of the Service."""
    assert GOLDMANE.request_name("goldmane-1") == "goldmane-key-pair:goldmane-1"
    assert GOLDMANE.path == "tigera-operator/goldmane-key-pair"
    service = "goldmane.calico-system"
    assert GOLDMANE.dns_names == ("goldmane", service, f"{service}.svc", f"{service}.svc.cluster.local")


ENDING = {**pod("goldmane-0")["metadata"], "deletionTimestamp": "2026-11-01T00:00:00Z"}
CLIENT = {"name": "goldmane-key-pair-key-cert-provisioner", "volumeMounts": [{"name": "goldmane-key-pair"}]}
PODS: dict[str, tuple[list[Json], str]] = {
    "an empty volume": ([pod()], "missing"),
    "no pod": ([], "absent"),
    "another account's pod": ([pod(serviceAccountName="whisker")], "absent"),
    "a pod that ends": ([{**pod(), "metadata": ENDING}], "absent"),
    "a pod that failed": ([{**pod(), "status": {"phase": "Failed"}}], "absent"),
    "no such volume": ([pod(volumes=[])], "unused"),
    "a client of its own": ([pod(initContainers=[CLIENT])], "asks"),
    "another init container": ([pod(initContainers=[{"name": "any"}])], "missing"),
}


@pytest.mark.parametrize(("pods", "state"), PODS.values(), ids=PODS)
def test_the_pod_shows_whether_a_key_pair_is_missing(pods: list[Json], state: str) -> None:
    """Without a Secret, the volume and the init containers decide."""
    assert assessed(*pods).state == state


def test_the_newest_pod_asks() -> None:
    """A rollout deletes the older one, and the token that is bound to it."""
    older = pod("goldmane-0")
    older["metadata"]["creationTimestamp"] = "2026-09-01T00:00:00Z"
    found = assessed(pod(), older).pod
    assert found is not None
    assert found["metadata"]["name"] == "goldmane-1"


SECRETS: dict[str, tuple[Json, str, str]] = {
    "new": (secret(leaf()), "valid", "2027"),
    "another owner's": (secret(leaf(), ours=False), "foreign", ANNOTATION),
    "less than a third left": (secret(leaf(days=121)), "expiring", "less than 1/3"),
    "a third left": (secret(leaf(days=122)), "valid", "2027"),
    "immutable": ({**secret(leaf()), "immutable": True}, "foreign", "it is immutable: delete it"),
    "another type": (
        {**secret(leaf()), "type": "any"},
        "foreign",
        'type: Unsupported value: "any": supported values: ',
    ),
    "no certificate": (secret(b"none"), "expiring", "no certificate"),
    "another name": (secret(leaf(names=("goldmane",))), "expiring", "DNS names"),
    "another common name": (secret(leaf(common_name="whisker")), "expiring", "common name"),
}


@pytest.mark.parametrize(("present", "state", "words"), SECRETS.values(), ids=SECRETS)
def test_the_secret_shows_whether_it_must_be_renewed(present: Json, state: str, words: str) -> None:
    """Also one of an earlier release, or of an earlier CA."""
    found = assessed(pod(), present=present)
    assert found.state == state
    assert words in found.why


def test_a_certificate_of_another_ca_is_replaced() -> None:
    """After a rotation, the components trust only caCert."""
    found = assess(GOLDMANE, [pod()], secret(leaf()), anchors=[], remaining=Fraction(1, 3), now=NOW)
    assert found.state == "expiring"
    assert "does not chain to a CA of --trust-bundle" in found.why


def test_only_a_foreign_secret_can_be_taken_over() -> None:
    """--replace names a Secret; one that is valid and ours is not replaced."""
    assert need.taken_over(assessed(pod(), present=secret(leaf(), ours=False))).is_due
    assert not need.taken_over(assessed(pod(), present=secret(leaf()))).is_due
    assert not need.taken_over(assessed(pod(), present={**secret(leaf(), ours=False), "immutable": True})).is_due
