"""Steps 2 to 6 over the real protocols: what is read of requester, pod and node, and what waits for addresses."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from csr_signer.cluster.client import KubernetesCluster
from csr_signer.errors import ItemError
from csr_signer.events.outcome import Deferred, Issued, Refused
from csr_signer.kms.client import Connection
from csr_signer.objects.csr import CertificateSigningRequest
from csr_signer.objects.pod import Pod as PodAsRead
from csr_signer.objects.pod import PodIdentity
from csr_signer.pipeline import Cluster, Pipeline
from csr_signer.policy.attestation import CREDENTIAL_ID
from sandbox.api import Api, csr_path, quoted
from sandbox.calico.world import Pod, World
from sandbox.kubernetes import KubernetesServer
from tests.unit.function.ports.answers import answering
from tests.unit.function.ports.blocking import Blocking
from tests.unit.function.ports.conftest import (
    CSRS,
    HIDDEN,
    FileCsr,
    Recorder,
    asked,
    certifying,
    make_pipeline,
    node_path,
    pod_path,
    reference_to,
)

Make = Callable[..., Blocking[Pipeline]]


@pytest.fixture
def make(write_configuration: Callable[..., Path], cluster: Blocking[KubernetesCluster], kms: Connection) -> Make:
    """Makes a pipeline of a configuration; `over` is its cluster."""

    def pipeline(
        *, over: Cluster | None = None, recorder: Recorder | None = None, **settings: Any
    ) -> Blocking[Pipeline]:
        path = write_configuration(**settings)
        return make_pipeline(path, over or cluster.target, kms, recorder or Recorder())

    return pipeline


def addresses(admin: Api, csr: dict[str, Any]) -> list[str]:
    """Addresses in the certificate of a CSR."""
    pem = base64.b64decode(admin.get(csr_path(csr["metadata"]["name"]))["status"]["certificate"])
    names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(address) for address in names.get_values_for_type(x509.IPAddress)]


def calls(csr: dict[str, Any], *further: str) -> list[tuple[str, str]]:
    """The calls of one certificate: two reads, those named, two writes; names are escaped."""
    path = f"{CSRS}/{quoted(csr['metadata']['name'])}"
    reads = [path, pod_path(csr), *further]
    return [*(("GET", read) for read in reads), ("PATCH", f"{path}/approval"), ("PATCH", f"{path}/status")]


@pytest.mark.parametrize("workload", ["calico-node", "calico-apiserver"])
def test_four_calls_to_the_api_server_per_certificate(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, api_server: KubernetesServer, workload: str
) -> None:
    """GET CSR, GET pod, PATCH approval, PATCH status and nothing else, on the host's network and beside it."""
    csr = file_csr(workload=workload)
    outcome, calls_made = asked(api_server, lambda: pipeline.process(reference_to(csr), datetime.now(UTC)))
    assert isinstance(outcome, Issued)
    assert calls_made == calls(csr)


def test_addresses_of_the_host_cost_one_call_more(
    make: Make, file_csr: FileCsr, admin: Api, api_server: KubernetesServer, tmp_path: Path
) -> None:
    """They are the node's; what the pod's own status says of the host is not asked for."""
    csr = file_csr()
    admin.patch(f"{pod_path(csr)}/status", {"status": HIDDEN})
    signing = make(profile=certifying(tmp_path))
    outcome, calls_made = asked(api_server, lambda: signing.process(reference_to(csr), datetime.now(UTC)))
    assert isinstance(outcome, Issued)
    assert calls_made == calls(csr, node_path(csr))
    assert addresses(admin, csr) == [admin.get(node_path(csr))["status"]["addresses"][0]["address"]]


def test_addresses_of_the_pod_network_need_no_node(
    make: Make, file_csr: FileCsr, admin: Api, api_server: KubernetesServer, tmp_path: Path
) -> None:
    """They stand in the pod's status, which is read anyway."""
    csr = file_csr(workload="calico-apiserver")
    signing = make(profile=certifying(tmp_path))
    outcome, calls_made = asked(api_server, lambda: signing.process(reference_to(csr), datetime.now(UTC)))
    assert isinstance(outcome, Issued)
    assert calls_made == calls(csr)
    assert addresses(admin, csr) == [admin.get(pod_path(csr))["status"]["podIP"]]


def test_nodes_are_read_only_for_requesters_whose_row_certifies_addresses(
    make: Make, file_csr: FileCsr, admin: Api, api_server: KubernetesServer, tmp_path: Path
) -> None:
    """Another component's row costs nobody a call."""
    signing = make(profile=certifying(tmp_path, only="calico-typha"))
    node, typha = file_csr(), file_csr(workload="calico-typha")
    _, calls_for_node = asked(api_server, lambda: signing.process(reference_to(node), datetime.now(UTC)))
    _, calls_for_typha = asked(api_server, lambda: signing.process(reference_to(typha), datetime.now(UTC)))
    assert calls_for_node == calls(node)
    assert calls_for_typha == calls(typha, node_path(typha))
    assert addresses(admin, node) == []
    assert len(addresses(admin, typha)) == 1


