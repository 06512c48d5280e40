"""Breaks a running deployment as the breakdown does, and mends it at the end of the block."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import yaml
from google.cloud.kms_v1 import CryptoKeyVersion

from sandbox import authority, manifests
from sandbox.api import quoted
from sandbox.calico import installation
from sandbox.function_runtime import ROOT
from sandbox.kms import KmsControl, connect
from sandbox.kms.enums import State
from sandbox.kms.faults import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.deployment import Deployment

Json = dict[str, Any]
Injection = Callable[["Deployment"], contextlib.AbstractContextManager[None]]

MISSING_GUARD: Final = "kms-csr-signer-create"
"""The policy whose binding `guards_missing` deletes."""
EXPORTERS_BINDING: Final = "kms-csr-signer:export"
_CLOSED: Final = "http://127.0.0.1:1/"
_BINDINGS: Final = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
_RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
_OTHER_USER: Final = "117000000000000000000"
"""The unique id of a Google service account; the API server's username is its email."""
_CLOCK_SECONDS: Final = 600.0
_CALICO: Final = ROOT / "function" / "csr_signer" / "profiles" / "calico.yaml"


@contextlib.contextmanager
def key_disabled(deployment: Deployment) -> Iterator[None]:
    """Disables the CA's key version."""
    _set_state(deployment, State.DISABLED)
    # An instance that has read the public key approves a CSR before the signature fails; a new one leaves it Pending.
    _restart_function(deployment)
    try:
        yield
    finally:
        _set_state(deployment, State.ENABLED)


@contextlib.contextmanager
def wrong_rbac_user(deployment: Deployment) -> Iterator[None]:
    """Binds the function's roles to the unique id of its Google service account instead of its email."""
    bindings = [
        (f"{_RBAC}/{_collection(binding)}/{quoted(binding['metadata']['name'])}", binding["subjects"])
        for kind in ("clusterrolebindings", "rolebindings")
        for binding in deployment.api.get(f"{_RBAC}/{kind}")["items"]
        if any(subject["name"] == manifests.FUNCTION_USER for subject in binding.get("subjects", ()))
    ]
    for path, subjects in bindings:
        deployment.api.patch(path, {"subjects": [subject | {"name": _OTHER_USER} for subject in subjects]})
    try:
        yield
    finally:
        for path, subjects in bindings:
            deployment.api.patch(path, {"subjects": subjects})


@contextlib.contextmanager
def function_unreachable(deployment: Deployment) -> Iterator[None]:
    """Lets the exporter send its events to an address that refuses connections."""
    with _exporter(deployment, lambda document: document["function"].update(url=_CLOSED)):
        yield


@contextlib.contextmanager
def wrong_audience(deployment: Deployment) -> Iterator[None]:
    """Lets the exporter's ID tokens be for another service."""
    audience = "https://csr-signer-of-another-project.run.app"
    with _exporter(deployment, lambda document: document["function"].update(audience=audience)):
        yield


@contextlib.contextmanager
def kms_quota(deployment: Deployment) -> Iterator[None]:
    """Exhausts the KMS quota of the key's project."""
    message = "Quota exceeded for quota metric 'HSM asymmetric requests' of service 'cloudkms.googleapis.com'"
    with KmsControl(deployment.kms) as control:
        control.add(Fault(method="AsymmetricSign", times=0, status="RESOURCE_EXHAUSTED", message=message))
        try:
            yield
        finally:
            control.clear()


@contextlib.contextmanager
def clock_off(deployment: Deployment) -> Iterator[None]:
    """Sets Google's clock ten minutes behind the cluster's: the cluster's clock is ahead."""
    deployment.kill_exporter()
    deployment.restart_google(clock_offset=-_CLOCK_SECONDS)
    deployment.start_exporter()
    try:
        yield
    finally:
        deployment.kill_exporter()
        deployment.restart_google()
        deployment.start_exporter()


@contextlib.contextmanager
def ca_mismatch(deployment: Deployment) -> Iterator[None]:
    """Configures the CA certificate of another key."""
    certificate = str(_another_authority(deployment, "other-ca.pem")[1])
    with _issuer(deployment, certificate=certificate, trust_bundle=certificate):
        yield


@contextlib.contextmanager
def ca_about_to_end(deployment: Deployment) -> Iterator[None]:
    """Configures a CA whose certificate ends in 20 days."""
    key_version, path = _another_authority(deployment, "old-ca.pem", days=20)
    with _issuer(deployment, key_version=key_version, certificate=str(path), trust_bundle=str(path)):
        yield


@contextlib.contextmanager
def wrong_release(deployment: Deployment) -> Iterator[None]:
    """Configures a release of Calico that is older than the cluster's."""
    profile = {"name": "calico", "release": "3.27", "namespaces": ["calico-system"]}
    with _function(deployment, lambda document: document["signers"][0].update(profile=profile)):
        yield


