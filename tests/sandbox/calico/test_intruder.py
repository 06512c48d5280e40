"""The intruder changes what everybody sees of pods and nodes, addresses and nothing else."""

import pytest

from sandbox.api import NAMESPACES, NODES, Api
from sandbox.calico import intruder
from sandbox.calico.fleet import Fleet
from sandbox.calico.intruder import Intruder
from sandbox.calico.world import Pod, World


@pytest.fixture
def intruding(world: World, fleet: Fleet) -> Intruder:
    """Somebody with the token of the fleet's first pod, a calico-node."""
    intruder.grant(world)
    return Intruder(fleet.apis[0])


def _path(pod: Pod) -> str:
    return f"{NAMESPACES}/{pod.namespace}/pods/{pod.name}"


def test_pod_gets_other_addresses(api: Api, fleet: Fleet, intruding: Intruder) -> None:
    """Its own and its host's, of another pod too, and the annotation; spec and identity stay."""
    pod = fleet.pods[3]
    before = api.get(_path(pod))
    intruding.rewrite_pod(pod, ["10.244.0.99", "2001:db8::9"])
    now = api.get(_path(pod))
    for kind in ("pod", "host"):
        assert now["status"][f"{kind}IP"] == "10.244.0.99"
        assert [each["ip"] for each in now["status"][f"{kind}IPs"]] == ["10.244.0.99", "2001:db8::9"]
    assert now["metadata"]["annotations"] == {"cni.projectcalico.org/podIP": "10.244.0.99"}
    assert (now["spec"], now["metadata"]["uid"]) == (before["spec"], before["metadata"]["uid"])


def test_pod_loses_its_addresses(api: Api, fleet: Fleet, intruding: Intruder) -> None:
    """As if kubelet had not reported any; the phase stays."""
    pod = fleet.pods[0]
    intruding.rewrite_pod(pod, [])
    status = api.get(_path(pod))["status"]
    assert status["phase"] == "Pending"
    assert not status.keys() & {"podIP", "podIPs", "hostIP", "hostIPs"}


@pytest.mark.parametrize("addresses", [["203.0.113.1"], []], ids=["other", "none"])
def test_node_gets_other_addresses_or_none(api: Api, fleet: Fleet, intruding: Intruder, addresses: list[str]) -> None:
    """Of any node, not only its own."""
    node = fleet.members[-1].node.name
    intruding.rewrite_node(node, addresses)
    found = api.get(f"{NODES}/{node}")["status"].get("addresses", [])
    assert [each["address"] for each in found] == addresses


def test_anything_may_be_said_of_pods_and_nodes(api: Api, fleet: Fleet, intruding: Intruder) -> None:
    """Megabytes; addresses, spec and identity stay."""
    pod, node, text = fleet.pods[3], f"{NODES}/{fleet.members[3].node.name}", "<" * 1_450_000
    before, node_before = api.get(_path(pod)), api.get(node)
    intruding.tell_of_pod(pod, text)
    intruding.tell_of_node(fleet.members[3].node.name, text)
    now, node_now = api.get(_path(pod)), api.get(node)
    assert now["status"] == before["status"] | {"message": text}
    assert (now["spec"], now["metadata"]["uid"]) == (before["spec"], before["metadata"]["uid"])
    assert [each["message"] for each in node_now["status"]["conditions"]] == [text]
    assert node_now["status"]["addresses"] == node_before["status"]["addresses"]