def test_a_refusal_costs_its_reads_the_denial_and_two_events(
    pipeline: Blocking[Pipeline], file_csr: FileCsr, api_server: KubernetesServer
) -> None:
    """Nothing more is read for it, and nothing is written but the condition and the notes on CSR and pod."""
    csr = file_csr(environment={"dns_names": ("evil.example.com",)})
    outcome, calls_made = asked(api_server, lambda: pipeline.process(reference_to(csr), datetime.now(UTC)))
    path = f"{CSRS}/{quoted(csr['metadata']['name'])}"
    assert isinstance(outcome, Refused)
    assert calls_made[:2] == [("GET", path), ("GET", pod_path(csr))]
    assert sorted(calls_made[2:]) == [
        ("PATCH", f"{path}/approval"),
        ("POST", "/api/v1/namespaces/calico-system/events"),
        ("POST", "/api/v1/namespaces/default/events"),
    ]


def test_an_address_that_is_not_visible_yet_defers_this_item_and_ends(
    make: Make, file_csr: FileCsr, admin: Api, tmp_path: Path
) -> None:
    """Where addresses are certified a late podIP is waited for; at five minutes of age the request is refused."""
    waiting = make(profile=certifying(tmp_path))
    csr, late = (file_csr(workload="calico-apiserver") for _ in range(2))
    status = admin.get(pod_path(csr))["status"]
    for each in (csr, late):
        admin.patch(f"{pod_path(each)}/status", {"status": HIDDEN})
    now = datetime.now(UTC)
    for seconds in (0, 60, 290):
        assert isinstance(waiting.process(reference_to(csr), now + timedelta(seconds=seconds)), Deferred)
    assert admin.get(csr_path(csr["metadata"]["name"])) == csr
    admin.patch(f"{pod_path(csr)}/status", {"status": {key: status[key] for key in HIDDEN if key in status}})
    assert isinstance(waiting.process(reference_to(csr), now), Issued)
    outcome = waiting.process(reference_to(late), now + timedelta(minutes=5))
    assert outcome == Refused(reason="AddressNotVisible", codes=("pod.address_missing",))


def test_a_node_that_is_not_there_is_waited_for_and_ends(
    make: Make, file_csr: FileCsr, admin: Api, tmp_path: Path
) -> None:
    """An absent node is one without addresses: a deferral as long as the request is young, then a refusal."""
    csr = file_csr()
    admin.delete(node_path(csr))
    signing = make(profile=certifying(tmp_path), deferral_limit="2m")
    created = datetime.fromisoformat(csr["metadata"]["creationTimestamp"])
    assert isinstance(signing.process(reference_to(csr), created + timedelta(seconds=119)), Deferred)
    outcome = signing.process(reference_to(csr), created + timedelta(seconds=120))
    assert outcome == Refused(reason="AddressNotVisible", codes=("pod.address_missing",))


def test_a_pod_that_is_not_scheduled_reads_no_nodes(
    make: Make, file_csr: FileCsr, world: World, api_server: KubernetesServer, tmp_path: Path
) -> None:
    """Without a name the call would list all nodes, which is forbidden, and a forbidden read holds up everybody."""
    like = file_csr()
    spec = {"serviceAccountName": "calico-node", "hostNetwork": True, "containers": [{"name": "c", "image": "image"}]}
    made = world.ensure("/api/v1/namespaces/calico-system/pods", "Pod", {"spec": spec}, "not-scheduled")
    pod = Pod(
        name="not-scheduled",
        namespace="calico-system",
        service_account="calico-node",
        uid=made["metadata"]["uid"],
        node="",
        addresses=(),
    )
    request = {key: like["spec"][key] for key in ("request", "signerName", "usages")}
    requester = world.api.with_token(world.token(pod.namespace, pod.service_account, pod))
    csr = requester.post(CSRS, {"metadata": {"name": f"node-certs:{pod.name}"}, "spec": request})
    signing = make(profile=certifying(tmp_path))
    outcome, calls_made = asked(api_server, lambda: signing.process(reference_to(csr), datetime.now(UTC)))
    assert isinstance(outcome, Deferred)
    assert [path for _, path in calls_made] == [f"{CSRS}/{quoted(csr['metadata']['name'])}", pod_path(csr)]


def test_a_forbidden_node_read_names_the_missing_right(
    make: Make, file_csr: FileCsr, cluster: Blocking[KubernetesCluster], admin: Api, tmp_path: Path
) -> None:
    """It is the operator's fault: nothing is refused, nobody else waits, and he learns what to grant to whom."""
    csr = file_csr()
    message = 'nodes "n" is forbidden: User "u" cannot get resource "nodes" in API group "" at the cluster scope'
    with answering(403, json.dumps({"kind": "Status", "message": message}).encode()) as (forbidding, _):
        signing = make(over=_WithNodesOf(cluster.target, forbidding.target), profile=certifying(tmp_path))
        with pytest.raises(ItemError, match=r"cannot get resource .* at the cluster"):
            signing.process(reference_to(csr), datetime.now(UTC))
    assert admin.get(csr_path(csr["metadata"]["name"])) == csr


