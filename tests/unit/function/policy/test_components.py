"""Every component of every release: its request is permitted, and refused for each single thing made wrong.

The table in `component_tables` was not made from the profiles, so a profile that is wrong, or lets more through, fails
here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from csr_signer.document import read
from csr_signer.errors import ConfigurationError
from csr_signer.policy.decision import Decision, Permit
from csr_signer.policy.profile import SHIPPED, Profile, load
from sandbox.calico import der
from tests.unit.function.builders import (
    CERT_SIGN,
    CLIENT_AUTH,
    DIGITAL_SIGNATURE,
    SERVER_AUTH,
    SUBJECT,
    USAGES,
    codes,
    issued,
    judge,
)
from tests.unit.function.policy.component_tables import (
    CALICO_RELEASES,
    DOMAIN,
    ENTERPRISE_RELEASES,
    Asked,
    loaded,
    rows,
)

RELEASES: Final = {"calico": CALICO_RELEASES, "calico-enterprise": ENTERPRISE_RELEASES}
NAMESPACES: Final = ("calico-enterprise", "1.44")
"""A profile of several namespaces, and a release of it."""
CODE_SIGNING: Final = "1.3.6.1.5.5.7.3.3"
SERIAL_NUMBER: Final = "2.5.4.5"
PURPOSES: Final = {ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth", ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A component in one release of a profile."""

    profile: str
    release: str
    asked: Asked

    def __str__(self) -> str:
        return f"{self.profile} {self.release}: {self.asked}"

    @property
    def siblings(self) -> list[Asked]:
        """Everything that its service account asks for in this release, itself included."""
        return [row for row in rows(self.profile, self.release) if row.account == self.asked.account]


PLACES: Final = [
    Place(profile=profile, release=release, asked=asked)
    for profile, releases in RELEASES.items()
    for release in releases
    for asked in rows(profile, release)
]


DIFFERENT: Final = tuple({(place.profile, place.asked, *place.siblings): place for place in PLACES}.values())
"""Each component once, in its latest release, and once more where its service account asks for something else then."""


def ask(place: Place, *, request: Mapping[str, Any] | None = None, **changes: Mapping[str, Any]) -> Decision:
    """The decision on the component's request, with changes of request, CSR, pod or signer."""
    asked = place.asked
    names = {"common_name": asked.common_name, "dns_names": (*asked.names, *asked.optional_names)}
    account = {"namespace": asked.namespace, "service_account": asked.service_account}
    return judge(
        request=names | dict(request or {}),
        csr={"name": asked.request_name, "pod": asked.pod, **account} | dict(changes.get("csr", {})),
        pod={"name": asked.pod, "host_network": False, **account} | dict(changes.get("pod", {})),
        signer={"profile": loaded(place.profile, place.release), "cluster_domain": DOMAIN},
    )


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_its_certificate_is_issued(place: Place) -> None:
    """With the optional names, and without them; addresses are left out."""
    for optional_names in {place.asked.optional_names, ()}:
        names = (*place.asked.names, *optional_names)
        permit = ask(place, request={"dns_names": names})
        assert isinstance(permit, Permit), permit
        certificate = issued(permit)
        assert certificate.subject == x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, place.asked.common_name)])
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert list(alternative) == list(map(x509.DNSName, names))
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert {PURPOSES[purpose] for purpose in usage} == set(place.asked.extended_key_usage)


def _another(place: Place) -> Asked:
    """Another component of the release, with other names."""
    others = [row for row in rows(place.profile, place.release) if row.account != place.asked.account]
    return next(row for row in others if row.common_name != place.asked.common_name)


def _against(judging: Asked, common_name: str, dns_names: Sequence[str]) -> set[str]:
    """What names break that a row of the table does not ask for."""
    broken = {"subject.common_name"} if common_name != judging.common_name else set()
    broken |= {"san.dns.not_allowed"} if set(dns_names) - {*judging.names, *judging.optional_names} else set()
    return broken | ({"san.dns.missing"} if set(judging.names) - set(dns_names) else set())


Wrong = tuple[str, set[str], Decision]


def _wrong_request_names(place: Place) -> list[Wrong]:
    """A name that no row of the account knows; nothing else is wrong, whichever of its rows was meant."""
    asked = place.asked
    own = {sibling.prefix for sibling in place.siblings}
    prefixes = ({asked.namespace, "node-certs", _another(place).prefix, "unknown", ""} - own) | {f"{asked.prefix}x"}
    names = [
        *(f"{prefix}:{asked.pod}" for prefix in sorted(prefixes)),
        f"{asked.prefix}:{asked.pod}x",
        f"{asked.prefix}:{_another(place).pod}",
        f"{asked.prefix}:{asked.pod}:5ckvq1",
        asked.prefix,
        asked.pod,
    ]
    return [(f"CSR name {name}", {"request_name.not_allowed"}, ask(place, csr={"name": name})) for name in names]


