"""The judge in a whole deployment: nobody waits for another, every refusal is told, every answer can be repeated.

One deployment serves three signerNames: Calico's pods with the shipped profile, the same pods with a user's profile
that certifies their addresses within ranges, and the example of a profile that is not Calico's.
"""

import base64
import hashlib
import random
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from csr_signer.policy.decision import Deferral
from csr_signer.policy.signer import Signer
from sandbox.api import CSRS
from sandbox.calico import twists
from sandbox.calico.fleet import NODE_NETWORKS, POD_NETWORKS, Fleet
from sandbox.calico.intruder import Intruder
from sandbox.calico.keys import KeyPool
from sandbox.calico.observer import Observer
from sandbox.calico.request import pem
from sandbox.calico.stories import STORIES, Story
from sandbox.deployment import Settings, UserProfile
from sandbox.managed_fields import DEEPEST
from sandbox.proxy import Fault, HttpFault
from tests.end_to_end.conftest import eventually, started
from tests.end_to_end.judged import Judged, addresses, certifying_profile, nodes_of
from tests.end_to_end.replay import Answers, Recorded, decide
from tests.paths import EXAMPLE_PROFILES

CERTIFYING = "csr-signer.example.com/addresses"
EXAMPLE = "csr-signer.example.com/postgresql"
EXAMPLES = EXAMPLE_PROFILES
RELEASE = "3.31"


PLANES = [pytest.param("real", marks=pytest.mark.real), "embedded"]
real_only = pytest.mark.parametrize("judged", PLANES[:1], indirect=True)


@pytest.fixture(scope="module", params=PLANES)
def judged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, keys: KeyPool) -> Iterator[Judged]:
    """A deployment with these signers; the function's answers go through a fault proxy."""
    profile = certifying_profile(tmp_path_factory.mktemp("profile") / "addresses.yaml", RELEASE)
    settings = Settings(
        directory=tmp_path_factory.mktemp(request.param),
        plane=request.param,
        release=RELEASE,
        profiles={
            CERTIFYING: UserProfile(file=profile, release=RELEASE, nodes=True),
            EXAMPLE: UserProfile(
                file=EXAMPLES / "postgresql.yaml", namespaces=("databases",), networks=("10.20.0.0/16", "fd00:20::/64")
            ),
        },
        proxies=frozenset({"function"}),
    )
    with started(settings) as deployment, Observer(deployment.api) as observer:
        yield Judged(deployment, keys, observer)


def poison(name: str, *codes: str, twist: twists.Twist) -> Story:
    """A request that costs more than others, or is made to break whoever reads it."""
    return Story(name=name, description=name, wrong=name, twist=twist, expected_codes=codes)


def around(before: bytes, after: bytes = b"") -> twists.Twist:
    """Bytes before and after the PEM block, which the API server reads over."""
    return twists.change(wrap=lambda encoded: before + pem(encoded) + after)


POISON = (
    poison("garbage", "request.pem", twist=around(random.Random(5).randbytes(8_000) + b"\n", b"\0" * 100)),  # noqa: S311 - any
    poison("a megabyte", "request.size", twist=around(b"", b"\n" * 1_000_000)),
    poison(
        "a hundred names",
        "san.dns.not_allowed",
        twist=twists.more_dns_names(*(f"{number}.example.com" for number in range(98))),
    ),
    next(story for story in STORIES if story.name == "hidden extension"),
    next(story for story in STORIES if story.name == "wrong component"),
)


def test_hostile_requests_delay_no_other_request(judged: Judged) -> None:
    """Five of fifty CSRs are hostile and get delayed answers: the others are issued, and the five get codes."""
    proxy = judged.deployment.proxies["function"]
    fleet, prepared = judged.fleet(50 - len(POISON)), judged.attackers(*POISON)
    before = proxy.counts
    with judged.before_anybody_looks():
        filed = judged.file(prepared)
        proxy.add(Fault(hold_down=True), times=len(filed))
    uids = [attack.uid for attack in filed]
    eventually(lambda: (proxy.counts - before).held == len(filed))
    fleet.submit()
    judged.issued(fleet)
    assert not judged.acknowledged() & set(uids)
    proxy.clear()
    eventually(lambda: set(uids) <= judged.acknowledged())
    for seen, story in zip(judged.ended(uids), POISON, strict=True):
        assert seen.conditions == ("Denied",), story.name
        assert [code for code in story.expected_codes if code not in seen.message] == [], story.name


DEPTHS = (500, 1500, 9993, DEEPEST)


