"""Namespaces, nodes, pods and events, as far as a signer's world needs them."""

from sandbox.api import NAMESPACES, NODES, Json
from tests.contract.kubernetes.support import Pod, Target, causes, encoded, make_namespace, real_only, refusal, unique

EVENT: Json = {"reason": "CertificateDenied", "message": "denied", "type": "Warning", "source": {"component": "signer"}}


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


def test_pods_are_selected_by_service_account(target: Target, pod: Pod) -> None:
    """The selector names an account, which may have no pod."""
    pods = pod.path.rpartition("/")[0]
    for account, names in ((pod.account, [pod.pod["metadata"]["name"]]), (unique("sa"), [])):
        page = target.api.get(pods, fieldSelector=f"spec.serviceAccountName={account}")
        assert [each["metadata"]["name"] for each in page["items"]] == names


@real_only
def test_pod_ip_wins_over_pod_ips(target: Target, pod: Pod) -> None:
    """One of the two fills the other, and where they differ podIP is right."""
    path = f"{pod.path}/status"
    assert target.api.patch(path, {"status": {"podIPs": [{"ip": "10.0.0.1"}]}})["status"]["podIP"] == "10.0.0.1"
    changed = target.api.patch(path, {"status": {"podIP": "10.0.0.2"}})["status"]
    assert changed["podIPs"] == [{"ip": "10.0.0.2"}]


@real_only
def test_a_pods_service_account_does_not_change(target: Target, pod: Pod) -> None:
    """What a token was bound to stays what it was."""
    refused = refusal(lambda: target.api.patch(pod.path, {"spec": {"serviceAccountName": "other"}}))
    assert causes(refused) == {("spec", "FieldValueForbidden")}


@real_only
def test_a_pod_needs_a_name_of_dns(target: Target) -> None:
    """Unlike CSRs, pods have names that are subdomains."""
    namespace = make_namespace(target.api)
    target.api.post(f"{namespace}/serviceaccounts", {"metadata": {"name": "default"}})
    pod = {"metadata": {"name": "Pod:x"}, "spec": {"containers": [{"name": "c", "image": "image"}]}}
    assert causes(refusal(lambda: target.api.post(f"{namespace}/pods", pod))) == {
        ("metadata.name", "FieldValueInvalid")
    }


def test_node_addresses_are_written_through_the_status(target: Target) -> None:
    """Addresses of a node are a claim of whoever may write its status."""
    node = target.api.post(NODES, {"metadata": {"name": unique("node")}})
    addresses = [{"type": "InternalIP", "address": "192.0.2.1"}]
    path = f"{NODES}/{node['metadata']['name']}"
    assert target.api.patch(f"{path}/status", {"status": {"addresses": addresses}})["status"]["addresses"] == addresses
    assert target.api.get(path)["status"]["addresses"] == addresses


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


def test_a_secret_is_replaced_only_in_the_version_that_was_read(target: Target) -> None:
    """A Secret is created once; a PUT changes its data, and a PUT of an older version is a conflict."""
    path, name = f"{make_namespace(target.api)}/secrets", unique("secret")
    body = {"metadata": {"name": name}, "type": "kubernetes.io/tls", "data": {"tls.crt": encoded(b"1"), "tls.key": ""}}
    absent = refusal(lambda: target.api.get(f"{path}/{name}"))
    assert (absent.status, absent.reason) == (404, "NotFound")
    made = target.api.post(path, body)
    assert refusal(lambda: target.api.post(path, body)).reason == "AlreadyExists"
    changed = {**made, "data": {"tls.crt": encoded(b"2"), "tls.key": ""}}
    target.api.put(f"{path}/{name}", changed)
    stored = target.api.get(f"{path}/{name}")
    assert (stored["type"], stored["data"]) == (body["type"], changed["data"])
    refused = refusal(lambda: target.api.put(f"{path}/{name}", made))
    assert (refused.status, refused.reason) == (409, "Conflict")
    assert target.api.get(f"{path}/{name}") == stored