@contextlib.contextmanager
def pod_address_missing(deployment: Deployment) -> Iterator[None]:
    """Configures a profile that certifies the addresses of pods."""
    profile = yaml.safe_load(_CALICO.read_text(encoding="utf-8"))
    for component in profile["components"]:
        component["addresses"] = "pod"
    (deployment.directory / "addresses.yaml").write_text(yaml.safe_dump(profile, sort_keys=False), encoding="utf-8")
    with _function(deployment, lambda document: document["signers"][0]["profile"].update(name="addresses.yaml")):
        yield


@contextlib.contextmanager
def exporter_dead(deployment: Deployment) -> Iterator[None]:
    """Stops the exporter."""
    deployment.kill_exporter()
    try:
        yield
    finally:
        deployment.start_exporter()


@contextlib.contextmanager
def exporter_rights_missing(deployment: Deployment) -> Iterator[None]:
    """Deletes the ClusterRoleBinding of the exporter, which then starts again."""
    with _deleted(deployment, f"{_RBAC}/clusterrolebindings", EXPORTERS_BINDING):
        _restart_exporter(deployment)
        yield
    _restart_exporter(deployment)


@contextlib.contextmanager
def other_ca_trusted(deployment: Deployment) -> Iterator[None]:
    """Lets Calico trust another CA than the function's."""
    installation.trust(deployment.api, _another_authority(deployment, "trusted-ca.pem")[1])
    try:
        yield
    finally:
        installation.trust(deployment.api, deployment.certificate_authority)


@contextlib.contextmanager
def guards_missing(deployment: Deployment) -> Iterator[None]:
    """Deletes the binding of one guard, so that the API server does not enforce it."""
    with _deleted(deployment, _BINDINGS, MISSING_GUARD):
        yield


INJECTIONS: Final[Mapping[str, Injection]] = MappingProxyType(
    {
        "key-disabled": key_disabled,
        "wrong-rbac-user": wrong_rbac_user,
        "function-unreachable": function_unreachable,
        "wrong-audience": wrong_audience,
        "kms-quota": kms_quota,
        "clock-off": clock_off,
        "ca-mismatch": ca_mismatch,
        "wrong-release": wrong_release,
        "pod-address-missing": pod_address_missing,
        "exporter-dead": exporter_dead,
        "exporter-rights-missing": exporter_rights_missing,
        "other-ca-trusted": other_ca_trusted,
        "guards-missing": guards_missing,
        "ca-about-to-end": ca_about_to_end,
    }
)
"""Each breakdown of the table by its name."""


def _set_state(deployment: Deployment, state: State) -> None:
    version = CryptoKeyVersion(name=deployment.signer.key_version, state=state)
    with connect(deployment.kms) as client:
        client.update_crypto_key_version(crypto_key_version=version, update_mask={"paths": ["state"]})


def _another_authority(deployment: Deployment, name: str, *, days: int | None = None) -> tuple[str, Path]:
    settings = deployment.settings
    path = deployment.directory / name
    made = authority.create(
        deployment.kms,
        path,
        key_algorithm=settings.key_algorithm,
        signer_name=settings.signer_name,
        release=settings.release,
        log=deployment.log("signerctl"),
        days=days,
    )
    return made.key_version, path


def _collection(binding: Json) -> str:
    if binding["metadata"].get("namespace") is None:
        return "clusterrolebindings"
    return f"namespaces/{binding['metadata']['namespace']}/rolebindings"


@contextlib.contextmanager
def _deleted(deployment: Deployment, collection: str, name: str) -> Iterator[None]:
    """Deletes an object, and creates it again."""
    found = deployment.api.get(f"{collection}/{quoted(name)}")
    deployment.api.delete(f"{collection}/{quoted(name)}")
    try:
        yield
    finally:
        metadata = {"name": name, "labels": found["metadata"].get("labels", {})}
        deployment.api.post(collection, {**found, "metadata": metadata})


@contextlib.contextmanager
def _issuer(deployment: Deployment, **fields: str) -> Iterator[None]:
    with _function(deployment, lambda document: document["signers"][0]["issuer"].update(fields)):
        yield


@contextlib.contextmanager
def _function(deployment: Deployment, change: Callable[[Json], object]) -> Iterator[None]:
    """Runs the function with another configuration document."""
    try:
        with _changed(deployment.directory / "function.json", change):
            _restart_function(deployment)
            yield
    finally:
        _restart_function(deployment)


@contextlib.contextmanager
def _exporter(deployment: Deployment, change: Callable[[Json], object]) -> Iterator[None]:
    """Runs the exporter with another configuration document."""
    try:
        with _changed(deployment.directory / "exporter.json", change):
            _restart_exporter(deployment)
            yield
    finally:
        _restart_exporter(deployment)


@contextlib.contextmanager
def _changed(path: Path, change: Callable[[Json], object]) -> Iterator[None]:
    before = path.read_text(encoding="utf-8")
    document = json.loads(before)
    change(document)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(before, encoding="utf-8")


def _restart_function(deployment: Deployment) -> None:
    deployment.function.kill()
    deployment.function.start()


def _restart_exporter(deployment: Deployment) -> None:
    deployment.kill_exporter()
    deployment.start_exporter()