@real_only
def test_managed_fields_of_any_depth_delay_no_other_request(judged: Judged) -> None:
    """Pods with the deepest allowed managedFields get their usual result, and so do twenty others."""
    honest = poison("nests", twist=twists.nothing)
    wrong = next(story for story in STORIES if story.name == "wrong component")
    stories = [story for story in (honest, wrong) for _ in DEPTHS] * 2
    prepared, fleet = judged.attackers(*stories), judged.fleet(20)
    listed, watched = prepared[: len(stories) // 2], prepared[len(stories) // 2 :]
    with judged.before_anybody_looks():
        uids = judged.file_nested(listed, DEPTHS * 2)
        fleet.submit()
    uids += judged.file_nested(watched, DEPTHS * 2)
    judged.issued(fleet)
    for seen, story in zip(judged.ended(uids), stories, strict=True):
        assert seen.conditions == (("Approved",) if story is honest else ("Denied",))
        assert bool(seen.certificate) == (story is honest)
        assert [code for code in story.expected_codes if code not in seen.message] == []


def test_a_deferred_item_delays_no_other_item(judged: Judged) -> None:
    """One CSR gets 425 with five minutes: the others are issued, and a new exporter then finds and delivers it."""
    proxy = judged.deployment.proxies["function"]
    waiting, fleet = judged.fleet(1), judged.fleet(20)
    before = proxy.counts
    with judged.before_anybody_looks():
        waiting.submit()
        proxy.add_http(HttpFault(status=425, headers=(("Retry-After", "300"),)))
    eventually(lambda: (proxy.counts - before).answered == 1)
    fleet.submit()
    judged.issued(fleet)
    assert judged.statuses(waiting) == [{}]
    with judged.before_anybody_looks():
        assert judged.statuses(waiting) == [{}]
    judged.issued(waiting)


def test_pods_whose_addresses_never_appear_delay_none_of_the_others(judged: Judged) -> None:
    """They are deferred again and again and left alone, while all others are issued; once visible, they are too."""
    late = judged.fleet(4, CERTIFYING)
    judged.hide(late)
    submissions = late.submit()
    eventually(lambda: all(judged.audited(each.uid, "deferred") for each in submissions))
    others, certified = judged.fleet(20), judged.fleet(8, CERTIFYING)
    others.submit()
    certified.submit()
    judged.issued(others)
    judged.issued(certified)
    assert judged.statuses(late) == [{}] * 4
    eventually(lambda: all(len(judged.audited(each.uid, "deferred")) > 1 for each in submissions))
    signer = Answers(judged.deployment).signer(CERTIFYING)
    for submission in submissions:
        recorded = Recorded.of(judged.deployment.api, submission.name)
        again = decide(recorded, signer)
        assert isinstance(again, Deferral)
        messages = {record["message"] for record in judged.audited(submission.uid, "deferred")}
        assert messages == {f"deferred: {again.missing}"}
        at_the_end = decide(recorded, signer, age=signer.deferral_limit)
        assert at_the_end.reason == "AddressNotVisible"  # type: ignore[union-attr]  # else the test fails here
    judged.show(late)
    certificates = judged.issued(late)
    asked = [submission.member.plan.addresses[0] for submission in submissions]
    assert [addresses(certificate) for certificate in certificates] == [[address] for address in asked]


LIES: tuple[tuple[str, ...], ...] = (
    ("8.8.8.8",),
    (str(NODE_NETWORKS[0][9]), str(NODE_NETWORKS[1][9])),
    ("127.0.0.1",),
    ("2001:db8::1",),
    (),
)
"""What an intruder writes in place of addresses: another's, impossible ones, none."""


def lie(intruder: Intruder, fleet: Fleet, turn: int) -> None:
    """Rewrites or erases every address of a fleet's pods and nodes, each in another way than its neighbour."""
    for number, pod in enumerate(fleet.pods):
        intruder.rewrite_pod(pod, LIES[(number + turn) % len(LIES)])
    for number, node in enumerate(nodes_of(fleet)):
        intruder.rewrite_node(node.name, LIES[(number + turn) % len(LIES)])


def test_rewritten_addresses_change_no_certificate_and_delay_no_pod(judged: Judged) -> None:
    """A calico-node token rewrites all pods' addresses, before their CSRs exist and before the function reads them."""
    fleet = judged.fleet(2 * len(LIES))
    intruder = judged.intruder(fleet.pods[0])
    lie(intruder, fleet, turn=0)
    with judged.before_anybody_looks():
        submissions = fleet.submit()
        lie(intruder, fleet, turn=1)
    for submission, certificate in zip(submissions, judged.issued(fleet), strict=True):
        component = submission.member.component
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert tuple(names.get_values_for_type(x509.DNSName)) == component.dns_names
        assert certificate.subject.rfc4514_string() == f"CN={component.common_name}"
        assert addresses(certificate) == []


LONG = "<" * 1_450_000
"""The API server stores it, and writes it as 8.7 MB."""


def test_statuses_of_megabytes_delay_no_pod(judged: Judged) -> None:
    """A calico-node token writes huge messages into statuses of pods and nodes; those pods still get certificates."""
    fleet, certified = judged.fleet(8), judged.fleet(1, CERTIFYING)
    intruder = judged.intruder(fleet.pods[0])
    for pod in fleet.pods[:3]:
        intruder.tell_of_pod(pod, LONG)
    (on_host,) = certified.members
    intruder.tell_of_node(on_host.node.name, LONG)
    intruder.rewrite_pod(certified.pods[0], [])  # so that the node is read for its address
    fleet.submit()
    certified.submit()
    judged.issued(fleet)
    (certificate,) = judged.issued(certified)
    assert addresses(certificate) == [on_host.plan.addresses[0]]


def claim(name: str, workload: str, address: str) -> Story:
    """A pod that asks for an address which an intruder has written into its status, or its node's."""
    return Story(
        name=name,
        description=name,
        wrong=name,
        twist=twists.ask(address=address),
        expected_codes=("san.ip.not_allowed",),
        workload=workload,
    )


CLAIMS = (
    claim("the internet, on the host's network", "calico-node", "8.8.8.8"),
    claim("the internet, on the pods' network", "calico-apiserver", "2001:db8::7"),
    claim("a pod's address for a node", "calico-node", str(POD_NETWORKS[0][5])),
    claim("a node's address for a pod", "calico-apiserver", str(NODE_NETWORKS[0][5])),
    claim("loopback", "calico-typha", "127.0.0.1"),
)


def test_no_address_outside_the_ranges_is_certified(judged: Judged) -> None:
    """A profile that certifies addresses refuses one outside the component's ranges, even if the status has it."""
    prepared = judged.attackers(*CLAIMS, signer_name=CERTIFYING)
    intruder = judged.intruder(prepared[0].pod)
    for attacker in prepared:
        (claimed,) = requested(attacker.csr)
        intruder.rewrite_pod(attacker.pod, [claimed])
        intruder.rewrite_node(attacker.node.name, [claimed])
    filed = judged.file(prepared)
    for seen, story in zip(judged.ended([attack.uid for attack in filed]), CLAIMS, strict=True):
        assert seen.conditions == ("Denied",), story.name
        assert seen.message.startswith("san.ip.not_allowed: "), story.name


def test_within_the_ranges_a_status_is_believed(judged: Judged) -> None:
    """What ranges are for: an address within them is certified to whoever may write it into his own node's status."""
    story = claim("an address that another node may have", "calico-node", str(NODE_NETWORKS[0][60_000]))
    (attacker,) = judged.attackers(story, signer_name=CERTIFYING)
    (claimed,) = requested(attacker.csr)
    judged.intruder(attacker.pod).rewrite_node(attacker.node.name, [claimed])
    (filed,) = judged.file([attacker])
    (seen,) = judged.ended([filed.uid])
    assert addresses(x509.load_pem_x509_certificate(seen.certificate)) == [claimed]


def test_another_pods_address_is_neither_certified_nor_refused(judged: Judged) -> None:
    """The shipped profile certifies no addresses, so it need not refuse one; the record has it."""
    address = str(POD_NETWORKS[0][7])
    (attacker,) = judged.attackers(claim("another pod's address", "calico-apiserver", address))
    (filed,) = judged.file([attacker])
    (seen,) = judged.ended([filed.uid])
    assert addresses(x509.load_pem_x509_certificate(seen.certificate)) == []
    assert [record["unconfirmed_addresses"] for record in judged.audited(filed.uid, "intent")] == [[address]]


NOT_ATTESTED = ("wrong service account", "wrong namespace", "unbound token", "another pod's uid")
"""Attacks by somebody who is no pod of the profile's: there is none to report on."""


def test_attackers_are_denied_with_every_code_and_an_event(judged: Judged) -> None:
    """Each attack ends Denied with its codes and without a certificate, and CSR and proven pod get an Event."""
    filed = [attack for attack in judged.file(judged.attackers(*STORIES)) if attack.uid]
    assert len(filed) >= len(STORIES) - 1  # an API server that looks again lets nobody ask with a dead pod's token
    ended = judged.ended([attack.uid for attack in filed])
    events = {"calico-system": judged.reports("calico-system"), "tenant-a": judged.reports("tenant-a")}
    on_csrs = {each["involvedObject"].get("uid"): each for each in judged.reports("default")}
    for attack, seen in zip(filed, ended, strict=True):
        story, pod = attack.attacker.story, attack.attacker.pod
        assert seen.conditions == ("Denied",), story.name
        assert not seen.certificate, story.name
        assert [code for code in story.expected_codes if code not in seen.message] == [], story.name
        on_csr = on_csrs[attack.uid]
        assert (on_csr["type"], on_csr["reason"]) == ("Warning", seen.reason), story.name
        assert [code for code in story.expected_codes if code not in on_csr["message"]] == [], story.name
        told = [each for each in events[pod.namespace] if each["involvedObject"]["name"] == pod.name]
        if story.name in NOT_ATTESTED:
            assert told == [], story.name
            continue
        (event,) = told
        assert event["involvedObject"]["uid"] == pod.uid
        assert (event["reason"], event["message"]) == (on_csr["reason"], on_csr["message"]), story.name


def test_a_refusal_names_every_violation(judged: Judged) -> None:
    """A pod that asks for another component's names learns all that is wrong."""
    (attacker,) = judged.attackers(next(story for story in STORIES if story.name == "wrong component"))
    (filed,) = judged.file([attacker])
    (seen,) = judged.ended([filed.uid])
    assert seen.reason == "NameNotAllowed"
    for code in ("subject.common_name", "san.dns.not_allowed", "san.dns.missing"):
        assert code in seen.message


def test_the_example_profile_issues_what_it_says(judged: Judged) -> None:
    """Pods that are not Calico's, in their own namespace, on the pod network: names, address and purpose of each."""
    certificates = judged.postgres(EXAMPLE, "10.20.3.4", "fd00:20::5")
    for number, (certificate, address) in enumerate(zip(certificates, ("10.20.3.4", "fd00:20::5"), strict=True)):
        name = f"postgres-{number}.postgres.databases.svc"
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert certificate.subject.rfc4514_string() == f"CN={name}"
        assert set(names.get_values_for_type(x509.DNSName)) == {name, f"{name}.cluster.local"}
        assert addresses(certificate) == [address]
        assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
        assert certificate.not_valid_after_utc - certificate.not_valid_before_utc < timedelta(days=31)


def test_every_answer_can_be_given_again(judged: Judged) -> None:
    """What each CSR of this deployment got follows from its documents and the configuration alone, byte for byte."""
    for signer_name in (judged.signer_name, CERTIFYING):
        fleet = judged.fleet(4, signer_name)
        fleet.submit()
        judged.issued(fleet)
    judged.ended(attack.uid for attack in judged.file(judged.attackers(*STORIES)) if attack.uid)
    answers, api = Answers(judged.deployment), judged.deployment.api
    csrs = {csr["metadata"]["uid"]: csr for csr in api.get(CSRS)["items"]}
    ended = {uid for uid, csr in csrs.items() if csr["status"]}
    eventually(lambda: ended <= {record["csr_uid"] for record in judged.outcomes()})  # written after the CSR
    outcomes = [record for record in judged.outcomes() if record["csr_uid"] in ended]
    assert {record["event"] for record in outcomes} == {"issued", "refused"}
    for record in outcomes:
        csr = csrs[record["csr_uid"]]
        again = answers.to(Recorded.of(api, csr["metadata"]["name"]), record["decided_at"])
        assert {key: record[key] for key in again} == again
        if record["event"] == "issued":
            stored = x509.load_pem_x509_certificate(base64.b64decode(csr["status"]["certificate"]))
            assert hashlib.sha256(stored.tbs_certificate_bytes).hexdigest() == again["tbs_sha256"]
            assert all(within(address, answers.signer(csr["spec"]["signerName"])) for address in again["ip_addresses"])
        else:
            (denied,) = csr["status"]["conditions"]
            assert (denied["reason"], denied["message"]) == (again["reason"], again["violations"])


def within(address: str, signer: Signer) -> bool:
    """Whether an address is one that a pod or node of the cluster may have, and some row of the signer's profile."""
    rows = [network for row in signer.profile.components for network in row.address_ranges]
    return all(any(ip_address(address) in network for network in ranges) for ranges in (rows, signer.address_ranges))


def requested(csr: dict[str, object]) -> list[str]:
    """Addresses that a CSR asks for."""
    text = base64.b64decode(csr["spec"]["request"])  # type: ignore[index]  # JSON
    return addresses(x509.load_pem_x509_csr(text))
