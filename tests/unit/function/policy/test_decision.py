"""Step 6, decide: what is permitted, and what bounds it; refusals are rows of tests/unit/function/requests."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from csr_signer.policy.attestation import CREDENTIAL_ID, Attestation
from csr_signer.policy.decision import Deferral, Permit, Refusal, decide
from csr_signer.policy.profile import Lifetime, NameRule
from csr_signer.request.pkcs10 import parse
from tests.unit.function.authorities import Ca, permitted
from tests.unit.function.builders import (
    ADDRESS,
    CERT_SIGN,
    CREATED,
    CSR_UID,
    NOW,
    POD,
    RANGES,
    USAGES,
    calico,
    certifying_addresses,
    codes,
    ec_key,
    judge,
    make_attestation,
    make_authority,
    make_csr,
    make_csr_object,
    make_issuer,
    make_pod,
    make_request,
    make_signer,
    pem,
    public_key_info,
    rsa_key,
)


def test_the_honest_request_is_permitted_to_the_letter() -> None:
    """A permit holds what the certificate says, and nothing that the requester merely claims."""
    permit = judge()
    assert isinstance(permit, Permit)
    assert permit == Permit(
        csr_uid=CSR_UID,
        cluster="demo",
        component="calico-node",
        common_name="typha-client",
        dns_names=("typha-client",),
        ip_addresses=(),
        extended_key_usage=("serverAuth", "clientAuth"),
        public_key=permit.public_key,
        not_before=datetime(2026, 3, 14, 9, 21, 53, tzinfo=UTC),
        not_after=datetime(2027, 3, 14, 9, 26, 53, tzinfo=UTC),
        unconfirmed_addresses=(),
    )
    assert permit.public_key.subject_public_key_info == public_key_info(ec_key())


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one component of one release asks for (the operator's pkg/render)."""

    component: str
    namespace: str
    service_account: str
    secret: str
    common_name: str
    dns_names: tuple[str, ...]
    release: str

    @property
    def pod(self) -> str:
        """A pod of it."""
        return f"{self.service_account}-6d8f9c7b5-x7k2p"

    @property
    def request_name(self) -> str:
        """Of the CSR: with the Secret's name since 3.28, with the namespace before."""
        since_secret = self.release not in ("3.26", "3.27")
        return f"{self.secret if since_secret else self.namespace}:{self.pod}"

    def story(self) -> dict[str, Any]:
        """Arguments of `judge`."""
        return {
            "request": {"common_name": self.common_name, "dns_names": self.dns_names},
            "csr": {
                "name": self.request_name,
                "namespace": self.namespace,
                "service_account": self.service_account,
                "pod": self.pod,
            },
            "pod": {"name": self.pod, "namespace": self.namespace, "service_account": self.service_account},
            "signer": {"release": self.release},
        }

    def __str__(self) -> str:
        return f"{self.component} {self.release}"


def service_names(service: str, namespace: str) -> tuple[str, ...]:
    """The four names of a service, as the operator's pkg/dns gives them."""
    short = f"{service}.{namespace}"
    return (service, short, f"{short}.svc", f"{short}.svc.cluster.local")


def rows() -> list[Row]:
    """Every component of open-source Calico in every release that differs."""
    found = []
    for release in ("3.26", "3.27", "3.28", "3.30", "3.31"):
        old = release != "3.31"
        namespace = "calico-apiserver" if old else "calico-system"
        single = {"namespace": "calico-system", "release": release}
        found += [
            Row(
                component="calico-node",
                service_account="calico-node",
                secret="node-certs",
                common_name="typha-client",
                dns_names=("typha-client",),
                **single,
            ),
            Row(
                component="calico-typha",
                service_account="calico-typha",
                secret="typha-certs",
                common_name="typha-server",
                dns_names=("typha-server",),
                **single,
            ),
            Row(
                component="calico-apiserver-own-namespace" if old else "calico-apiserver",
                namespace=namespace,
                service_account="calico-apiserver",
                secret="calico-apiserver-certs",
                common_name="calico-api",
                dns_names=service_names("calico-api", namespace),
                release=release,
            ),
        ]
    return found


