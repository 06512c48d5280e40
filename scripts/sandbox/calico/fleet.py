"""Many Calico pods at once: a cluster that starts, or a node pool that joins.

A seed decides the pods and their keys. The fleet files several requests at a time, each with its own pod's token.
One `Observer` watches all of them, or every pod runs its own client.
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

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sandbox.api import Api
    from sandbox.calico.components import Component
    from sandbox.calico.world import Pod, World

QUICK = (("ECDSAWithCurve256", "ECDSAWithSHA256"),)
"""The recommendation of Calico's documentation, and the cheapest key."""
MIXED = tuple((key, signature) for key in KEY_ALGORITHMS for signature in signature_algorithms_for(key))
"""Every key algorithm with every matching signature algorithm."""

_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # the letters of Kubernetes' generated names
_NODE_EVERY = 2  # every second pod is a calico-node, on its own node
Networks = tuple[ipaddress.IPv4Network, ipaddress.IPv6Network]
NODE_NETWORKS: Networks = (ipaddress.IPv4Network("10.128.0.0/16"), ipaddress.IPv6Network("fd00:10:128::/64"))
"""The network of all nodes' addresses."""
POD_NETWORKS: Networks = (ipaddress.IPv4Network("10.244.0.0/16"), ipaddress.IPv6Network("fd00:10:244::/64"))
"""The network of all pods' addresses, except for pods on the host network."""
_DUAL_STACK_EVERY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One pod of a fleet and its request."""

    component: Component
    management: CertificateManagement
    plan: PodPlan
    node: NodePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One CSR that a fleet filed.

    Attributes:
        member: The pod.
        name: The CSR's name.
        uid: Its uid.
        key: The key pair that the certificate must have.
        submitted: The time of the create call, in seconds of time.monotonic.
    """

    member: Member
    name: str
    uid: str
    key: PrivateKey
    submitted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRun:
    """The end of one real client: with files, with success but no files, or with an error."""

    member: Member
    directory: Path
    wrote_files: bool
    error: str
    seconds: float


def managements(
    signer_name: str, authority_pem: bytes = b"", algorithms: Sequence[tuple[str, str]] = MIXED
) -> tuple[CertificateManagement, ...]:
    """Returns one setting per pair of key algorithm and signature algorithm; a fleet mixes them."""
    base = CertificateManagement(signer_name=signer_name, authority_pem=authority_pem)
    return tuple(replace(base, key_algorithm=key, signature_algorithm=signature) for key, signature in algorithms)


def node_plan(number: int, prefix: str = "node") -> NodePlan:
    """Returns a node with its own IPv4 address; every third node also has an IPv6 address."""
    return NodePlan(name=f"{prefix}-{number:04}", addresses=_addresses(number, NODE_NETWORKS))


def pod_addresses(number: int) -> tuple[str, ...]:
    """Returns the addresses of a pod on the pod network; every third pod also has an IPv6 address."""
    return _addresses(number, POD_NETWORKS)


def pod_name(component: Component, chance: random.Random) -> str:
    """Returns a pod name like those of the DaemonSet or Deployment controller."""
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
    """Plans the pods of a fleet.

    Args:
        count: Number of pods. Half of them belong to the first component, the others to the rest in turn.
        components: At least one.
        managements: Key types; the seed decides their order.
        seed: The same seed gives the same fleet.
        prefix: Prefix of the nodes' names.
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
        """Prepares a fleet, without API calls.

        Args:
            world: The cluster of the pods.
            members: From `plan`.
            keys: The source of their keys.
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
        """Returns the CSRs that the fleet has filed so far."""
        with self._lock:
            return list(self._submissions)

    def enter(self) -> None:
        """Makes nodes and pods, and gets a token for every pod."""
        for member in self.members:
            self._world.remember(csr_path(member.component.request_name(member.plan.name)))
        nodes = list({member.node.name: member.node for member in self.members}.values())
        self._world.add_nodes(nodes)
        self.pods = self._world.add_pods([member.plan for member in self.members], nodes)
        self.apis = [self._world.api.with_token(token) for token in self._world.pod_tokens(self.pods)]

    def prepare(self) -> None:
        """Makes all keys and CertificationRequests in advance, so that `submit` needs no time for them."""
        self._world.each(self._prepare, range(len(self.members)))

    def submit(self) -> list[Submission]:
        """Files all requests; the slowest keys come last. Returns after the last one.

        Raises:
            ApiError: The API server refused one.
        """
        order = sorted(range(len(self.members)), key=self._patience)
        self._world.each(self._submit, order)
        return self.submissions

    def submit_one(self, number: int) -> Submission:
        """Files one pod's request.

        Raises:
            ApiError: The API server refused it.
        """
        return self._submit(number)

    def run_clients(self, directory: Path, *, budget: float = client.BUDGET_SECONDS) -> list[ClientRun]:
        """Runs a real client with its own watch for every pod; files go to `directory`/POD.

        Args:
            directory: The folder for the files.
            budget: Time limit of each client in seconds.
        """
        with ThreadPoolExecutor(max_workers=max(len(self.members), 1), thread_name_prefix="client") as executor:
            return list(
                executor.map(lambda number: self._run_client(number, directory, budget), range(len(self.members)))
            )

    def environment(self, number: int, directory: str | None = None) -> client.Environment:
        """Returns the client's configuration in that pod; files go to `directory` instead of the operator's path."""
        member = self.members[number]
        told = resolved(
            variables(member.component, member.management),
            name=member.plan.name,
            namespace=member.plan.namespace,
            address=member.plan.addresses[0],
        )
        return client.Environment.from_variables(told if directory is None else told | {"CERTIFICATE_PATH": directory})

    def request(self, number: int) -> dict[str, Any]:
        """Returns the pod's CSR, for callers that file it without `submit`."""
        return self._prepare(number)[1]

    def _patience(self, number: int) -> int:
        return RSA_SIZES.get(self.members[number].management.key_algorithm, 0)

    def _prepare(self, number: int) -> tuple[PrivateKey, dict[str, Any]]:
        if number not in self._prepared:
            environment = self.environment(number)
            key = self._keys.take(environment.key_algorithm)
            self._prepared[number] = (key, client.new_csr(environment, key))
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