def _wrong_siblings(place: Place) -> list[Wrong]:
    """The name of the same pod's other CSR: its row is another."""
    asked = place.asked
    names = (*asked.names, *asked.optional_names)
    return [
        (
            f"the pod's {other.prefix}",
            _against(other, asked.common_name, names),
            ask(place, csr={"name": other.request_name}),
        )
        for other in place.siblings
        if _against(other, asked.common_name, names)
    ]


def _wrong_requesters(place: Place) -> list[Wrong]:
    """Everything right but who asks."""
    asked, nobody = place.asked, {"requester.service_account"}
    changes: dict[str, tuple[set[str], dict[str, Mapping[str, Any]]]] = {
        "another service account": (nobody, _both(service_account="default")),
        "another namespace": (nobody, _both(namespace="default")),
        "a namespace that ends as the right one": (nobody, _both(namespace=f"x-{asked.namespace}")),
        "a pod of another service account": ({"pod.service_account"}, {"pod": {"service_account": "default"}}),
        "another pod's uid": ({"pod.gone"}, {"pod": {"uid": "11111111-2222-3333-4444-555555555555"}}),
        "usages of which one is too much": ({"usages.not_allowed"}, {"csr": {"usages": (*USAGES, "code signing")}}),
        "no usages": ({"usages.not_allowed"}, {"csr": {"usages": ()}}),
    }
    return [(sentence, breaks, ask(place, **change)) for sentence, (breaks, change) in changes.items()]


def _both(**account: str) -> dict[str, Mapping[str, Any]]:
    return {"csr": account, "pod": account}


def _wrong_names(place: Place) -> list[Wrong]:
    """Each name left out, and some added."""
    asked, other = place.asked, _another(place)
    names = (*asked.names, *asked.optional_names)
    wrong: dict[str, tuple[str, Sequence[str]]] = {
        **{f"without {name}": (asked.common_name, [n for n in names if n != name]) for name in asked.names},
        **{
            f"with {name} too": (asked.common_name, (*names, name))
            for name in (f"{asked.pod}.{asked.namespace}", "kubernetes.default.svc", f"{asked.names[0]}.example.com")
        },
        **{
            f"{name} in another domain": (asked.common_name, (*asked.names, name.replace(DOMAIN, "cluster.local")))
            for name in asked.optional_names
            if DOMAIN in name
        },
        "no DNS name": (asked.common_name, ()),
        "another component's common name": (other.common_name, names),
        "another component's names": (other.common_name, (*other.names, *other.optional_names)),
        "another component's names too": (asked.common_name, sorted({*names, *other.names})),
        "a common name in capitals": (asked.common_name.upper(), names),
        "a DNS name in capitals": (asked.common_name, (*names[1:], names[0].upper())),
    }
    return [
        (
            sentence,
            _against(asked, common_name, dns_names),
            ask(place, request={"common_name": common_name, "dns_names": tuple(dns_names)}),
        )
        for sentence, (common_name, dns_names) in wrong.items()
    ]


def _wrong_requests(place: Place) -> list[Wrong]:
    """Right names, and one thing too much or forbidden."""
    names = (*place.asked.names, *place.asked.optional_names)
    wrong: dict[str, tuple[set[str], dict[str, Any]]] = {
        "no common name": ({"subject.common_name"}, {"common_name": None}),
        "a user of Kubernetes": ({"subject.common_name", "name.reserved"}, {"common_name": "system:masters"}),
        "a wildcard": ({"san.dns.not_allowed", "name.reserved"}, {"dns_names": (*names, f"*.{names[0]}")}),
        "a DNS name twice": ({"san.dns.not_allowed"}, {"dns_names": (*names, names[0])}),
        "a URI": ({"san.type"}, {"other_names": [der.implicit(6, b"spiffe://cluster.local/ns/x/sa/y")]}),
        "an e-mail address": ({"san.type"}, {"other_names": [der.implicit(1, b"root@example.com")]}),
        "a loopback address": ({"san.ip.not_allowed"}, {"addresses": ("127.0.0.1",)}),
        "an attribute too much": ({"subject.attribute"}, {"subject": (*SUBJECT, (SERIAL_NUMBER, "1"))}),
        "an attribute with another value": ({"subject.attribute"}, {"subject": (("2.5.4.10", "system:masters"),)}),
        "an EKU too much": ({"extended_key_usage.not_allowed"}, {"extended_key_usage": (SERVER_AUTH, CODE_SIGNING)}),
        "any EKU": ({"extended_key_usage.not_allowed"}, {"extended_key_usage": (CLIENT_AUTH, "2.5.29.37.0")}),
        "a key usage too much": ({"key_usage.not_allowed"}, {"key_usage": (DIGITAL_SIGNATURE, CERT_SIGN)}),
        "CA:TRUE": ({"basic_constraints.ca"}, {"authority": True}),
    }
    return [(sentence, breaks, ask(place, request=change)) for sentence, (breaks, change) in wrong.items()]


