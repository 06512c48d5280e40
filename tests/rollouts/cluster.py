"""All of Calico on a real control plane with controllers: the operator's double, kubelets and the real signer."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sandbox import authority, guards
from sandbox.api import CSRS, NAMESPACES, ApiError
from sandbox.calico import installation
from sandbox.calico.components import components
from sandbox.calico.key_pairs import key_pairs
from sandbox.calico.running import DAEMON_SET
from sandbox.control_plane.real import RealControlPlane
from sandbox.demo.verify import verified
from sandbox.documents import CLUSTER
from sandbox.manifests import FUNCTION_USER
from tests.end_to_end.conftest import PATIENCE, audit_records, eventually
from tests.key_pairs.cluster import CRON_JOB, RELEASE
from tests.unit.signerctl.stage import signerctl

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from click.testing import Result

    from sandbox.calico.running import Running
    from sandbox.calico.volumes import Filled
    from sandbox.deployment import Deployment
    from sandbox.documents import Signer

Json = dict[str, Any]

CLIENTS = tuple(row.workload for row in components(RELEASE))
"""The workloads whose pods request their own certificates."""
EMPTY = {each.secret for each in key_pairs(RELEASE)}
"""The volumes that wait for `signerctl key-pairs`."""
PERIOD = 0.1
"""Seconds between two looks at all pods."""
_POD_UID = "authentication.kubernetes.io/pod-uid"
_FOR_TLS_CLIENTS = {each.secret for each in key_pairs(RELEASE) if each.client}
"""The Secrets whose certificates are also for TLS clients."""


class Cluster:
    """A cluster with all of Calico.

    Attributes:
        api: An administrator's client.
        deployment: The signer.
        parts: Calico's operator, kubelets and key pairs.
        authority: PEM file with the CAs that the pods trust now.
    """

    def __init__(self, deployment: Deployment, parts: Running) -> None:
        self.api = deployment.api
        self.deployment = deployment
        self.parts = parts
        self.authority = deployment.certificate_authority

    @property
    def _plane(self) -> RealControlPlane:
        plane = self.deployment.plane
        assert isinstance(plane, RealControlPlane)
        return plane

    def pods(self, *workloads: str) -> list[Json]:
        """Returns the pods of these workloads, or of all, that are not being deleted."""
        namespaces = {each.namespace for each in components(self.parts.operator.release)}
        found = [pod for each in namespaces for pod in self.api.get(f"{NAMESPACES}/{each}/pods")["items"]]
        live = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
        return [pod for pod in live if not workloads or pod["spec"]["serviceAccountName"] in workloads]

    def unfilled(self) -> set[str]:
        """Returns the volumes of the pods that have no key pair, by name."""
        found: set[str] = set()
        for pod in self.pods():
            wanted = {each["name"] for each in pod["spec"]["volumes"] if "projected" not in each}
            found |= wanted - {each.secret for each in self.parts.volumes.of(pod)}
        return found

    def uids(self, *workloads: str) -> set[str]:
        """Returns the uids of their pods."""
        return {pod["metadata"]["uid"] for pod in self.pods(*workloads)}

    def wait_until_complete(
        self,
        *,
        but: Collection[str] = (),
        check: Callable[[], None] = lambda: None,
        patience: float = PATIENCE,
    ) -> None:
        """Waits until all workloads except `but` are rolled out; calls `check` at each look."""
        waiting: list[str] = []

        def is_complete() -> bool:
            check()
            rendered = self.parts.operator.rendered.items()
            waiting[:] = [name for path, name in rendered if not self.parts.is_rolled_out(path)]
            return not set(waiting) - set(but)

        eventually(is_complete, missing=waiting, period=PERIOD, patience=patience)

    def delete(self, pods: Iterable[Json]) -> None:
        """Deletes pods; their controllers make others."""
        for pod in pods:
            path = f"{NAMESPACES}/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
            try:
                self.api.delete(path, {"preconditions": {"uid": pod["metadata"]["uid"]}})
            except ApiError as error:
                if error.status not in {404, 409}:  # a controller was faster
                    raise

    def kubectl(self, *arguments: str) -> None:
        """Runs kubectl as the administrator."""
        command = [str(self._plane.kubectl), "--kubeconfig", str(self._plane.kubeconfig), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def csrs(self) -> dict[str, Json]:
        """Returns the last CSR of each pod by the pod's uid."""
        found = sorted(self.api.get(CSRS)["items"], key=lambda each: int(each["metadata"]["resourceVersion"]))
        return {each["spec"]["extra"][_POD_UID][0]: each for each in found}

    def reason(self, uid: str) -> str:
        """Returns why the CSR of a pod was refused; empty if it was not."""
        csr = self.csrs().get(uid, {"status": {}})
        return next((each["reason"] for each in csr["status"].get("conditions", ()) if each["type"] == "Denied"), "")

    def waiting(self) -> set[str]:
        """Returns the uids of the pods whose CSRs wait."""
        return {uid for uid, csr in self.csrs().items() if not csr["status"]}

    @contextlib.contextmanager
    def without_function(self) -> Iterator[None]:
        """Stops the function; CSRs wait until it is back."""
        self.deployment.function.kill()
        try:
            yield
        finally:
            self.deployment.function.start()

    def provide_key_pairs(self, *more: str | Path, clock: Callable[[], datetime] | None = None) -> Result:
        """Runs `signerctl key-pairs` with exactly the CronJob's rights."""
        signer = ("--signer", self.deployment.signer.signer_name, "--release", self.parts.operator.release)
        return signerctl("key-pairs", "--kubeconfig", self._plane.kubeconfig_for(CRON_JOB), *signer, *more, clock=clock)

    def sign_with(self, signer: Signer, trusted: Path) -> None:
        """Deploys the function with another CA."""
        self._configure(
            lambda document: document["issuer"].update(
                key_version=signer.key_version,
                certificate=str(signer.certificate_authority),
                trust_bundle=str(trusted),
            )
        )

    def set_release(self, release: str) -> None:
        """Configures another release of Calico in the function, and then in the guards."""
        self._configure(lambda document: document.update(profile={"name": "calico", "release": release}))
        guards.put_in(
            self.deployment.world,
            self.deployment.directory / "function.json",
            cluster=CLUSTER,
            function=FUNCTION_USER,
            signer_name=self.deployment.signer.signer_name,
        )

    def new_authority(self, name: str) -> Signer:
        """Makes another CA with another key."""
        settings = self.deployment.settings
        return authority.create(
            self.deployment.kms,
            self.deployment.directory / f"{name}.pem",
            key_algorithm=settings.key_algorithm,
            signer_name=settings.signer_name,
            release=settings.release,
            log=self.deployment.log("signerctl"),
            common_name=name,
        )

    def trust(self, *certificates: Path) -> Path:
        """Changes caCert, in this order, and returns the bundle; the operator restarts the pods."""
        bundle = self.deployment.directory / f"{'-'.join(each.stem for each in certificates)}-bundle.pem"
        bundle.write_bytes(b"".join(each.read_bytes() for each in certificates))
        installation.trust(self.api, bundle)
        encoded = base64.urlsafe_b64encode(bundle.read_bytes()).decode()
        eventually(lambda: encoded in json.dumps(self.api.get(DAEMON_SET)))
        self.authority = bundle
        return bundle

    def faults(self) -> list[str]:
        """Returns what is wrong with the key pairs of the pods: an empty volume, or a certificate that does not fit."""
        return [*(f"{each} is empty" for each in sorted(self.unfilled())), *self.misfits()]

    def misfits(self) -> list[str]:
        """Returns why certificates and keys in the pods' volumes do not fit."""
        volumes = list({each.certificate: each for pod in self.pods() for each in self.parts.volumes.of(pod)}.values())
        clients = {each for each in volumes if each.trusts or each.secret in _FOR_TLS_CLIENTS}
        found = [f"{each.certificate}: the key does not fit" for each in volumes if not _fits(each)]
        verified_for = {purpose: self._verified(volumes, purpose) for purpose in ("sslserver", "sslclient")}
        found += [f"{each.certificate}: not accepted for servers" for each in set(volumes) - verified_for["sslserver"]]
        found += [f"{each.certificate}: wrong for clients" for each in clients ^ verified_for["sslclient"]]
        return found

    def _verified(self, volumes: Sequence[Filled], purpose: str) -> set[Filled]:
        """Returns those whose certificates openssl accepts for a purpose."""
        if not volumes:
            return set()
        paths, chain = [each.certificate for each in volumes], volumes[0].certificate.read_bytes()
        good = verified(paths, chain, self.authority, self.authority.parent, purposes=[purpose])
        return {each for each in volumes if each.certificate in good}

    def distrust(self) -> list[str]:
        """Returns each pair of live pods where the first does not trust the CA of the second's certificate."""
        present = [each for pod in self.pods() for each in self.parts.volumes.of(pod)]
        trusted = {each.trusts: x509.load_pem_x509_certificates(each.trusts) for each in present if each.trusts}
        issued = {each.certificate: x509.load_pem_x509_certificate(each.certificate.read_bytes()) for each in present}
        return [
            f"{one.pod_uid} does not trust {other.secret} of {other.pod_uid}"
            for one in present
            for other in present
            if one.trusts and all(ca.subject != issued[other.certificate].issuer for ca in trusted[one.trusts])
        ]

    def issued(self) -> Counter[str]:
        """Returns how many certificates the function recorded for each pod, by the pod's uid."""
        records = audit_records(self.deployment.log("function"))
        return Counter(str(each["pod_uid"]) for each in records if each["event"] == "issued")

    def reconcile(self) -> Result:
        """Compares KMS's log with the records of function and administrator."""
        logs = (self.deployment.log(part) for part in ("kms-audit", "function", "signerctl"))
        return signerctl("reconcile", *logs)

    def _configure(self, change: Callable[[Json], None]) -> None:
        path = self.deployment.directory / "function.json"
        document = json.loads(path.read_text())
        (signer,) = document["signers"]
        change(signer)
        path.write_text(json.dumps(document))
        self.deployment.function.stop()
        self.deployment.function.start()


def _fits(volume: Filled) -> bool:
    """Whether the key is the certificate's."""
    leaf, *_ = x509.load_pem_x509_certificates(volume.certificate.read_bytes())
    return load_pem_private_key(volume.key.read_bytes(), None).public_key() == leaf.public_key()
