"""Fleets: which pods, which keys, and what an observer sees of their requests."""

import base64
from pathlib import Path

from cryptography import x509

from sandbox.api import Api, csr_path
from sandbox.calico.components import components
from sandbox.calico.fleet import MIXED, QUICK, Fleet, Member, managements, plan
from sandbox.calico.observer import Observer
from tests.patience import PATIENCE
from tests.sandbox.calico.helpers import RELEASE, SIGNER, set_certificate, set_conditions


def _plan(count: int, seed: int = 0, algorithms: tuple[tuple[str, str], ...] = MIXED) -> tuple[Member, ...]:
    return plan(count, components=components(RELEASE), managements=managements(SIGNER, b"", algorithms), seed=seed)


def test_every_component_and_algorithm() -> None:
    """A fleet of as many pods as there are algorithm pairs has each pair once, and every component."""
    members = _plan(len(MIXED))
    pairs = [(member.management.key_algorithm, member.management.signature_algorithm) for member in members]
    assert sorted(pairs) == sorted(MIXED)
    assert {member.component.workload for member in members} == {row.workload for row in components(RELEASE)}


def test_seed_decides() -> None:
    """The same seed gives the same fleet, another seed another."""
    assert _plan(20, seed=7) == _plan(20, seed=7)
    assert _plan(20, seed=7) != _plan(20, seed=8)


def test_large_fleet_has_no_doubles() -> None:
    """In a thousand pods no name or pod address comes twice, and every calico-node has a node of its own."""
    members = _plan(1000, algorithms=QUICK)
    nodes = [member.node.name for member in members if member.component.workload == "calico-node"]
    assert len(set(nodes)) == len(nodes) == 500
    assert len({member.plan.name for member in members}) == 1000
    pods = [member.plan.addresses[0] for member in members if not member.plan.host_network]
    assert len(set(pods)) == len(pods)


def test_host_network_pods_have_their_nodes_addresses() -> None:
    """Where a component is on the host's network its address is the node's, and nowhere else."""
    for member in _plan(12):
        assert (member.plan.addresses == member.node.addresses) is member.component.host_network


def test_observer_follows_requests_to_their_end(fleet: Fleet, api: Api, certificate: bytes) -> None:
    """The observer sees requests Pending, then Approved and Issued, or Denied with reason and message."""
    with Observer(api, SIGNER) as observer:
        submissions = fleet.submit()
        assert not observer.wait([each.uid for each in submissions], 0.1)
        for submission in submissions[:-1]:
            set_conditions(api, submission.name, "Approved")
            set_certificate(api, submission.name, certificate)
        set_conditions(api, submissions[-1].name, "Denied")
        assert observer.wait([each.uid for each in submissions], PATIENCE)
        states = [observer.observations()[each.uid] for each in submissions]
    assert [state.state for state in states] == ["Approved,Issued"] * (len(states) - 1) + ["Denied"]
    assert states[0].issued
    assert states[0].certificate == certificate
    assert (states[-1].reason, states[-1].message, states[-1].refused) == ("ByTest", "Denied by a test", True)
    assert all(state.ended is not None for state in states)


def test_observer_keeps_apart_what_has_the_same_name(fleet: Fleet, api: Api) -> None:
    """A CSR that was deleted and filed again is another one: it is known by its uid."""
    with Observer(api, SIGNER) as observer:
        first = fleet.submit()
        for submission in first:
            set_conditions(api, submission.name, "Denied")
        assert observer.wait([each.uid for each in first], PATIENCE)
        second = fleet.submit()[len(first) :]
        assert not {each.uid for each in first} & {each.uid for each in second}
        assert not observer.wait([each.uid for each in second], 0.1)


def test_observer_starts_with_what_is_there(fleet: Fleet, api: Api) -> None:
    """What was filed and decided before the observer started is seen too; strangers' requests are not."""
    submissions = fleet.submit()
    for submission in submissions:
        set_conditions(api, submission.name, "Denied")
    with Observer(api, SIGNER) as observer, Observer(api, "example.com/other") as other:
        assert observer.wait([each.uid for each in submissions], PATIENCE)
        assert not other.observations()


def test_keys_are_those_of_the_requests(fleet: Fleet, api: Api) -> None:
    """A submission keeps the very key that its request is for, so that certificates can be checked against it."""
    for submission in fleet.submit():
        request = base64.b64decode(api.get(csr_path(submission.name))["spec"]["request"])
        assert x509.load_pem_x509_csr(request).public_key() == submission.key.public_key()


def test_real_clients_run_out_of_time(fleet: Fleet, tmp_path: Path) -> None:
    """Without a signer every client of a fleet ends with an error when its budget is used up, and writes nothing."""
    runs = fleet.run_clients(tmp_path, budget=1.0)
    assert ["timeout expired" in run.error for run in runs] == [True] * len(fleet.members)
    assert not list(tmp_path.iterdir())
