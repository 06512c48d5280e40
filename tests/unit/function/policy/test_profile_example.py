"""infra/examples/profiles/postgresql.yaml: a profile that is not Calico's; its pods ask for their own server names.

A user's profile needs a test like this one: what must be permitted, and each single thing that must not be.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Any, Final

import pytest

from csr_signer.policy.decision import Decision, Deferral, Permit
from csr_signer.policy.profile import Profile, load
from sandbox.calico import der
from tests.paths import EXAMPLE_PROFILES
from tests.unit.function.builders import (
    CERT_SIGN,
    CLIENT_AUTH,
    CREATED,
    DIGITAL_SIGNATURE,
    KEY_AGREEMENT,
    KEY_ENCIPHERMENT,
    SERVER_AUTH,
    SUBJECT,
    codes,
    judge,
)

EXAMPLES: Final = EXAMPLE_PROFILES
POD: Final = "postgres-0"
DOMAIN: Final = "k8s.example.org"
ADDRESS: Final = "10.20.3.4"
OWN: Final = (f"{POD}.postgres.databases.svc", f"{POD}.postgres.databases.svc.{DOMAIN}")
SHARED: Final = ("postgres.databases.svc", f"postgres.databases.svc.{DOMAIN}")


@cache
def profile() -> Profile:
    """The example, as a configuration document beside it would name it."""
    return load("postgresql.yaml", release=None, folder=EXAMPLES)


def ask(
    *,
    request: Mapping[str, Any] | None = None,
    csr: Mapping[str, Any] | None = None,
    pod: Mapping[str, Any] | None = None,
    **others: Any,
) -> Decision:
    """The decision on an honest request of the first pod, with changes."""
    honest: dict[str, Any] = {
        "subject": (),
        "common_name": OWN[0],
        "dns_names": OWN,
        "addresses": (ADDRESS,),
        "key_usage": (DIGITAL_SIGNATURE, KEY_ENCIPHERMENT),
        "extended_key_usage": (SERVER_AUTH,),
    }
    account = {"namespace": "databases", "service_account": "postgres"}
    usages = ("digital signature", "key encipherment", "server auth")
    return judge(
        request=honest | dict(request or {}),
        csr={"name": f"postgres:{POD}", "pod": POD, "usages": usages, **account} | dict(csr or {}),
        pod={"name": POD, "host_network": False, "pod_ips": (ADDRESS,), **account} | dict(pod or {}),
        signer={"profile": profile(), "cluster_domain": DOMAIN},
        **others,
    )


@pytest.mark.parametrize("names", [OWN, (*OWN, *SHARED), (*OWN, SHARED[0])], ids=["its own", "all", "some"])
def test_the_honest_request_is_permitted(names: tuple[str, ...]) -> None:
    """A server certificate for the names asked for and the pod's address, for 30 days."""
    permit = ask(request={"dns_names": names})
    assert isinstance(permit, Permit), permit
    assert (permit.component, permit.common_name, permit.dns_names) == ("postgres", OWN[0], names)
    assert [str(address) for address in permit.ip_addresses] == [ADDRESS]
    assert permit.extended_key_usage == ("serverAuth",)
    assert permit.not_after == CREATED + timedelta(days=30)


def test_an_address_is_not_needed() -> None:
    """Nothing is certified that nobody asked for."""
    permit = ask(request={"addresses": ()})
    assert isinstance(permit, Permit)
    assert permit.ip_addresses == ()


def test_both_families_are_certified() -> None:
    """Each within its range."""
    both = (ADDRESS, "fd00:20::7")
    permit = ask(request={"addresses": both}, pod={"pod_ips": both})
    assert isinstance(permit, Permit)
    assert tuple(str(address) for address in permit.ip_addresses) == both


def test_an_address_that_is_not_visible_yet_is_waited_for() -> None:
    """The kubelet is late sometimes; at the end of the wait it is a refusal."""
    assert isinstance(ask(pod={"pod_ips": (), "host_ips": ()}), Deferral)
    late = ask(pod={"pod_ips": (), "host_ips": ()}, now=CREATED + timedelta(minutes=5))
    assert codes(late) == {"pod.address_missing"}


@pytest.mark.parametrize(("days", "lasts"), [(7, 7), (90, 90), (365, 90)])
def test_a_lifetime_is_honoured_within_the_bounds(days: int, lasts: int) -> None:
    """`expirationSeconds` is a wish."""
    permit = ask(csr={"expiration_seconds": days * 24 * 3600})
    assert isinstance(permit, Permit)
    assert permit.not_after == CREATED + timedelta(days=lasts)