def test_a_missing_role_in_one_namespace_affects_only_its_pods(
    make: Make, file_csr: FileCsr, cluster: Blocking[KubernetesCluster], admin: Api
) -> None:
    """Only its requests fail, and their CSRs do not change; a 503 would delay all requests."""
    without, others = file_csr(), file_csr()
    message = 'pods "p" is forbidden: User "u" cannot get resource "pods" in API group "" in the namespace "n"'
    with answering(403, json.dumps({"kind": "Status", "message": message}).encode()) as (forbidding, _):
        signing = make(
            over=_WithPodOf(cluster.target, forbidding.target, without["metadata"]["name"].partition(":")[2])
        )
        with pytest.raises(ItemError, match=r"cannot get resource .* in the namespace"):
            signing.process(reference_to(without), datetime.now(UTC))
        assert isinstance(signing.process(reference_to(others), datetime.now(UTC)), Issued)
    assert admin.get(csr_path(without["metadata"]["name"])) == without


class _WithNodesOf:
    """The real cluster, whose nodes are another's."""

    def __init__(self, cluster: KubernetesCluster, nodes: KubernetesCluster) -> None:
        self._cluster = cluster
        self.get_node = nodes.get_node

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)


class _WithPodOf:
    """The real cluster, of which one pod is another's."""

    def __init__(self, cluster: KubernetesCluster, other: KubernetesCluster, name: str) -> None:
        self._cluster = cluster
        self._other = other
        self._name = name

    async def get_pod(self, identity: PodIdentity) -> PodAsRead | None:
        """From one or the other."""
        return await (self._other if identity.pod_name == self._name else self._cluster).get_pod(identity)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)


class _Older:
    """The real cluster as an API server before 1.32 would show it: tokens do not name themselves."""

    def __init__(self, cluster: KubernetesCluster) -> None:
        self._cluster = cluster

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    async def get_csr(self, name: str) -> CertificateSigningRequest | None:
        """As read, without the token's own identifier."""
        csr = await self._cluster.get_csr(name)
        assert csr is not None
        extra = {key: values for key, values in csr.requester.extra.items() if key != CREDENTIAL_ID}
        return replace(csr, requester=replace(csr.requester, extra=extra))


def test_a_token_without_its_own_identifier_is_refused_unless_that_is_waived(
    make: Make, file_csr: FileCsr, cluster: Blocking[KubernetesCluster]
) -> None:
    """Kubernetes before 1.32 records none: an operator says so for the cluster, otherwise nobody can leave it out."""
    older = _Older(cluster.target)
    required, waived = make(over=older), make(over=older, cluster_settings={"credential_id": "waived"})
    csr = file_csr()
    outcome = required.process(reference_to(csr), datetime.now(UTC))
    assert outcome == Refused(reason="RequesterNotAllowed", codes=("requester.unbound",))
    assert isinstance(waived.process(reference_to(file_csr()), datetime.now(UTC)), Issued)


@pytest.mark.parametrize("address", ["10.128.200.200", "2001:db8::7"])
def test_an_address_that_the_pod_does_not_show_is_recorded_and_not_certified(
    make: Make, file_csr: FileCsr, admin: Api, address: str
) -> None:
    """With `addresses: omit` it neither refuses nor delays; intent and outcome say that it was asked for."""
    ranges = {"address_ranges": ["10.128.0.0/16", "2001:db8::/32"]}
    csr, honest = file_csr(environment={"pod_ip": address}), file_csr()
    recorder = Recorder()
    signing = make(recorder=recorder, cluster_settings=ranges)
    assert isinstance(signing.process(reference_to(csr), datetime.now(UTC)), Issued)
    assert isinstance(signing.process(reference_to(honest), datetime.now(UTC)), Issued)
    assert addresses(admin, csr) == []
    assert [line["unconfirmed_addresses"] for line in recorder.lines] == [[address], [address], [], []]
    assert [line["ip_addresses"] for line in recorder.lines] == [[]] * 4


def test_an_address_outside_the_clusters_ranges_is_refused(make: Make, file_csr: FileCsr) -> None:
    """What nobody in the cluster can write is compared with: the configuration."""
    signing = make(cluster_settings={"address_ranges": ["10.0.0.0/8"]})
    outside, inside = file_csr(environment={"pod_ip": "8.8.8.8"}), file_csr()
    outcome = signing.process(reference_to(outside), datetime.now(UTC))
    assert outcome == Refused(reason="NameNotAllowed", codes=("san.ip.not_allowed",))
    assert isinstance(signing.process(reference_to(inside), datetime.now(UTC)), Issued)