@pytest.mark.parametrize("row", rows(), ids=str)
def test_every_component_of_every_release_gets_its_names(row: Row) -> None:
    """The honest request of each component is permitted with exactly its names, and with no address."""
    permit = judge(**row.story())
    assert isinstance(permit, Permit), permit
    assert (permit.component, permit.common_name, permit.dns_names) == (row.component, row.common_name, row.dns_names)
    assert permit.ip_addresses == ()
    assert permit.extended_key_usage == ("serverAuth", "clientAuth")


@pytest.mark.parametrize("row", rows(), ids=str)
def test_no_component_gets_another_ones_names(row: Row) -> None:
    """Each component that asks for the names of each other component is refused for common name and names."""
    for other in rows():
        if other.common_name == row.common_name:
            continue
        story = row.story() | {"request": other.story()["request"]}
        assert {"subject.common_name", "san.dns.not_allowed", "san.dns.missing"} <= codes(judge(**story))


@pytest.mark.parametrize(("size", "broken"), [(1 << 20, set()), ((1 << 20) + 1, {"object.size"})])
def test_a_csr_may_have_one_mebibyte(size: int, broken: set[str]) -> None:
    """The certificate then fits into etcd beside it; one byte more is refused."""
    unpadded = len(json.dumps(make_csr_object(metadata={"generateName": ""})))
    padded = judge(csr={"metadata": {"generateName": "x" * (size - unpadded)}})
    assert (set() if isinstance(padded, Permit) else codes(padded)) == broken


def test_the_cluster_domain_is_the_configured_one() -> None:
    """The name with the cluster's domain is the configuration's; any other domain is foreign."""
    row = rows()[-1]
    foreign = judge(**row.story() | {"signer": {"cluster_domain": "corp.example"}})
    own = (*row.dns_names[:3], "calico-api.calico-system.svc.corp.example")
    story = row.story() | {"signer": {"cluster_domain": "corp.example"}}
    story["request"] = {**story["request"], "dns_names": own}
    permit = judge(**story)
    assert codes(foreign) == {"san.dns.not_allowed"}
    assert isinstance(permit, Permit)
    assert permit.dns_names == own


def test_an_optional_name_may_be_left_out() -> None:
    """The operator leaves the name with the cluster's domain out where it does not know it; no other may be."""
    row = rows()[-1]
    story = row.story()
    permit = judge(**story | {"request": {**story["request"], "dns_names": row.dns_names[:3]}})
    refusal = judge(**story | {"request": {**story["request"], "dns_names": row.dns_names[1:]}})
    assert isinstance(permit, Permit)
    assert permit.dns_names == row.dns_names[:3]
    assert codes(refusal) == {"san.dns.missing"}


@pytest.mark.parametrize(
    ("key", "name"), [(rsa_key(), "RSA-2048"), (ec_key("P-384"), "P-384"), (ec_key("P-521"), "P-521")]
)
def test_the_key_of_the_request_is_permitted_byte_for_byte(key: Any, name: str) -> None:
    """Whatever allowed key was requested stands in the permit as it came."""
    permit = judge(request={"key": key})
    assert isinstance(permit, Permit), permit
    assert permit.public_key.name == name
    assert permit.public_key.subject_public_key_info == public_key_info(key)


