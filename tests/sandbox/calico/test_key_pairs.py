"""Goldmane and Whisker wait for Secrets; the operator's part mounts them."""

import base64

from sandbox.api import CSRS, NAMESPACES, Api
from sandbox.calico.components import CALICO_SYSTEM, components
from sandbox.calico.fleet import node_plan
from sandbox.calico.key_pairs import OPERATOR, WORKLOADS, Workloads, key_pairs
from sandbox.calico.world import World
from tests.sandbox.calico.helpers import RELEASE

FILES = {"tls.crt": b"certificate", "tls.key": b"key"}
KEY_PAIRS = GOLDMANE, WHISKER, BACKEND = key_pairs("3.33")
SECRETS = "/api/v1/secrets"


def make(world: World) -> Workloads:
    """Goldmane and Whisker, on a node of their own."""
    node = node_plan(0)
    world.add_nodes([node])
    workloads = Workloads(world, node, release="3.33")
    workloads.create()
    return workloads


def add_secret(api: Api, namespace: str, name: str) -> None:
    """Creates a Secret as `signerctl key-pairs` does."""
    data = {key: base64.b64encode(value).decode() for key, value in FILES.items()}
    body = {"metadata": {"name": name}, "type": "kubernetes.io/tls", "data": data}
    api.post(f"{NAMESPACES}/{namespace}/secrets", body)


def test_volumes_are_empty_until_the_secrets_exist(own_api: Api) -> None:
    """A new pod mounts each Secret that exists, also Goldmane's, which the operator copies from its own namespace."""
    with World(own_api) as world:
        world.create(components(RELEASE))
        workloads = make(world)
        assert [workloads.mounted(each) for each in KEY_PAIRS] == [{}, {}, {}]
        add_secret(own_api, OPERATOR, GOLDMANE.secret)
        add_secret(own_api, CALICO_SYSTEM, BACKEND.secret)
        workloads.roll()
        assert [workloads.mounted(each) for each in KEY_PAIRS] == [FILES, {}, FILES]
        pods = own_api.get(f"{NAMESPACES}/{CALICO_SYSTEM}/pods")["items"]
        assert sorted(each["spec"]["serviceAccountName"] for each in pods) == sorted(WORKLOADS)


def test_present_secrets_are_found(own_api: Api) -> None:
    """Those where the operator looks, and those that pods mount."""
    with World(own_api) as world:
        world.create(components(RELEASE))
        workloads = make(world)
        assert workloads.present() == []
        add_secret(own_api, CALICO_SYSTEM, GOLDMANE.secret)
        add_secret(own_api, CALICO_SYSTEM, WHISKER.secret)
        assert workloads.present() == [
            f"{NAMESPACES}/{CALICO_SYSTEM}/secrets/{each.secret}" for each in (GOLDMANE, WHISKER)
        ]


def test_releases() -> None:
    """Whisker's own key pair exists since 3.33, as in the profile."""
    assert key_pairs("3.29") == ()
    assert key_pairs("3.31") == key_pairs("3.32") == (GOLDMANE, BACKEND)


def test_removal(own_api: Api) -> None:
    """The world deletes what the command made, and all that the demo made; it keeps another Secret."""
    with World(own_api) as world:
        world.create(components(RELEASE))
        workloads = make(world)
        workloads.remember()
        for each in KEY_PAIRS:
            add_secret(own_api, each.namespace, each.secret)
            csr = {"metadata": {"name": f"{each.secret}:{each.workload}-1"}, "spec": {"request": ""}}
            own_api.post(CSRS, csr)
        add_secret(own_api, CALICO_SYSTEM, "another")
        workloads.roll()
        world.remove()
    assert [each["metadata"]["name"] for each in own_api.get(SECRETS)["items"]] == ["another"]
    assert own_api.get(CSRS)["items"] == own_api.get("/api/v1/pods")["items"] == []
