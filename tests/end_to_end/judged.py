"""A deployment with several signers, what is seen of it, and what makes its pods and lies about them."""

import base64
import itertools
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509

from csr_signer.policy.profile import SHIPPED
from sandbox.api import CSRS, NAMESPACES, NODES, csr_path
from sandbox.calico import attackers, intruder, twists
from sandbox.calico.attackers import Attacker, Filed
from sandbox.calico.components import components
from sandbox.calico.fleet import NODE_NETWORKS, POD_NETWORKS, Fleet, node_plan
from sandbox.calico.intruder import Intruder
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observation, Observer
from sandbox.calico.render import NodePlan, PodPlan
from sandbox.calico.request import DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, SERVER_AUTH, Content, pem
from sandbox.calico.stories import Story
from sandbox.calico.world import Pod
from sandbox.deployment import Deployment
from sandbox.managed_fields import nested
from tests.end_to_end.conftest import PATIENCE, audit_records, fleet_maker

HIDDEN = {"podIP": None, "podIPs": None, "hostIP": None, "hostIPs": None}


def certifying_profile(path: Path, release: str) -> Path:
    """Writes a user's profile: Calico's, but with certified addresses, of nodes or of pods as each component has."""
    on_host = {row.service_account: row.host_network for row in components(release)}
    profile = yaml.safe_load((SHIPPED / "calico.yaml").read_text(encoding="utf-8"))
    for row in profile["components"]:
        account = row["service_accounts"][0].partition("/")[2]
        networks = NODE_NETWORKS if on_host.get(account) else POD_NETWORKS
        row |= {"addresses": "pod", "address_ranges": [str(network) for network in networks]}
    path.write_text(yaml.safe_dump(profile), encoding="utf-8")
    return path


