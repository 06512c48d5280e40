"""Attacks that are ready to file: the stories, with pods and tokens of a cluster.

Every story has its own pod, and its account may file CSRs, like Calico's accounts. `Story.expected_codes` has the
violation codes of a correct refusal.
"""

from __future__ import annotations

import base64
import contextlib
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sandbox.api import CSRS, ApiError, csr_path
from sandbox.calico.components import Component, components
from sandbox.calico.fleet import node_plan, pod_addresses, pod_name
from sandbox.calico.render import CertificateManagement, NodePlan, PodPlan, component_pod
from sandbox.calico.request import Content
from sandbox.calico.stories import STORIES, Story
from sandbox.calico.twists import Draft, Victim, elliptic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.calico.world import Pod, World

_FIRST_NUMBER = 20_000  # the attackers' nodes and addresses come after those of any fleet
_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacker:
    """One story, ready to be filed.

    Attributes:
        story: The attack and its expected refusal.
        plan: The attacking pod.
        node: Its node.
        pod: The pod as it exists.
        token: The token that files the CSR.
        csr: The CSR.
    """

    story: Story
    plan: PodPlan
    node: NodePlan
    pod: Pod
    token: str
    csr: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """The API server's answer to an attack: the CSR's uid, or an error."""

    attacker: Attacker
    uid: str
    rejection: str


def prepare(
    world: World,
    signer_name: str,
    *,
    release: str,
    stories: Sequence[Story] = STORIES,
    seed: int = 0,
    prefix: str = "attacked-node",
) -> list[Attacker]:
    """Makes the pods of the attackers and of a victim, and their requests.

    Args:
        world: The cluster, after `World.create` for the same release.
        signer_name: The signerName of their CSRs.
        release: Calico's release.
        stories: Which attacks.
        seed: The same seed gives the same names.
        prefix: Of the nodes' names.
    """
    chance = random.Random(seed)  # noqa: S311  # reproducible, not secret
    management = CertificateManagement(signer_name=signer_name)
    rows = {row.workload: row for row in components(release)}
    numbers = range(_FIRST_NUMBER, _FIRST_NUMBER + 1 + len(stories))
    nodes = [node_plan(number, prefix) for number in numbers]
    # The first node has the victim, another calico-node pod.
    asked = [rows["calico-node"], *(rows[story.workload] for story in stories)]
    plans = [
        component_pod(row, management, name=pod_name(row, chance), node=node, addresses=pod_addresses(number))
        for row, node, number in zip(asked, nodes, numbers, strict=True)
    ]
    plans[1:] = [_as_account(plan, story) for plan, story in zip(plans[1:], stories, strict=True)]
    _add_accounts(world, stories)
    world.add_nodes(nodes)
    pods = world.add_pods(plans, nodes)
    for row, plan in zip(asked, plans, strict=True):
        world.remember(csr_path(row.request_name(plan.name)))
    victim = Victim(request_name=asked[0].request_name(plans[0].name))
    return [
        Attacker(
            story=story,
            plan=plan,
            node=node,
            pod=pod,
            token=_token(world, story, pod),
            csr=_csr(story, row, plan, signer_name, victim),
        )
        for story, row, plan, node, pod in zip(stories, asked[1:], plans[1:], nodes[1:], pods[1:], strict=True)
    ]


def file(world: World, attacker: Attacker) -> Filed:
    """Files an attack's CSR.

    Raises:
        ApiError: The API server refused it, and not because the token's pod is gone.
    """
    api = world.api.with_token(attacker.token)
    if attacker.story.token == "replaced":  # noqa: S105  # a kind of token
        _replace_pod(world, attacker)
    try:
        created = api.post(CSRS, attacker.csr)
    except ApiError as error:
        if error.status != _UNAUTHORIZED or attacker.story.token != "replaced":  # noqa: S105  # a kind of token
            raise
        return Filed(attacker=attacker, uid="", rejection=str(error))
    return Filed(attacker=attacker, uid=created["metadata"]["uid"], rejection="")


def _replace_pod(world: World, attacker: Attacker) -> None:
    """Deletes the token's pod and makes another of its name.

    A real API server caches a valid token for about 10 s, so this function uses the token once before.
    """
    with contextlib.suppress(ApiError):  # there is no such CSR, but the API server checked the token
        world.api.with_token(attacker.token).delete(csr_path("no-such-request"))
    world.delete_pod(attacker.pod)
    world.add_pods([attacker.plan], [attacker.node])


def _as_account(plan: PodPlan, story: Story) -> PodPlan:
    if story.runs_as is None:
        return plan
    namespace, service_account = story.runs_as
    return replace(plan, namespace=namespace, service_account=service_account)


def _add_accounts(world: World, stories: Sequence[Story]) -> None:
    for namespace, account in dict.fromkeys(story.runs_as for story in stories if story.runs_as is not None):
        world.add_namespace(namespace)
        world.add_service_account(namespace, account, binding=f"{namespace}-{account}:csr-creator")


def _token(world: World, story: Story, pod: Pod) -> str:
    bound = None if story.token == "unbound" else pod  # noqa: S105  # a kind of token
    return world.token(pod.namespace, pod.service_account, bound)


def _csr(story: Story, row: Component, plan: PodPlan, signer_name: str, victim: Victim) -> dict[str, Any]:
    content = Content(common_name=row.common_name, dns_names=row.dns_names, address=plan.addresses[0])
    draft = Draft(request_name=row.request_name(plan.name), content=content, encode=elliptic)
    draft = story.twist(draft, victim)
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": draft.request_name, "labels": {"k8s-app": row.namespace}},
        "spec": {
            "request": base64.b64encode(draft.wrap(draft.encode(draft.content))).decode(),
            "signerName": signer_name,
            "usages": list(draft.usages),
        },
    }
