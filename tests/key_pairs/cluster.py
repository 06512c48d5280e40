"""Goldmane's and Whisker's pods as the tigera operator renders them, on a real API server with guards."""

from __future__ import annotations

import base64
import contextlib
from typing import TYPE_CHECKING, Any

from sandbox.api import NAMESPACES, ApiError
from sandbox.calico.components import CALICO_SYSTEM
from sandbox.calico.key_pairs import WORKLOADS, empty_volume, key_pairs
from sandbox.demo.verify import verified
from tests.end_to_end.conftest import eventually
from tests.unit.signerctl.stage import signerctl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

    from sandbox.deployment import Deployment

Json = dict[str, Any]

CRON_JOB = "system:serviceaccount:kms-csr-signer-key-pairs:csr-key-pairs"
RBAC = "/apis/rbac.authorization.k8s.io/v1"

RELEASE = "3.33"
"""The first release with all key pairs."""
KEY_PAIRS = key_pairs(RELEASE)
GROUPS = {"certificatesigningrequests": "certificates.k8s.io", "installations": "operator.tigera.io"}
SECRETS = {each.secret: each.namespace for each in KEY_PAIRS}


def pod_object(account: str, name: str) -> Json:
    """A pod of Goldmane or Whisker: its key pairs' volumes are empty, and no init container fills them."""
    own = [each for each in KEY_PAIRS if each.workload == account]
    mounts = [{"name": each.secret, "mountPath": f"/{each.secret}"} for each in own]
    return {
        "metadata": {"name": name, "namespace": CALICO_SYSTEM},
        "spec": {
            "serviceAccountName": account,
            "nodeName": "nowhere",
            "containers": [{"name": account, "image": account, "volumeMounts": mounts}],
            "volumes": [empty_volume(each) for each in own],
        },
    }


class Cluster:
    """The cluster; `signerctl key-pairs` has exactly the CronJob's rights."""

    def __init__(self, deployment: Deployment, kubeconfig: Path) -> None:
        self.api = deployment.api
        self.deployment = deployment
        self.kubeconfig = kubeconfig

    def run(self, *more: str) -> Result:
        """Runs `signerctl key-pairs` as the CronJob does."""
        signer = ("--signer", self.deployment.signer.signer_name, "--release", RELEASE)
        return signerctl("key-pairs", "--kubeconfig", self.kubeconfig, *signer, *more)

    def secret(self, name: str) -> Json:
        """A key pair's Secret."""
        found: Json = self.api.get(f"{NAMESPACES}/{SECRETS[name]}/secrets/{name}")
        return found

    def files(self, name: str, folder: Path) -> tuple[Path, Path]:
        """Writes the Secret's certificate and key, as kubelet mounts them."""
        data = self.secret(name)["data"]
        paths = folder / f"{name}.crt", folder / f"{name}.key"
        for path, key in zip(paths, ("tls.crt", "tls.key"), strict=True):
            path.write_bytes(base64.b64decode(data[key]))
        return paths

    def reset(self) -> None:
        """Deletes pods and Secrets, and creates a new pod of each component."""
        for name, namespace in SECRETS.items():
            self._delete(f"{NAMESPACES}/{namespace}/secrets/{name}")
        for account in WORKLOADS:
            path = f"{NAMESPACES}/{CALICO_SYSTEM}/pods"
            self._delete(f"{path}/{account}-1", {"gracePeriodSeconds": 0})
            self.api.post(path, pod_object(account, f"{account}-1"))

    @contextlib.contextmanager
    def without(self, namespace: str, role: str, resource: str, verb: str) -> Iterator[None]:
        """Takes a right from a Role, or without a namespace from a ClusterRole; the API server knows it on return."""
        path = f"{RBAC}/namespaces/{namespace}/roles/{role}" if namespace else f"{RBAC}/clusterroles/{role}"
        right = {"namespace": namespace, "resource": resource, "verb": verb}
        present = self.api.get(path)
        rules = [_without(rule, resource, verb) for rule in present["rules"]]
        self.api.put(path, {**present, "rules": [rule for rule in rules if rule["verbs"]]})
        eventually(lambda: not self._may(**right))
        try:
            yield
        finally:
            metadata = {key: present["metadata"][key] for key in ("name", "labels")}
            self.api.put(path, {**present, "metadata": metadata})
            eventually(lambda: self._may(**right))

    def _may(self, namespace: str, resource: str, verb: str) -> bool:
        """Whether the CronJob, or for CSRs Goldmane's account, has a right."""
        name, _, subresource = resource.partition("/")
        group = GROUPS.get(name, "")
        attributes = {"verb": verb, "group": group, "resource": name, "subresource": subresource}
        where = {"namespace": namespace} if namespace else {}
        names = {"secrets": "goldmane-key-pair", "serviceaccounts": "goldmane", "installations": "default"}
        named = {"name": names[name]} if name in names and (name, verb) != ("secrets", "create") else {}
        user = CRON_JOB if namespace or verb == "get" else "system:serviceaccount:calico-system:goldmane"
        spec = {"user": user, "resourceAttributes": {**attributes, **where, **named}}
        review = self.api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
        return bool(review["status"]["allowed"])

    def _delete(self, path: str, options: Json | None = None) -> None:
        try:
            self.api.delete(path, options)
        except ApiError as error:
            if error.status != 404:  # there was none
                raise


def verifies(certificate: Path, anchors: Path, purpose: str) -> bool:
    """Whether openssl accepts a certificate and its chain for a purpose, `sslserver` or `sslclient`."""
    return bool(verified([certificate], certificate.read_bytes(), anchors, certificate.parent, purposes=[purpose]))


def _without(rule: Json, resource: str, verb: str) -> Json:
    """A rule without a verb, if it is about the resource."""
    if resource not in rule["resources"]:
        return rule
    return {**rule, "verbs": [each for each in rule["verbs"] if each != verb]}
