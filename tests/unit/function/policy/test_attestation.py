"""Step 5, attest: every link of the chain of proof, from what the API server recorded to the live pod."""

import json
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csr_signer.errors import ItemError, UnavailableError
from csr_signer.objects.csr import Requester
from csr_signer.objects.pod import Node, Pod, PodIdentity
from csr_signer.policy.attestation import (
    CREDENTIAL_ID,
    NODE_NAME,
    POD_NAME,
    Attestation,
    Observation,
    attest,
    identify,
)
from tests.unit.function.builders import (
    ADDRESS,
    NODE,
    POD,
    POD_IDENTIFIER,
    Case,
    make_attestation,
    make_csr,
    make_extra,
    make_node,
    make_node_object,
    make_pod,
    make_pod_object,
)
from tests.unit.function.tables import POD_CASES, REQUESTER_CASES

IDENTITY = PodIdentity(
    namespace="calico-system",
    service_account="calico-node",
    pod_name=POD,
    pod_uid=POD_IDENTIFIER,
    node_name=NODE,
)


def test_a_pod_bound_token_names_its_pod() -> None:
    """Namespace and account come from the username, pod and node from the token's extras."""
    assert identify(make_csr().requester) == IDENTITY


def test_before_kubernetes_1_30_no_node_is_named() -> None:
    """A token without a node is good; the pod's node is then not compared."""
    extra = {key: values for key, values in make_extra().items() if key != NODE_NAME}
    identity = identify(make_csr(extra=extra).requester)
    assert isinstance(identity, PodIdentity)
    assert identity.node_name is None
    assert attest(identity, make_pod(node="any")).violations == ()


def test_the_live_pod_of_the_token_is_attested() -> None:
    """The chain of proof ends at the pod with the token's uid, and nothing is broken."""
    pod = make_pod()
    visible = frozenset({ip_address(ADDRESS)})
    seen = Observation(pod=pod, node=None)
    attestation = Attestation(identity=IDENTITY, pod=pod, addresses=visible, violations=(), observation=seen)
    assert attest(IDENTITY, pod) == attestation


def test_on_the_host_network_only_the_nodes_addresses_count() -> None:
    """The addresses of a pod on the host network are its node's; its own status does not count."""
    node = make_node(addresses=[("InternalIP", "10.132.0.99"), ("ExternalIP", "2001:db8::99"), ("Hostname", ADDRESS)])
    visible = attest(IDENTITY, make_pod(), node).addresses
    assert visible == {ip_address("10.132.0.99"), ip_address("2001:db8::99")}
    assert attest(IDENTITY, make_pod(), Node()).addresses == frozenset()


def test_a_gone_pod_has_no_visible_addresses() -> None:
    """Another pod's addresses are not the requester's."""
    gone = attest(IDENTITY, make_pod(uid="another"))
    assert (gone.pod, gone.addresses) == (None, frozenset())


@pytest.mark.parametrize(
    "row",
    [row for row in REQUESTER_CASES if not row.breaks & {"requester.service_account", "request_name.not_allowed"}],
    ids=str,
)
def test_no_pod_is_behind(row: Case) -> None:
    """A requester that proves no pod has no identity, and every reason is named."""
    violations = identify(make_csr(**row.csr).requester, credential_id=row.signer.get("credential_id", True))
    assert isinstance(violations, tuple)
    assert {violation.code for violation in violations} == row.breaks


@pytest.mark.parametrize("row", POD_CASES, ids=str)
def test_a_broken_link_is_named(row: Case) -> None:
    """Each link that does not hold is one violation; a pod with another uid is no pod of this requester at all."""
    attestation = make_attestation(make_csr(**row.csr), None if row.no_pod else make_pod(**row.pod))
    assert {violation.code for violation in attestation.violations} == row.breaks
    assert (attestation.pod is None) == ("pod.gone" in row.breaks)


def test_every_missing_extra_is_named_on_its_own() -> None:
    """Pod name, pod uid and credential id are three violations, each with its key."""
    violations = identify(make_csr(extra={}).requester)
    assert isinstance(violations, tuple)
    assert len({violation.message for violation in violations}) == 3
    assert POD_NAME in violations[0].message


@pytest.mark.parametrize(
    ("host_network", "addresses"), [(True, {ADDRESS, "10.132.0.99"}), (False, {ADDRESS})], ids=["host", "pod"]
)
def test_node_addresses_count_only_on_the_host_network(host_network: bool, addresses: set[str]) -> None:  # noqa: FBT001 - a column
    """A pod on the pod network has no claim to its node's addresses."""
    pod = make_pod(host_network=host_network, host_ips=("10.132.0.99",))
    assert pod.addresses == {ip_address(address) for address in addresses}


def test_a_status_cannot_fail_a_request() -> None:
    """Whoever writes a pod's status may write what is no address: it is none, and no fault."""
    assert make_pod(pod_ips=("garbage", "", ADDRESS)).addresses == {ip_address(ADDRESS)}
    api = make_pod_object()
    api["status"]["podIPs"] = [{}, {"ip": None}, {"ip": ADDRESS}]
    assert Pod.from_api(json.dumps(api).encode(), name=POD, namespace="calico-system").addresses == {
        ip_address(ADDRESS)
    }
    assert make_node(addresses=[("InternalIP", "garbage"), ("InternalIP", ""), ("", ADDRESS)]).addresses == frozenset()
    node = make_node_object() | {"status": {"addresses": [{}, {"type": "InternalIP"}]}}
    assert Node.from_api(json.dumps(node).encode(), name=NODE).addresses == frozenset()