WRONG: Final[tuple[Callable[[Place], list[Wrong]], ...]] = (
    _wrong_request_names,
    _wrong_siblings,
    _wrong_requesters,
    _wrong_names,
    _wrong_requests,
)


@pytest.mark.parametrize("make", WRONG, ids=lambda make: make.__name__.removeprefix("_"))
@pytest.mark.parametrize("place", DIFFERENT, ids=str)
def test_one_thing_wrong_is_refused_with_its_codes(place: Place, make: Callable[[Place], list[Wrong]]) -> None:
    """With exactly these: nothing else was wrong with the request."""
    wrong = make(place)
    assert {sentence: set(codes(decision)) for sentence, _, decision in wrong} == {
        sentence: breaks for sentence, breaks, _ in wrong
    }
    assert all(breaks for _, breaks, _ in wrong)


@pytest.mark.parametrize(
    ("profile", "release"), [(p, release) for p, releases in RELEASES.items() for release in releases]
)
def test_a_profile_holds_what_the_table_holds(profile: str, release: str) -> None:
    """No row, account or name more, none less, no other name optional, no address certified."""
    shipped = {
        (account, rule.name, row.common_name, row.dns_names, frozenset(row.extended_key_usage), row.addresses)
        for row in read(Profile, SHIPPED / f"{profile}.yaml").of_release(release).components
        for account in row.service_accounts
        for rule in row.request_names
    }
    plain = {
        (
            account,
            name.replace("{namespace}", account.partition("/")[0]),
            common_name,
            frozenset((rule.name.replace("{cluster_domain}", DOMAIN), rule.optional) for rule in dns_names),
            extended_key_usage,
            addresses,
        )
        for account, name, common_name, dns_names, extended_key_usage, addresses in shipped
    }
    assert plain == {
        (
            asked.account,
            f"{asked.prefix}:{{pod}}",
            asked.common_name,
            frozenset({*((name, False) for name in asked.names), *((name, True) for name in asked.optional_names)}),
            frozenset(asked.extended_key_usage),
            "omit",
        )
        for asked in rows(profile, release)
    }


@pytest.mark.parametrize("place", [place for place in PLACES if place.profile == "calico"], ids=str)
def test_another_release_is_another_component(place: Place) -> None:
    """Where a later or an earlier release names or places it otherwise, it is refused there."""
    for release in CALICO_RELEASES:
        elsewhere = Place(profile=place.profile, release=release, asked=place.asked)
        decision = ask(elsewhere)
        if place.asked.known(release):
            assert isinstance(decision, Permit)
        else:
            rows_there = elsewhere.siblings
            breaks = {"request_name.not_allowed" if rows_there else "requester.service_account"}
            if len(rows_there) == 1:  # the account's only row judges the rest too
                names = (*place.asked.names, *place.asked.optional_names)
                breaks |= _against(rows_there[0], place.asked.common_name, names)
            assert codes(decision) == breaks


@pytest.mark.parametrize("profile", RELEASES)
def test_a_profile_names_the_newest_release_that_its_rows_are_for(profile: str) -> None:
    """It is the newest one whose source the tables follow, so that the warning of a later one is right."""
    newest = RELEASES[profile][-1]
    found = load(profile, release=newest, namespaces=["calico-system"], folder=SHIPPED)
    assert found.releases.newest == newest


@pytest.mark.parametrize("profile", RELEASES)
def test_earlier_releases_are_not_known(profile: str) -> None:
    """Rather than judged by rows of another one."""
    major, minor = RELEASES[profile][0].split(".")
    earlier = f"{major}.{int(minor) - 1}"
    with pytest.raises(
        ConfigurationError, match=f'release: Invalid value: "{earlier}": must be a release that profile'
    ):
        load(profile, release=earlier, namespaces=["calico-system"], folder=SHIPPED)


@pytest.mark.parametrize(
    "place",
    {place.asked.namespace: place for place in PLACES if (place.profile, place.release) == NAMESPACES}.values(),
    ids=str,
)
def test_a_namespace_that_is_not_configured_is_refused(place: Place) -> None:
    """An attacker could have created it: the configuration has all other namespaces, but not this one."""
    namespaces = {asked.namespace for asked in rows(place.profile, place.release)} - {place.asked.namespace}
    profile = load(place.profile, release=place.release, namespaces=namespaces, folder=SHIPPED)
    asked = place.asked
    account = {"namespace": asked.namespace, "service_account": asked.service_account}
    decision = judge(
        request={"common_name": asked.common_name, "dns_names": asked.names},
        csr={"name": asked.request_name, "pod": asked.pod, **account},
        pod={"name": asked.pod, **account},
        signer={"profile": profile},
    )
    assert codes(decision) == {"requester.service_account"}
