"""Many Calico pods at once: a cluster that starts, or a node pool that joins.

Which pods with which keys is decided by a seed alone. Requests go out several at a time, each with its own
pod's token; one `Observer` sees what becomes of them, or every pod runs a client of its own.
"""

from __future__ import annotations

import ipaddress
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sandbox.api import csr_path
from sandbox.calico import client
from sandbox.calico.keys import KEY_ALGORITHMS, RSA_SIZES, KeyPool, PrivateKey, signature_algorithms_for
from sandbox.calico.render import CertificateManagement, NodePlan, PodPlan, component_pod, resolved, variables
from sandbox.calico.request import certification_request, pem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sandbox.api import Api
    from sandbox.calico.components import Component
    from sandbox.calico.world import Pod, World

QUICK = (("ECDSAWithCurve256", "ECDSAWithSHA256"),)
"""What the documentation of Calico recommends, and what costs the least."""
MIXED = tuple((key, signature) for key in KEY_ALGORITHMS for signature in signature_algorithms_for(key))
"""Every key algorithm with every signature algorithm that goes with it."""

_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # those of generated names in Kubernetes
_NODE_EVERY = 2  # of two pods one is a calico-node, on a node of its own
Networks = tuple[ipaddress.IPv4Network, ipaddress.IPv6Network]
NODE_NETWORKS: Networks = (ipaddress.IPv4Network("10.128.0.0/16"), ipaddress.IPv6Network("fd00:10:128::/64"))
"""Where the addresses of all nodes lie."""
POD_NETWORKS: Networks = (ipaddress.IPv4Network("10.244.0.0/16"), ipaddress.IPv6Network("fd00:10:244::/64"))
"""Where the addresses of all pods lie that are not on their host's network."""
_DUAL_STACK_EVERY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One pod of a fleet and what it will ask for."""

    component: Component
    management: CertificateManagement
    plan: PodPlan
    node: NodePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One CSR that a fleet filed.

    Attributes:
        member: For whom.
        name: The CSR's name.
        uid: Its uid.
        key: The key pair that the certificate must be for.
        submitted: When its creation was asked for, in seconds of time.monotonic.
    """

    member: Member
    name: str
    uid: str
    key: PrivateKey
    submitted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRun:
    """How one real client ended: with files, with success but no files, or with an error."""

    member: Member
    directory: Path
    wrote_files: bool
    error: str
    seconds: float


def managements(
    signer_name: str, authority_pem: bytes = b"", algorithms: Sequence[tuple[str, str]] = MIXED
) -> tuple[CertificateManagement, ...]:
    """The settings of one cluster per pair of key algorithm and signature algorithm; a fleet mixes them."""
    base = CertificateManagement(signer_name=signer_name, authority_pem=authority_pem)
    return tuple(replace(base, key_algorithm=key, signature_algorithm=signature) for key, signature in algorithms)


def node_plan(number: int, prefix: str = "node") -> NodePlan:
    """A node with an IPv4 address of its own; every third has an IPv6 address too."""
    return NodePlan(name=f"{prefix}-{number:04}", addresses=_addresses(number, NODE_NETWORKS))


def pod_addresses(number: int) -> tuple[str, ...]:
    """Addresses of a pod that is not on its host's network; every third has an IPv6 address too."""
    return _addresses(number, POD_NETWORKS)


def pod_name(component: Component, chance: random.Random) -> str:
    """A name as the DaemonSet's or Deployment's controller gives it."""
    suffix = _letters(chance, 5)
    if component.kind == "DaemonSet":
        return f"{component.workload}-{suffix}"
    return f"{component.workload}-{_letters(chance, 10)}-{suffix}"


def plan(
    count: int,
    *,
    components: Sequence[Component],
    managements: Sequence[CertificateManagement],
    seed: int = 0,
    prefix: str = "node",
) -> tuple[Member, ...]:
    """Decide on the pods of a fleet.

    Args:
        count: How many. Half of them are of the first component, the others of the rest in turns.
        components: At least one.
        managements: Key types, dealt out in an order that the seed decides.
        seed: The same seed gives the same fleet.
        prefix: Of the nodes' names.
    """
    chance = random.Random(seed)  # noqa: S311  # reproducible, not secret
    deck = list(managements)
    members: list[Member] = []
    for number in range(count):
        if number % len(deck) == 0:
            chance.shuffle(deck)
        turn, other = divmod(number, _NODE_EVERY)
        component = components[0] if other == 0 else components[1:][turn % (len(components) - 1)]
        node = node_plan(turn, prefix)
        management = deck[number % len(deck)]
        pod = component_pod(
            component,
            management,
            name=pod_name(component, chance),
            node=node,
            addresses=pod_addresses(number),
        )
        members.append(Member(component=component, management=management, plan=pod, node=node))
    return tuple(members)