@pytest.mark.parametrize(
    ("sentence", "request_changes"),
    [
        ("no subject but the common name", {"subject": ()}),
        ("no basic constraints", {"authority": None}),
        ("no key usage", {"key_usage": None}),
        ("no extended key usage", {"extended_key_usage": None}),
        ("no address", {"addresses": ()}),
        ("lines that end in CR LF", {"wrap": lambda encoded: pem(encoded).replace(b"\n", b"\r\n")}),
        ("no line end after the block", {"wrap": lambda encoded: pem(encoded).removesuffix(b"\n")}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_permitted_is_also_a_request_with(sentence: str, request_changes: Mapping[str, Any]) -> None:
    """What the client may leave out, or write otherwise, changes no word of the certificate."""
    assert judge(request=request_changes) == judge()


@pytest.mark.parametrize(
    ("sentence", "seconds", "lifetime"),
    [
        ("absent: the profile's default", None, timedelta(days=365)),
        ("a day", 86_400, timedelta(days=1)),
        ("ten minutes, the least that the API server accepts", 600, timedelta(minutes=10)),
        ("below the minimum: the minimum", 60, timedelta(minutes=10)),
        ("negative: the minimum", -1, timedelta(minutes=10)),
        ("beyond the maximum: the maximum", 2_000_000_000, timedelta(days=365)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_expiration_seconds_are_a_wish(sentence: str, seconds: int | None, lifetime: timedelta) -> None:
    """The lifetime counts from creation and stays within the profile's bounds."""
    permit = judge(csr={"expiration_seconds": seconds})
    assert isinstance(permit, Permit)
    assert permit.not_after - CREATED == lifetime
    assert permit.not_before == CREATED - timedelta(minutes=5)


def test_the_configuration_can_only_lower_the_lifetime() -> None:
    """The configuration's cap wins over default and wish, and never raises them."""
    capped = judge(csr={"expiration_seconds": 86_400 * 300}, signer={"lifetime": timedelta(days=30)})
    raised = judge(signer={"lifetime": timedelta(days=800)})
    assert isinstance(capped, Permit)
    assert isinstance(raised, Permit)
    assert capped.not_after - CREATED == timedelta(days=30)
    assert raised.not_after - CREATED == timedelta(days=365)


def test_validity_stays_within_the_issuers() -> None:
    """Neither end of the validity lies outside the CA certificate's."""
    short = make_issuer(
        make_authority(not_before=CREATED - timedelta(minutes=1), not_after=CREATED + timedelta(days=200))
    )
    permit = judge(signer={"issuer": short})
    assert isinstance(permit, Permit)
    assert (permit.not_before, permit.not_after) == (
        CREATED - timedelta(minutes=1),
        CREATED + timedelta(days=200),
    )


def test_now_decides_whether_but_never_what() -> None:
    """Within the floor, a permit is the same at any time; one second after it, none is given and the end is late."""
    half = timedelta(days=365) / 2
    last, first = judge(now=CREATED + half), judge(now=CREATED + half + timedelta(seconds=1))
    assert last == judge(now=CREATED - timedelta(days=3)) == judge()
    assert isinstance(first, Refusal)
    assert (first.reason, first.too_late) == ("TooLate", True)


PENDING: Mapping[str, Any] = {
    "signer": {"profile": certifying_addresses()},
    "pod": {"pod_ips": (), "host_ips": (), "host_network": False},
}
"""A pod on the pod network whose address is not visible yet, in a profile that certifies addresses."""


@pytest.mark.parametrize(("seconds", "deferred"), [(0, True), (299, True), (300, False), (301, False)], ids=str)
def test_a_deferral_ends(seconds: int, deferred: bool) -> None:  # noqa: FBT001 - a column
    """An address that is to be certified is waited for until the CSR is five minutes old, then refused by name."""
    decision = judge(**PENDING, now=CREATED + timedelta(seconds=seconds))
    if deferred:
        assert isinstance(decision, Deferral)
        assert decision.retry_after == 2
        assert ADDRESS in decision.missing
    else:
        assert codes(decision) == {"pod.address_missing"}
        assert isinstance(decision, Refusal)
        assert decision.reason == "AddressNotVisible"
        assert ADDRESS in decision.violations[0].message
        assert not decision.too_late


def test_a_request_with_a_violation_is_never_deferred() -> None:
    """If another rule is broken, the function does not wait for an address."""
    decision = judge(**PENDING, request={"dns_names": ("typha-client", "google.com")})
    assert codes(decision) == {"san.dns.not_allowed"}


@pytest.mark.parametrize(
    ("sentence", "claims"),
    [
        ("confirms it", {}),
        ("says nothing yet", {"pod_ips": (), "host_ips": ()}),
        ("is late, after the node came back with another address", {"pod_ips": ("10.132.0.1",), "host_ips": ()}),
        ("was rewritten by somebody", {"pod_ips": ("8.8.8.8", "::1"), "host_ips": ("garbage",)}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_status_refuses_or_changes_a_certificate_without_addresses(sentence: str, claims: Mapping[str, Any]) -> None:
    """With `addresses: omit`, whatever the pod's status says of the requested address, the certificate is the same."""
    permit = judge(pod=claims)
    assert isinstance(permit, Permit), permit
    assert replace(permit, unconfirmed_addresses=()) == judge()
    assert [str(address) for address in permit.unconfirmed_addresses] == ([ADDRESS] if claims else [])


def test_an_address_that_is_not_the_pods_is_recorded_and_not_certified() -> None:
    """With `addresses: omit`, a foreign address gets nobody anything, and the permit names it for the audit record."""
    permit = judge(request={"addresses": ("8.8.8.8",)})
    assert isinstance(permit, Permit)
    assert permit.ip_addresses == ()
    assert [str(address) for address in permit.unconfirmed_addresses] == ["8.8.8.8"]


def test_a_profile_with_addresses_pod_certifies_the_pods_addresses() -> None:
    """With `addresses: pod` and its own network, the addresses in the pod's status are certified."""
    permit = judge(signer=PENDING["signer"], pod={"host_network": False, "host_ips": ()})
    assert isinstance(permit, Permit)
    assert [str(address) for address in permit.ip_addresses] == [ADDRESS]
    assert permit.unconfirmed_addresses == ()


@pytest.mark.parametrize("kind", ["InternalIP", "ExternalIP"])
def test_addresses_of_a_host_are_certified_from_its_node(kind: str) -> None:
    """With `addresses: pod` on the host's network, those of the node are certified, whatever the pod's status says."""
    permit = judge(
        signer=PENDING["signer"],
        pod={"pod_ips": ("10.0.0.1",), "host_ips": ()},
        node={"addresses": [("Hostname", "x"), (kind, ADDRESS)]},
    )
    assert isinstance(permit, Permit)
    assert [str(address) for address in permit.ip_addresses] == [ADDRESS]


@pytest.mark.parametrize("kind", ["Hostname", "InternalDNS", "ExternalDNS"])
def test_a_nodes_names_are_no_addresses(kind: str) -> None:
    """What a node calls a name is never taken for an address, even where it reads as one."""
    assert isinstance(judge(signer=PENDING["signer"], node={"addresses": [(kind, ADDRESS)]}), Deferral)


def test_ranges_allow_what_lies_within_any_of_them() -> None:
    """An address within one of several ranges, of component and cluster, is allowed."""
    ranges = (ip_network("2001:db8::/32"), *RANGES)
    profile = certifying_addresses("10.132.0.7/32", "192.0.2.0/24")
    permit = judge(signer={"profile": profile, "address_ranges": ranges})
    assert isinstance(permit, Permit)
    assert [str(address) for address in permit.ip_addresses] == [ADDRESS]


@pytest.mark.parametrize("address", ["240.10.0.7", "100.64.0.7", "fd00::7", "198.18.0.7", "169.253.0.7"])
def test_addresses_that_clusters_use_for_pods_are_possible(address: str) -> None:
    """Private, shared and class E addresses are honest pods' addresses."""
    permit = judge(
        request={"addresses": (address,)},
        pod={"pod_ips": (address,), "host_network": False},
        signer=PENDING["signer"],
    )
    assert isinstance(permit, Permit), permit
    assert [str(certified) for certified in permit.ip_addresses] == [address]


def test_both_families_of_a_pod_are_its_own() -> None:
    """An IPv6 address of a dual-stack pod is as good as its IPv4 address, however it is written."""
    permit = judge(
        request={"addresses": (ADDRESS, "2001:db8::7")},
        pod={"pod_ips": (ADDRESS, "2001:0db8:0000:0000:0000:0000:0000:0007"), "host_network": False},
        signer=PENDING["signer"],
    )
    assert isinstance(permit, Permit)
    assert [str(address) for address in permit.ip_addresses] == [ADDRESS, "2001:db8::7"]


def test_many_missing_addresses_stay_one_short_text() -> None:
    """A requester that names a hundred addresses gets neither a long answer nor a refusal that names nothing."""
    addresses = tuple(f"2001:db8:aaaa:bbbb:cccc:dddd:eeee:{number:04x}" for number in range(90))
    deferral = judge(**PENDING, request={"addresses": addresses})
    refusal = judge(**PENDING, request={"addresses": addresses}, now=CREATED + timedelta(hours=1))
    assert isinstance(deferral, Deferral)
    assert isinstance(refusal, Refusal)
    assert len(deferral.missing) < 300
    assert all(len(violation.message) < 400 for violation in refusal.violations)


def test_the_waiver_allows_a_token_without_a_credential_id() -> None:
    """Before Kubernetes 1.32, tokens have no credential ID; with the waiver, that is no violation."""
    extra: Mapping[str, Any] = {"further_extra": {CREDENTIAL_ID: []}}
    assert codes(judge(csr=extra)) == {"requester.unbound"}
    assert isinstance(judge(csr=extra, signer={"credential_id": False}), Permit)
    assert isinstance(judge(signer={"credential_id": False}), Permit)


@pytest.mark.parametrize(("namespace", "breaks"), [("1", {"san.dns.not_allowed"}), ("a1", set())])
def test_no_pattern_becomes_an_address(namespace: str, breaks: set[str]) -> None:
    """A namespace may be called 1: what a row makes of it must be a name still."""
    account = {"namespace": namespace, "service_account": "a"}
    row = replace(
        calico().components[0],
        service_accounts=(f"{namespace}/a",),
        dns_names=(NameRule(name="typha-client"), NameRule(name="10.0.0.{namespace}")),
    )
    decision = judge(
        csr=account,
        pod=account,
        request={"dns_names": ("typha-client", f"10.0.0.{namespace}")},
        signer={"profile": replace(calico(), components=(row,))},
    )
    assert codes(decision) == breaks


@pytest.mark.parametrize("first", [True, False])
def test_a_name_of_two_patterns_is_required_if_one_requires_it(first: bool) -> None:  # noqa: FBT001 - a column
    """In either order, no certificate lacks a name that a row requires."""
    rules = (NameRule(name="calico-system.x"), NameRule(name="{namespace}.x", optional=True))
    row = replace(calico().components[0], dns_names=rules if first else rules[::-1])
    signer = {"profile": replace(calico(), components=(row,))}
    assert codes(judge(signer=signer, request={"dns_names": ()})) == {"san.dns.missing"}
    assert isinstance(judge(signer=signer, request={"dns_names": ("calico-system.x",)}), Permit)


def test_addresses_are_held_to_the_issuers_constraints_where_they_are_certified() -> None:
    """An address that the CA may not certify is refused where it would be, and nobody's matter where it is left out."""
    elsewhere = x509.IPAddress(ip_network("192.0.2.0/24"))
    issuer = make_issuer(Ca("Constrained", extensions=permitted(elsewhere)))
    assert codes(judge(signer=PENDING["signer"] | {"issuer": issuer})) == {"name.constrained"}
    assert isinstance(judge(signer={"issuer": issuer}), Permit)
    within = make_issuer(Ca("Constrained", extensions=permitted(x509.IPAddress(RANGES[0]))))
    assert isinstance(judge(signer=PENDING["signer"] | {"issuer": within}), Permit)


def test_a_wish_beyond_every_number_is_the_maximum() -> None:
    """An expirationSeconds that no length of time can hold is still only a wish."""
    permit = judge(csr={"expiration_seconds": 2**63 - 1})
    assert isinstance(permit, Permit)
    assert permit.not_after - CREATED == timedelta(days=365)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"no_pod": True}, "PodGone"),
        ({"pod": {"deleting": True}}, "PodNotProven"),
        ({"csr": {"username": "attacker"}}, "RequesterNotAllowed"),
        ({"request": {"common_name": "typha-server"}}, "NameNotAllowed"),
        ({"request": {"key": rsa_key(1024)}}, "KeyNotAllowed"),
        ({"request": {"key_usage": (CERT_SIGN,)}}, "UsageNotAllowed"),
        ({"request": b"garbage"}, "RequestMalformed"),
        ({"request": b"garbage", "no_pod": True}, "PodGone"),
        ({"now": CREATED + timedelta(days=400)}, "TooLate"),
    ],
)
def test_reasons_sort_refusals(broken: Mapping[str, Any], reason: str) -> None:
    """A condition's reason is CamelCase and says what kind of rule was broken: who asks comes before what for."""
    decision = judge(**broken)
    assert isinstance(decision, Refusal)
    assert decision.reason == reason


USAGE_WORDS = '"digital signature", "key encipherment", "key agreement", "server auth", "client auth"'
USAGES_SUPPORTED = f"supported values: {USAGE_WORDS}"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"csr": {"usages": ()}}, f"spec.usages: Required value: must be among {USAGE_WORDS}"),
        ({"csr": {"usages": ("any", "client auth")}}, f'spec.usages: Unsupported value: "any": {USAGES_SUPPORTED}'),
        (
            {"request": {"key_usage": (CERT_SIGN,)}},
            f'spec.request.keyUsage: Unsupported value: "cert sign": {USAGES_SUPPORTED}',
        ),
        (
            {"request": {"subject": (("2.5.4.6", "DE"),)}},
            'spec.request.subject[2.5.4.6]: Invalid value: "DE": must be "US"',
        ),
        (
            {"request": {"subject": (("2.5.4.5", "1"),)}},
            'spec.request.subject[2.5.4.5]: Invalid value: "1": must be absent',
        ),
        (
            {"request": {"common_name": "x"}},
            'spec.request.subject.commonName: Invalid value: "x": must be "typha-client"',
        ),
        ({"request": {"common_name": None}}, 'spec.request.subject.commonName: Required value: must be "typha-client"'),
        (
            {"request": {"subject": (("2.5.4.3", "x"),)}},
            'spec.request.subject.commonName: Invalid value: ["x", "typha-client"]: must be "typha-client"',
        ),
        (
            {"request": {"dns_names": ("typha-client", "b", "a")}},
            'spec.request.dnsNames: Unsupported value: ["a", "b"]: supported values: "typha-client"',
        ),
        (
            {"request": {"dns_names": ("typha-client", "typha-client")}},
            'spec.request.dnsNames: Duplicate value: "typha-client"',
        ),
        ({"request": {"dns_names": ()}}, 'spec.request.dnsNames: Required value: must also have "typha-client"'),
        ({"request": {"addresses": (ADDRESS, ADDRESS)}}, f'spec.request.ipAddresses: Duplicate value: "{ADDRESS}"'),
        (
            {"request": {"addresses": ("127.0.0.1", ADDRESS)}},
            (
                'spec.request.ipAddresses: Invalid value: ["127.0.0.1"]: must not be a loopback, link-local, multicast,'
                " unspecified, broadcast or reserved address"
            ),
        ),
        (
            {"request": {"addresses": ("8.8.8.8", ADDRESS)}, "signer": {"address_ranges": RANGES}},
            'spec.request.ipAddresses: Invalid value: ["8.8.8.8"]: must be within "10.132.0.0/16"',
        ),
        ({"csr": {"name": "x"}}, f'metadata.name: Unsupported value: "x": supported values: "node-certs:{POD}"'),
        (
            {"csr": {"service_account": "x"}, "pod": {"service_account": "x"}},
            (
                'spec.username: Unsupported value: "calico-system/x": supported values:'
                ' "calico-system/calico-apiserver", "calico-system/calico-node", "calico-system/calico-typha",'
                ' "calico-system/goldmane", "calico-system/guardian", "calico-system/whisker"'
            ),
        ),
    ],
    ids=str,
)
def test_a_message_is_a_field_error(broken: Mapping[str, Any], message: str) -> None:
    """To the letter, for each rule: it is what the operator reads."""
    decision = judge(**broken)
    assert isinstance(decision, Refusal)
    assert message in [violation.message for violation in decision.violations]


@pytest.mark.parametrize("usages", [("server auth",), ("digital signature", "client auth"), USAGES[::-1]], ids=str)
def test_fewer_usages_than_the_profile_allows_are_enough(usages: tuple[str, ...]) -> None:
    """Older clients ask for some of them only; the certificate is the same."""
    assert judge(csr={"usages": usages}) == judge()


def test_of_several_rows_none_judges_a_request_by_another_name() -> None:
    """Where an account has two rows and the CSR name is neither's, the name is all that is known to be wrong."""
    node = calico().components[0]
    second = replace(
        node, name="second", common_name="second", request_names=(replace(node.request_names[0], name="second:{pod}"),)
    )
    profile = replace(calico(), components=(node, second))
    assert isinstance(judge(signer={"profile": profile}), Permit)
    assert codes(judge(signer={"profile": profile}, csr={"name": f"second:{POD}"})) == {"subject.common_name"}
    refusal = judge(signer={"profile": profile}, csr={"name": "x"}, request={"common_name": "evil", "dns_names": ()})
    assert codes(refusal) == {"request_name.not_allowed"}
    one_row = replace(calico(), components=(second,))
    assert codes(judge(signer={"profile": one_row}, csr={"name": "x"}, request={"common_name": "evil"})) == {
        "request_name.not_allowed",
        "subject.common_name",
    }


@pytest.mark.parametrize(("minutes", "left"), [(6, 240), (10, 0), (60 * 24 * 2, 0)], ids=["some", "none", "long past"])
def test_too_late_says_how_much_is_left(minutes: int, left: int) -> None:
    """In seconds, of how many, and never less than none."""
    refusal = judge(csr={"expiration_seconds": 600}, now=CREATED + timedelta(minutes=minutes))
    assert isinstance(refusal, Refusal)
    assert refusal.violations[0].message == (
        f"lifetime: Invalid value: {left} of 600 seconds are left: must be 50% or more;"
        " the issuer's chain ends 2036-01-01"
    )


def test_an_empty_attestation_is_refused() -> None:
    """No code makes an attestation without identity and violations, but it must not lead to a permit."""
    csr = make_csr()
    decision = decide(
        csr=csr,
        request=parse(csr.request),
        attestation=Attestation(identity=None, pod=None, violations=()),
        signer=make_signer(),
        now=NOW,
    )
    assert decision == Refusal(reason="RequesterNotAllowed", violations=())


def test_a_profile_without_rows_refuses() -> None:
    """An empty rule list refuses."""
    empty = replace(calico(), components=())
    assert codes(judge(signer={"profile": empty})) == {"requester.service_account"}


def test_a_floor_of_the_profile_holds() -> None:
    """The floor is the profile's: with a tenth, a certificate is given until nine tenths of the lifetime are gone."""
    lasting = replace(calico(), lifetime=Lifetime(default=timedelta(days=100), maximum=timedelta(days=100), floor=0.1))
    assert isinstance(judge(signer={"profile": lasting}, now=CREATED + timedelta(days=89)), Permit)
    assert isinstance(judge(signer={"profile": lasting}, now=CREATED + timedelta(days=91)), Refusal)


NAMES = st.sampled_from(
    ["typha-client", "typha-server", "calico-api", "*", "google.com", "system:masters", "TYPHA-CLIENT"]
)


@settings(max_examples=40)
@given(
    dns_names=st.lists(NAMES, max_size=4),
    addresses=st.lists(st.sampled_from([ADDRESS, "8.8.8.8", "127.0.0.1", "::1"]), max_size=3),
    visible=st.lists(st.sampled_from([ADDRESS, "127.0.0.1"]), max_size=2),
    certifying=st.booleans(),
    age=st.integers(min_value=-10, max_value=400 * 86_400),
    wish=st.none() | st.integers(min_value=-(2**31), max_value=2**31 - 1),
)
def test_a_permit_has_only_requested_and_allowed_values(
    *,
    dns_names: list[str],
    addresses: list[str],
    visible: list[str],
    certifying: bool,
    age: int,
    wish: int | None,
) -> None:
    """Names and addresses are requested and allowed; the validity is within the issuer's."""
    request = make_request(dns_names=dns_names, addresses=addresses)
    csr = make_csr(request=request, expiration_seconds=wish)
    signer = make_signer(profile=certifying_addresses() if certifying else calico())
    arguments: dict[str, Any] = {
        "csr": csr,
        "request": parse(csr.request),
        "attestation": make_attestation(csr, make_pod(pod_ips=visible, host_ips=())),
        "signer": signer,
        "now": CREATED + timedelta(seconds=age),
    }
    decision = decide(**arguments)
    assert decision == decide(**arguments)
    if isinstance(decision, Permit):
        assert set(decision.dns_names) <= set(dns_names) & {"typha-client"}
        assert {str(address) for address in decision.ip_addresses} <= set(addresses) & set(visible) - {"127.0.0.1"}
        assert signer.issuer.not_before <= decision.not_before < decision.not_after <= signer.issuer.not_after
        assert decision.not_after - CREATED <= timedelta(days=365)
    else:
        assert isinstance(decision, Deferral) or decision.violations
