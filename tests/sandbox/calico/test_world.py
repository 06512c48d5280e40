"""The cluster that Calico's pods live in: what is made, made once, and removed."""

import pytest

from sandbox.api import CSRS, NAMESPACES, NODES, Api, ApiError, csr_path
from sandbox.calico.client import Environment, csr_object
from sandbox.calico.components import components
from sandbox.calico.fleet import node_plan
from sandbox.calico.keys import generate
from sandbox.calico.render import OURS, CertificateManagement, PodPlan, component_pod, pod_object, resolved, variables
from sandbox.calico.request import certification_request, pem
from sandbox.calico.world import World
from tests.sandbox.calico.helpers import RELEASE, SIGNER

_NODE_ROW = components(RELEASE)[0]
_MANAGEMENT = CertificateManagement(signer_name=SIGNER)
_NODE = node_plan(0)


def _plan(name: str = "calico-node-abcde") -> PodPlan:
    return component_pod(_NODE_ROW, _MANAGEMENT, name=name, node=_NODE, addresses=())


def test_pod(world: World, api: Api) -> None:
    """A pod exists as kubelet would report it: on its node, as its account, Pending, with its node's addresses."""
    world.add_nodes([_NODE])
    pod = world.add_pods([_plan()], [_NODE])[0]
    found = api.get(f"{NAMESPACES}/calico-system/pods/calico-node-abcde")
    assert found["metadata"]["uid"] == pod.uid
    assert found["spec"]["nodeName"] == _NODE.name
    assert found["spec"]["serviceAccountName"] == "calico-node"
    assert found["spec"]["hostNetwork"] is True
    assert found["status"]["phase"] == "Pending"
    assert found["status"]["podIP"] == _NODE.addresses[0]
    assert [each["ip"] for each in found["status"]["podIPs"]] == list(_NODE.addresses)
    assert [each["ip"] for each in found["status"]["hostIPs"]] == list(_NODE.addresses)


def test_node(world: World, api: Api) -> None:
    """A node has its addresses and takes no pod of the scheduler's."""
    world.add_nodes([_NODE])
    found = api.get(f"{NODES}/{_NODE.name}")
    internal = [each["address"] for each in found["status"]["addresses"] if each["type"] == "InternalIP"]
    assert internal == list(_NODE.addresses)
    assert found["spec"]["unschedulable"] is True


def test_init_container() -> None:
    """The init container is named for the key pair and told everything by variables, three of them by kubelet."""
    container = pod_object(_plan())["spec"]["initContainers"][0]
    assert container["name"] == "node-certs-key-cert-provisioner"
    literal = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    fields = {
        each["name"]: each["valueFrom"]["fieldRef"]["fieldPath"] for each in container["env"] if "valueFrom" in each
    }
    assert literal["SIGNER"] == SIGNER
    assert literal["COMMON_NAME"] == literal["DNS_NAMES"] == "typha-client"
    assert literal["SECRET_NAME"] == "node-certs"
    assert fields == {"POD_IP": "status.podIP", "POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}


def test_making_twice_changes_nothing(world: World) -> None:
    """Everything may be there already, the pod included: it is found, not replaced."""
    world.add_nodes([_NODE])
    first = world.add_pods([_plan()], [_NODE])
    world.create(components(RELEASE))
    world.add_nodes([_NODE])
    assert world.add_pods([_plan()], [_NODE]) == first


def test_remove(own_api: Api) -> None:
    """Removing takes away what was made, and what somebody else made stays."""
    own_api.post(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "foreign"}})
    with World(own_api) as world:
        world.create(components("3.30"))
        world.add_nodes([_NODE, node_plan(1)])
        world.add_pods([_plan()], [_NODE])
        world.remove()
    names = {
        item["metadata"]["name"]
        for path in (NAMESPACES, NODES, "/api/v1/pods")
        for item in own_api.get(path)["items"]
        if "deletionTimestamp" not in item["metadata"]  # the double keeps namespaces, as nobody finalizes them
    }
    assert "foreign" in names
    assert not names & {"calico-system", "calico-apiserver", _NODE.name, "calico-node-abcde"}


def test_foreign_objects_are_not_removed(api: Api) -> None:
    """A node of the same name that somebody else made is used, and left alone."""
    api.post(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": _NODE.name}})
    with World(api) as world:
        world.add_nodes([_NODE])
        world.remove()
    found = api.get(f"{NODES}/{_NODE.name}")
    api.delete(f"{NODES}/{_NODE.name}")
    assert not (found["metadata"].get("labels") or {}).items() >= OURS.items()


def test_unbound_token(world: World) -> None:
    """A token that is bound to nothing authenticates the account, and names no pod."""
    token = world.token("calico-system", "calico-node")
    told = resolved(variables(_NODE_ROW, _MANAGEMENT), name="no-pod", namespace="calico-system", address="10.128.0.2")
    environment = Environment.from_variables(told)
    request = pem(certification_request(environment.content, generate("")))
    created = world.api.with_token(token).post(CSRS, csr_object(environment, request))
    world.remember(csr_path(environment.request_name))
    assert created["spec"]["username"] == "system:serviceaccount:calico-system:calico-node"
    assert "authentication.kubernetes.io/pod-name" not in created["spec"]["extra"]


def test_token_for_a_pod_that_is_gone(world: World) -> None:
    """No token is to be had for a pod that does not exist any more."""
    world.add_nodes([_NODE])
    pod = world.add_pods([_plan()], [_NODE])[0]
    world.delete_pod(pod)
    with pytest.raises(ApiError):
        world.token("calico-system", "calico-node", pod)