class Fleet:
    """The pods of a plan, from their creation to their requests."""

    def __init__(self, world: World, members: Sequence[Member], *, keys: KeyPool) -> None:
        """Nothing is made yet.

        Args:
            world: Where the pods will be.
            members: From `plan`.
            keys: Where their keys come from.
        """
        self._world = world
        self._keys = keys
        self.members = tuple(members)
        self.pods: list[Pod] = []
        """The pods once they exist, in the order of the members."""
        self.apis: list[Api] = []
        """The API server as each pod sees it."""
        self._prepared: dict[int, tuple[PrivateKey, dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._submissions: list[Submission] = []

    @property
    def submissions(self) -> list[Submission]:
        """What was filed so far."""
        with self._lock:
            return list(self._submissions)

    def enter(self) -> None:
        """Make nodes and pods, and get every pod its token."""
        for member in self.members:
            self._world.remember(csr_path(member.component.request_name(member.plan.name)))
        nodes = list({member.node.name: member.node for member in self.members}.values())
        self._world.add_nodes(nodes)
        self.pods = self._world.add_pods([member.plan for member in self.members], nodes)
        self.apis = [self._world.api.with_token(token) for token in self._world.pod_tokens(self.pods)]

    def prepare(self) -> None:
        """Make every key and CertificationRequest ahead, so that `submit` takes no time for them."""
        self._world.each(self._prepare, range(len(self.members)))

    def submit(self) -> list[Submission]:
        """File all requests, those last whose keys take the longest; return when all are filed.

        Raises:
            ApiError: The API server refused one.
        """
        order = sorted(range(len(self.members)), key=self._patience)
        self._world.each(self._submit, order)
        return self.submissions

    def submit_one(self, number: int) -> Submission:
        """File one pod's request; return when it is filed.

        Raises:
            ApiError: The API server refused it.
        """
        return self._submit(number)

    def run_clients(self, directory: Path, *, budget: float = client.BUDGET_SECONDS) -> list[ClientRun]:
        """Run a real client for every pod, each with its own watch; files go to `directory`/POD.

        Args:
            directory: Where to.
            budget: Seconds that each client has.
        """
        with ThreadPoolExecutor(max_workers=max(len(self.members), 1), thread_name_prefix="client") as executor:
            return list(
                executor.map(lambda number: self._run_client(number, directory, budget), range(len(self.members)))
            )

    def environment(self, number: int, directory: str | None = None) -> client.Environment:
        """What the client in that pod is told; files go to `directory` instead of the operator's path."""
        member = self.members[number]
        told = resolved(
            variables(member.component, member.management),
            name=member.plan.name,
            namespace=member.plan.namespace,
            address=member.plan.addresses[0],
        )
        return client.Environment.from_variables(told if directory is None else told | {"CERTIFICATE_PATH": directory})

    def request(self, number: int) -> dict[str, Any]:
        """The CSR that this pod files, for whoever files it otherwise than `submit` does."""
        return self._prepare(number)[1]

    def _patience(self, number: int) -> int:
        return RSA_SIZES.get(self.members[number].management.key_algorithm, 0)

    def _prepare(self, number: int) -> tuple[PrivateKey, dict[str, Any]]:
        if number not in self._prepared:
            environment = self.environment(number)
            key = self._keys.take(environment.key_algorithm)
            request = certification_request(environment.content, key, environment.signature_algorithm)
            self._prepared[number] = (key, client.csr_object(environment, pem(request)))
        return self._prepared[number]

    def _submit(self, number: int) -> Submission:
        key, csr = self._prepare(number)
        submitted = time.monotonic()
        created = client.submit(self.apis[number], csr)
        submission = Submission(
            member=self.members[number],
            name=created["metadata"]["name"],
            uid=created["metadata"]["uid"],
            key=key,
            submitted=submitted,
        )
        with self._lock:
            self._submissions.append(submission)
        return submission

    def _run_client(self, number: int, directory: Path, budget: float) -> ClientRun:
        begun = time.monotonic()
        target = directory / self.members[number].plan.name
        environment = self.environment(number, str(target))
        key = self._keys.take(environment.key_algorithm)
        error, wrote_files = "", False
        try:
            wrote_files = client.run(environment, self.apis[number], key=key, budget=budget)
        except client.ClientError as problem:
            error = str(problem)
        return ClientRun(
            member=self.members[number],
            directory=target,
            wrote_files=wrote_files,
            error=error,
            seconds=time.monotonic() - begun,
        )


def _addresses(number: int, networks: Networks) -> tuple[str, ...]:
    addresses = tuple(str(network[number + 2]) for network in networks)
    return addresses if number % _DUAL_STACK_EVERY == 0 else addresses[:1]


def _letters(chance: random.Random, count: int) -> str:
    return "".join(chance.choices(_NAME_LETTERS, k=count))
