"""Namespaces, nodes, pods and events, as far as a signer's world needs them."""

import pytest

from sandbox.api import NAMESPACES, NODES, Json
from tests.contract.kubernetes.support import Pod, Target, causes, make_namespace, refusal, unique

EVENT: Json = {"reason": "CertificateDenied", "message": "denied", "type": "Warning", "source": {"component": "signer"}}


def test_a_cluster_has_its_namespaces(target: Target) -> None:
    """The four that are always there, and a label with the name on each."""
    for name in ("default", "kube-node-lease", "kube-public", "kube-system"):
        metadata = target.api.get(f"{NAMESPACES}/{name}")["metadata"]
        assert metadata["labels"]["kubernetes.io/metadata.name"] == name


def test_nothing_is_created_in_a_namespace_that_is_not_there(target: Target) -> None:
    """404 names the namespace."""
    refused = refusal(
        lambda: target.api.post(f"{NAMESPACES}/{unique('n')}/serviceaccounts", {"metadata": {"name": "x"}})
    )
    assert refused.status == 404
    assert refused.message.startswith("namespaces")


def test_nothing_is_created_in_a_namespace_that_ends(target: Target) -> None:
    """A deleted namespace terminates, takes nothing new, and without its controller stays."""
    namespace = make_namespace(target.api)
    target.api.delete(namespace)
    assert target.api.get(namespace)["status"]["phase"] == "Terminating"
    refused = refusal(lambda: target.api.post(f"{namespace}/serviceaccounts", {"metadata": {"name": "x"}}))
    assert (refused.status, refused.reason) == (403, "Forbidden")


def test_a_pod_needs_its_service_account(target: Target) -> None:
    """Without it the pod is forbidden; nobody creates the account named default."""
    namespace = make_namespace(target.api)
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "image"}]}}
    assert refusal(lambda: target.api.post(f"{namespace}/pods", pod)).status == 403
    target.api.post(f"{namespace}/serviceaccounts", {"metadata": {"name": "default"}})
    assert target.api.post(f"{namespace}/pods", pod)["spec"]["serviceAccountName"] == "default"


def test_a_new_pod_is_pending_without_address(target: Target, pod: Pod) -> None:
    """Status comes from a kubelet, not from the creator."""
    assert pod.pod["status"]["phase"] == "Pending"
    assert "podIP" not in pod.pod["status"]


def test_addresses_are_written_through_the_status(target: Target, pod: Pod) -> None:
    """A merge-patch of pods/status sets what a kubelet would."""
    state = {"phase": "Running", "podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}, {"ip": "fd00::7"}]}
    patched = target.api.patch(f"{pod.path}/status", {"status": state})["status"]
    assert {key: patched[key] for key in state} == state
    ignored = target.api.patch(pod.path, {"status": {"podIP": "10.6.6.6"}})["status"]
    assert ignored["podIP"] == "10.0.0.7"


def test_pod_ip_wins_over_pod_ips(target: Target, pod: Pod) -> None:
    """One of the two fills the other, and where they differ podIP is right."""
    path = f"{pod.path}/status"
    assert target.api.patch(path, {"status": {"podIPs": [{"ip": "10.0.0.1"}]}})["status"]["podIP"] == "10.0.0.1"
    changed = target.api.patch(path, {"status": {"podIP": "10.0.0.2"}})["status"]
    assert changed["podIPs"] == [{"ip": "10.0.0.2"}]


def test_a_pods_service_account_does_not_change(target: Target, pod: Pod) -> None:
    """What a token was bound to stays what it was."""
    refused = refusal(lambda: target.api.patch(pod.path, {"spec": {"serviceAccountName": "other"}}))
    assert causes(refused) == {("spec", "FieldValueForbidden")}


def test_a_pod_needs_a_name_of_dns(target: Target) -> None:
    """Unlike CSRs, pods have names that are subdomains."""
    namespace = make_namespace(target.api)
    target.api.post(f"{namespace}/serviceaccounts", {"metadata": {"name": "default"}})
    pod = {"metadata": {"name": "Pod:x"}, "spec": {"containers": [{"name": "c", "image": "image"}]}}
    assert causes(refusal(lambda: target.api.post(f"{namespace}/pods", pod))) == {
        ("metadata.name", "FieldValueInvalid")
    }


def test_a_body_of_another_namespace_is_a_bad_request(target: Target) -> None:
    """Path and body must agree."""
    namespace = make_namespace(target.api)
    account = {"metadata": {"name": "x", "namespace": "default"}}
    assert refusal(lambda: target.api.post(f"{namespace}/serviceaccounts", account)).reason == "BadRequest"


def test_node_addresses_are_written_through_the_status(target: Target) -> None:
    """Addresses of a node are a claim of whoever may write its status."""
    node = target.api.post(NODES, {"metadata": {"name": unique("node")}})
    addresses = [{"type": "InternalIP", "address": "192.0.2.1"}]
    path = f"{NODES}/{node['metadata']['name']}"
    assert target.api.patch(f"{path}/status", {"status": {"addresses": addresses}})["status"]["addresses"] == addresses
    assert target.api.get(path)["status"]["addresses"] == addresses


def test_pods_are_found_by_node(target: Target, pod: Pod) -> None:
    """spec.nodeName selects pods of all namespaces."""
    found = target.api.get("/api/v1/pods", fieldSelector=f"spec.nodeName={pod.node['metadata']['name']}")
    assert [item["metadata"]["uid"] for item in found["items"]] == [pod.pod["metadata"]["uid"]]


def test_an_event_about_a_pod_is_created(target: Target, pod: Pod) -> None:
    """Events live in the namespace of what they are about, and are read back."""
    about = {"kind": "Pod", "namespace": pod.namespace, "name": pod.pod["metadata"]["name"]}
    path, name = f"{NAMESPACES}/{pod.namespace}/events", unique("event")
    target.api.post(path, {**EVENT, "metadata": {"name": name}, "involvedObject": about})
    stored = target.api.get(f"{path}/{name}")
    assert stored["involvedObject"] == about
    assert {key: stored[key] for key in EVENT} == EVENT
    again = refusal(lambda: target.api.post(path, {**EVENT, "metadata": {"name": name}, "involvedObject": about}))
    assert again.reason == "AlreadyExists"


@pytest.mark.parametrize(
    "about", [{"kind": "Pod", "namespace": "kube-public", "name": "x"}, {"kind": "Node", "name": "x"}]
)
def test_an_event_about_something_elsewhere_is_refused(target: Target, pod: Pod, about: Json) -> None:
    """Another namespace, or a cluster-wide object outside of default, is invalid."""
    event = {**EVENT, "metadata": {"name": unique("event")}, "involvedObject": about}
    refused = refusal(lambda: target.api.post(f"{NAMESPACES}/{pod.namespace}/events", event))
    assert causes(refused) == {("involvedObject.namespace", "FieldValueInvalid")}


def test_a_generated_name_begins_with_its_prefix(target: Target, pod: Pod) -> None:
    """Whoever does not care for the name leaves it to the API server."""
    about = {"kind": "Pod", "namespace": pod.namespace, "name": "x"}
    event = {**EVENT, "metadata": {"generateName": "denied."}, "involvedObject": about}
    made = target.api.post(f"{NAMESPACES}/{pod.namespace}/events", event)
    assert made["metadata"]["name"].startswith("denied.")
    assert len(made["metadata"]["name"]) > len("denied.")