@pytest.mark.parametrize(
    ("breaks", "changes"),
    [
        ({"request_name.not_allowed"}, {"csr": {"name": "postgres:postgres-1"}}),
        ({"request_name.not_allowed"}, {"csr": {"name": POD}}),
        ({"request_name.not_allowed"}, {"csr": {"name": f"databases:{POD}"}}),
        ({"requester.service_account"}, {"csr": {"namespace": "default"}, "pod": {"namespace": "default"}}),
        (
            {"requester.service_account"},
            {"csr": {"service_account": "default"}, "pod": {"service_account": "default"}},
        ),
        ({"pod.service_account"}, {"pod": {"service_account": "default"}}),
        ({"subject.common_name"}, {"request": {"common_name": "postgres-1.postgres.databases.svc"}}),
        ({"subject.common_name"}, {"request": {"common_name": "postgres"}}),
        ({"subject.common_name"}, {"request": {"common_name": None}}),
        ({"subject.attribute"}, {"request": {"subject": (SUBJECT[1],)}}),
        ({"san.dns.missing"}, {"request": {"dns_names": OWN[:1]}}),
        ({"san.dns.missing"}, {"request": {"dns_names": OWN[1:]}}),
        ({"san.dns.missing"}, {"request": {"dns_names": ()}}),
        ({"san.dns.not_allowed"}, {"request": {"dns_names": (*OWN, "postgres-1.postgres.databases.svc")}}),
        ({"san.dns.not_allowed"}, {"request": {"dns_names": (*OWN, "postgres.other.svc")}}),
        ({"san.dns.not_allowed"}, {"request": {"dns_names": (*OWN, "postgres.databases.svc.cluster.local")}}),
        ({"san.dns.not_allowed"}, {"request": {"dns_names": (*OWN, "databases.svc")}}),
        ({"san.dns.not_allowed", "name.reserved"}, {"request": {"dns_names": (*OWN, "*.postgres.databases.svc")}}),
        ({"san.ip.not_allowed"}, {"request": {"addresses": ("10.21.0.1",)}, "pod": {"pod_ips": ("10.21.0.1",)}}),
        ({"san.ip.not_allowed"}, {"request": {"addresses": ("fd00:21::1",)}, "pod": {"pod_ips": ("fd00:21::1",)}}),
        ({"san.ip.not_allowed"}, {"request": {"addresses": ("127.0.0.1",)}, "pod": {"pod_ips": ("127.0.0.1",)}}),
        ({"san.type"}, {"request": {"other_names": [der.implicit(6, b"https://postgres.databases.svc")]}}),
        ({"usages.not_allowed"}, {"csr": {"usages": ("digital signature", "server auth", "client auth")}}),
        ({"extended_key_usage.not_allowed"}, {"request": {"extended_key_usage": (SERVER_AUTH, CLIENT_AUTH)}}),
        ({"key_usage.not_allowed"}, {"request": {"key_usage": (DIGITAL_SIGNATURE, KEY_AGREEMENT)}}),
        ({"key_usage.not_allowed"}, {"request": {"key_usage": (DIGITAL_SIGNATURE, CERT_SIGN)}}),
        ({"basic_constraints.ca"}, {"request": {"authority": True}}),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_one_thing_wrong_is_refused(breaks: set[str], changes: dict[str, Any]) -> None:
    """With exactly its code."""
    assert codes(ask(**changes)) == breaks


def test_an_address_of_another_pod_is_never_certified() -> None:
    """It lies within the ranges, but the API server does not show it as this pod's: waited for, and then refused."""
    other = {"addresses": (ADDRESS, "10.20.3.5")}
    assert isinstance(ask(request=other), Deferral)
    assert codes(ask(request=other, now=CREATED + timedelta(minutes=5))) == {"pod.address_missing"}


@pytest.mark.parametrize("pod", ["kubernetes.default", "a" * 64], ids=["with a dot", "of 64 characters"])
def test_a_pod_whose_name_is_no_dns_label_gets_no_names_of_it(pod: str) -> None:
    """Whoever creates pods chooses their names: one that is more than a label is refused, and told why."""
    names = tuple(name.replace(POD, pod) for name in OWN)
    decision = ask(
        request={"common_name": names[0][:64], "dns_names": names},
        csr={"name": f"postgres:{pod}", "pod": pod},
        pod={"name": pod},
    )
    assert "name.pod" in codes(decision)