def test_a_pod_without_status_has_no_addresses() -> None:
    """A pod that no kubelet has seen is a pod."""
    api = make_pod_object()
    del api["status"]
    assert Pod.from_api(json.dumps(api).encode(), name=POD, namespace="calico-system").addresses == frozenset()


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"metadata": {}, "spec": {}}',
        json.dumps(make_pod_object() | {"kind": "ConfigMap"}).encode(),
        json.dumps(make_pod_object(name="another")).encode(),
        json.dumps(make_pod_object(namespace="another")).encode(),
        json.dumps(make_pod_object(uid="")).encode(),
        b'{"metadata": {"uid": "a"}, "spec": 1}',
    ],
    ids=lambda document: repr(document[:60]),
)
def test_an_answer_that_is_no_pod_is_unavailability(document: bytes) -> None:
    """It is not the requester's fault, so it denies nobody."""
    with pytest.raises(UnavailableError, match="no Pod"):
        Pod.from_api(document, name=POD, namespace="calico-system")


@pytest.mark.parametrize(
    "document",
    [
        b"null",
        b"{}",
        b"[" * 100_000,
        json.dumps(make_node_object() | {"kind": "Pod"}).encode(),
        json.dumps(make_node_object(name="another")).encode(),
    ],
    ids=lambda document: repr(document[:60]),
)
def test_an_answer_that_is_no_node_is_unavailability(document: bytes) -> None:
    """As for a pod."""
    with pytest.raises(UnavailableError, match="no Node"):
        Node.from_api(document, name=NODE)


def test_an_object_that_cannot_be_read_is_its_own_fault_alone() -> None:
    """Whatever is odd about one pod or node, it holds up nobody else."""
    pod, node = make_pod_object(), make_node_object()
    for odd in (pod | {"status": {"podIPs": 1}}, pod | {"status": {"podIPs": [1]}}, pod | {"spec": 1}):
        with pytest.raises(ItemError, match="the Pod cannot be read"):
            Pod.from_api(json.dumps(odd).encode(), name=POD, namespace="calico-system")
    for odd in (node | {"status": {"addresses": [1]}}, node | {"status": 1}):
        with pytest.raises(ItemError, match="the Node cannot be read"):
            Node.from_api(json.dumps(odd).encode(), name=NODE)


def test_of_a_nodes_addresses_only_the_first_are_read() -> None:
    """Whoever may write a node's status could name tens of thousands."""
    many = [("InternalIP", str(ip_address("10.0.0.0") + number)) for number in range(65)]
    assert len(make_node(addresses=many).addresses) == 64


def test_a_node_without_status_has_no_addresses() -> None:
    """A node that no kubelet has seen is a node."""
    api = make_node_object()
    del api["status"]
    assert Node.from_api(json.dumps(api).encode(), name=NODE) == Node()


@pytest.mark.parametrize("other", ["0", "zzzz"])
def test_another_uid_or_account_is_another_whichever_comes_first(other: str) -> None:
    """Neither is compared by its order."""
    assert [v.code for v in attest(IDENTITY, make_pod(uid=other)).violations] == ["pod.gone"]
    assert [v.code for v in attest(IDENTITY, make_pod(service_account=other)).violations] == ["pod.service_account"]


def test_the_waiver_hides_no_other_violation() -> None:
    """Even without a required credential ID, two node names are one too many."""
    extra = {CREDENTIAL_ID: [], NODE_NAME: [NODE, NODE]}
    violations = identify(make_csr(further_extra=extra).requester, credential_id=False)
    assert isinstance(violations, tuple)
    assert [violation.code for violation in violations] == ["requester.unbound"]


def test_a_waived_credential_id_is_not_missed() -> None:
    """With the waiver a token without it names its pod, one with it does, and one with two does not."""
    for values in ([], ["JTI=1"]):
        requester = make_csr(further_extra={CREDENTIAL_ID: values}).requester
        assert identify(requester, credential_id=False) == IDENTITY
    requester = make_csr(further_extra={CREDENTIAL_ID: ["JTI=1", "JTI=2"]}).requester
    assert isinstance(identify(requester, credential_id=False), tuple)


@settings(max_examples=60)
@given(
    username=st.text(max_size=60) | st.builds("system:serviceaccount:{}:{}".format, st.text(max_size=20), st.text()),
    extra=st.dictionaries(st.sampled_from(sorted(make_extra())), st.lists(st.text(max_size=20), max_size=3)),
)
def test_names_that_go_into_a_url_are_names(username: str, extra: dict[str, Any]) -> None:
    """Whatever the API server recorded, an identity's names hold no character that means something in a path."""
    requester = Requester(
        username=username,
        uid="1",
        groups=("system:authenticated",),
        extra={key: tuple(values) for key, values in (make_extra() | extra).items()},
    )
    identity = identify(requester)
    if isinstance(identity, PodIdentity):
        for name in (identity.namespace, identity.service_account, identity.pod_name, identity.pod_uid):
            assert name.isascii()
            assert not set(name) & set("/%?#\\ \n")
    else:
        assert identity


def test_missing_and_repeated_extras_of_a_token_are_violations() -> None:
    """The message names the key, and shows the recorded values."""
    requester = make_csr().requester
    rest = {key: values for key, values in requester.extra.items() if key != POD_NAME}
    (absent,) = identify(replace(requester, extra=rest))  # type: ignore[misc]  # a tuple: the token is not bound
    (twice,) = identify(replace(requester, extra={**rest, POD_NAME: ("a", "b")}))  # type: ignore[misc]
    assert absent.message.startswith(f"spec.extra[{POD_NAME}]: Required value: must have exactly one value")
    assert twice.message.startswith(f'spec.extra[{POD_NAME}]: Invalid value: ["a", "b"]: must have exactly one value')
