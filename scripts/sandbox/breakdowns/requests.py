"""Pods of Calico that ask for certificates while a breakdown lasts; kubelet has not reported their addresses yet."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sandbox.api import csr_path
from sandbox.calico import client
from sandbox.calico.components import components
from sandbox.calico.fleet import node_plan, pod_addresses, pod_name
from sandbox.calico.keys import generate
from sandbox.calico.render import CertificateManagement, component_pod, resolved, variables

if TYPE_CHECKING:
    from sandbox.calico.world import Pod
    from sandbox.deployment import Deployment

_KEY, _SIGNATURE = "ECDSAWithCurve256", "ECDSAWithSHA256"
_NUMBERS = (40_000, 60_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One pod's CSR."""

    pod: Pod
    name: str
    uid: str


def file(deployment: Deployment, workload: str) -> Request:
    """Creates a pod of a workload, and files its CSR with the pod's token.

    Raises:
        ApiError: The API server refused it.
    """
    world, settings = deployment.world, deployment.settings
    component = next(row for row in components(settings.release) if row.workload == workload)
    management = CertificateManagement(
        signer_name=settings.signer_name, key_algorithm=_KEY, signature_algorithm=_SIGNATURE
    )
    chance = random.SystemRandom()
    number = chance.randrange(*_NUMBERS)
    node = node_plan(number, "breakdown")
    name = pod_name(component, chance)
    plan = component_pod(component, management, name=name, node=node, addresses=pod_addresses(number))
    world.add_nodes([node])
    pod = world.add_pods([replace(plan, addresses=())], [node])[0]
    told = resolved(variables(component, management), name=name, namespace=pod.namespace, address=plan.addresses[0])
    environment = client.Environment.from_variables(told)
    api = world.api.with_token(world.token(pod.namespace, pod.service_account, pod))
    created = client.submit(api, client.new_csr(environment, generate(_KEY)))
    world.remember(csr_path(environment.request_name))
    return Request(pod=pod, name=created["metadata"]["name"], uid=created["metadata"]["uid"])