class Judged:
    """The deployment as the stories use it.

    Attributes:
        deployment: what runs.
        signer_name: of Calico's pods, judged by the shipped profile.
    """

    def __init__(self, deployment: Deployment, keys: KeyPool, observer: Observer) -> None:
        self.deployment = deployment
        self.signer_name = deployment.signer.signer_name
        self._make_fleet = fleet_maker(deployment, keys)
        self._observer = observer
        self._numbers = itertools.count(1)
        intruder.grant(deployment.world)

    def fleet(self, count: int, signer_name: str = "") -> Fleet:
        """Calico's pods with tokens and prepared requests; `submit` files them."""
        return self._make_fleet(count, signer_name=signer_name)

    def attackers(self, *stories: Story, signer_name: str = "") -> list[Attacker]:
        """Pods with requests that are wrong, ready to be filed."""
        number = next(self._numbers)
        return attackers.prepare(
            self.deployment.world,
            signer_name or self.signer_name,
            release=self.deployment.settings.release,
            stories=stories,
            seed=1000 + number,
            prefix=f"attacked{number}",
        )

    def file(self, prepared: Iterable[Attacker]) -> list[Filed]:
        """Files their requests."""
        return [attackers.file(self.deployment.world, attacker) for attacker in prepared]

    def file_nested(self, prepared: Iterable[Attacker], depths: Iterable[int]) -> list[str]:
        """Files their requests with managedFields of these depths; gives the CSRs' uids."""
        filed = []
        for attacker, depth in zip(prepared, depths, strict=True):
            api = self.deployment.api.with_token(attacker.token)
            filed.append(str(api.post(CSRS, nested(attacker.csr, depth))["metadata"]["uid"]))
        return filed

    def postgres(self, signer_name: str, *of: str) -> list[x509.Certificate]:
        """Certificates of the pods of a StatefulSet `postgres`, one for each address."""
        world, node = self.deployment.world, node_plan(50_000, "databases")
        world.add_service_account("databases", "postgres")
        world.add_nodes([node])
        plans = [
            PodPlan(
                name=f"postgres-{number}",
                namespace="databases",
                service_account="postgres",
                node=node.name,
                addresses=(address,),
                host_network=False,
            )
            for number, address in enumerate(of)
        ]
        pods = world.add_pods(plans, [node])
        ended = self.ended([self._ask(signer_name, pod) for pod in pods])
        assert {each.state for each in ended} == {"Approved,Issued"}
        return [x509.load_pem_x509_certificate(each.certificate) for each in ended]

    def _ask(self, signer_name: str, pod: Pod) -> str:
        """Files what a PostgreSQL pod would ask for, with its own token; gives the CSR's uid."""
        name = f"{pod.name}.postgres.{pod.namespace}.svc"
        content = Content(
            common_name=name,
            dns_names=(name, f"{name}.cluster.local"),
            address=pod.addresses[0],
            subject=(),
            key_usage=(DIGITAL_SIGNATURE, KEY_ENCIPHERMENT),
            extended_key_usage=(SERVER_AUTH,),
        )
        spec = {
            "request": base64.b64encode(pem(twists.elliptic(content))).decode(),
            "signerName": signer_name,
            "usages": ["digital signature", "key encipherment", "server auth"],
        }
        token = self.deployment.world.token(pod.namespace, pod.service_account, pod)
        csr = {"metadata": {"name": f"postgres:{pod.name}"}, "spec": spec}
        return str(self.deployment.api.with_token(token).post(CSRS, csr)["metadata"]["uid"])

    def intruder(self, pod: Pod) -> Intruder:
        """Somebody with that pod's token."""
        return Intruder(
            self.deployment.api.with_token(self.deployment.world.token(pod.namespace, pod.service_account, pod))
        )

    @contextmanager
    def before_anybody_looks(self) -> Iterator[None]:
        """What is done inside is done before the signer sees what was filed inside."""
        self.deployment.kill_exporter()
        yield
        self.deployment.start_exporter()

    def ended(self, uids: Iterable[str]) -> list[Observation]:
        """How these CSRs ended, in their order; fails where one does not in time."""
        wanted = list(uids)
        assert self._observer.wait(wanted, PATIENCE)
        seen = self._observer.observations()
        return [seen[uid] for uid in wanted]

    def issued(self, fleet: Fleet) -> list[x509.Certificate]:
        """Certificates of a fleet, in the order of its submissions; fails where one is not issued."""
        assert len(fleet.submissions) == len(fleet.members)
        ended = self.ended([submission.uid for submission in fleet.submissions])
        assert {each.state for each in ended} == {"Approved,Issued"}
        return [x509.load_pem_x509_certificate(each.certificate) for each in ended]

    def statuses(self, fleet: Fleet) -> list[dict[str, Any]]:
        """The status of every CSR of a fleet as the API server has it."""
        return [self.deployment.api.get(csr_path(submission.name))["status"] for submission in fleet.submissions]

    def audited(self, uid: str, *events: str) -> list[dict[str, Any]]:
        """The function's records of one CSR, of these kinds."""
        records = audit_records(self.deployment.log("function"))
        return [record for record in records if record["csr_uid"] == uid and record["event"] in events]

    def outcomes(self) -> list[dict[str, Any]]:
        """The function's records of how CSRs ended, of all that it ever issued or refused."""
        return [
            each for each in audit_records(self.deployment.log("function")) if each["event"] in ("issued", "refused")
        ]

    def reports(self, namespace: str) -> list[dict[str, Any]]:
        """The Events of a namespace."""
        items: list[dict[str, Any]] = self.deployment.api.get(f"{NAMESPACES}/{namespace}/events")["items"]
        return items

    def acknowledged(self) -> set[str]:
        """Uids of the CSRs whose events the exporter has an answer to that ends them."""
        lines = self.deployment.log("exporter").read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
        records = [json.loads(line) for line in lines if line.startswith("{")]
        return {record["uid"] for record in records if record.get("message") == "acknowledged"}

    def hide(self, fleet: Fleet) -> None:
        """Takes away all addresses of a fleet's pods and nodes, as if kubelet had not reported yet."""
        for pod in fleet.pods:
            path = f"{NAMESPACES}/{pod.namespace}/pods/{pod.name}/status"
            self.deployment.api.patch(path, {"status": HIDDEN})
        for node in nodes_of(fleet):
            self.deployment.api.patch(f"{NODES}/{node.name}/status", {"status": {"addresses": []}})

    def show(self, fleet: Fleet) -> None:
        """Reports them again, as kubelet does."""
        self.deployment.world.add_pods([member.plan for member in fleet.members], nodes_of(fleet))
        for node in nodes_of(fleet):
            listed = [{"type": "InternalIP", "address": address} for address in node.addresses]
            self.deployment.api.patch(f"{NODES}/{node.name}/status", {"status": {"addresses": listed}})


def nodes_of(fleet: Fleet) -> list[NodePlan]:
    """Each node once."""
    return list({member.node.name: member.node for member in fleet.members}.values())


def addresses(certificate: x509.Certificate | x509.CertificateSigningRequest) -> list[str]:
    """Addresses that a certificate is for, or is asked for."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(address) for address in names.get_values_for_type(x509.IPAddress)]
