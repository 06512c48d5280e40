"""Profiles: what is not written is refused, and no profile rises above the ceilings in code."""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from csr_signer.document import read
from csr_signer.errors import ConfigurationError
from csr_signer.policy.profile import ALLOWED_USAGES, CEILING, FLOOR, SHIPPED, NameRule, Profile, Span, load
from tests.unit.function.builders import calico
from tests.unit.function.policy.broken_profiles import BROKEN, Broken, component, profile


def loaded(folder: Path, content: dict[str, Any], release: str | None = None, *namespaces: str) -> Profile:
    """The profile as a file of a user."""
    (folder / "own.yaml").write_text(yaml.safe_dump(content))
    return load("own.yaml", release=release, namespaces=namespaces, folder=folder)


def test_a_users_profile_is_a_file_beside_the_document(tmp_path: Path) -> None:
    """What is not written has the strictest meaning: no other subject attributes, no addresses, nothing optional."""
    own = loaded(tmp_path, profile())
    row = own.components[0]
    assert (own.name, own.subject, row.addresses, row.dns_names[0].optional) == ("own", {}, "omit", False)
    assert own.lifetime.default == timedelta(days=30)
    assert own.lifetime.floor == 0.5


@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_refused_is(broken: Broken, tmp_path: Path) -> None:
    """The message names file, path, what was got and what is allowed, in one line."""
    with pytest.raises(ConfigurationError, match=broken.violation) as raised:
        loaded(tmp_path, broken.content, broken.release)
    assert "own" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_rows_of_what_is_broken_start_from_one_that_is_right(tmp_path: Path) -> None:
    """Else they could be refused for something that none of them names."""
    other = component(name="other", request_names=[{"name": "first:{pod}"}])
    assert len(loaded(tmp_path, profile(components=[component(), other])).components) == 2


def test_every_violation_of_a_profile_is_reported_at_once(tmp_path: Path) -> None:
    """The author of a profile sees all violations in its texts."""
    with pytest.raises(ConfigurationError) as raised:
        loaded(tmp_path, profile(colour="red", components=[component(common_name="", service_accounts=["x"])]))
    message = str(raised.value)
    paths = ("colour", "components[0].common_name", "components[0].service_accounts[0]")
    assert all(path in message for path in paths)


SHIPPED_RELEASES = {"calico": "3.31", "calico-enterprise": "1.44"}


def test_shipped_profiles_are_these() -> None:
    """A further one needs a release here, and its rows in test_components."""
    assert {path.stem for path in SHIPPED.glob("*.yaml")} == set(SHIPPED_RELEASES)


@pytest.mark.parametrize(("name", "release"), SHIPPED_RELEASES.items())
def test_a_shipped_profile_is_found_by_its_name(name: str, release: str, tmp_path: Path) -> None:
    """Every file that is shipped loads for a release that it knows."""
    assert load(name, release=release, namespaces=["calico-system"], folder=tmp_path).name == name


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_profile_names_the_schema(path: Path) -> None:
    """Editors find it by the first line."""
    assert path.read_text(encoding="utf-8").splitlines()[0] == "# yaml-language-server: $schema=schema.json"


@pytest.mark.parametrize("name", ["absent", "absent.yaml", "", "../profiles/absent", "schema.json", "a" * 5000, "a\0"])
def test_an_unknown_profile_is_named_with_those_shipped(name: str, tmp_path: Path) -> None:
    """The message says what there is."""
    with pytest.raises(ConfigurationError, match=r"Not found: .*: shipped profiles are calico, calico-enterprise;"):
        load(name, release="3.31", folder=tmp_path)


def test_a_users_profile_lies_beside_the_document(tmp_path: Path) -> None:
    """A name is no path: nothing outside the document's folder is read."""
    loaded(tmp_path, profile())
    (tmp_path / "folder").mkdir()
    for name in ("../own.yaml", str(tmp_path / "own.yaml")):
        with pytest.raises(ConfigurationError, match=r"profile\.name: Not found: "):
            load(name, release=None, folder=tmp_path / "folder")


SINCE_3_30 = ["goldmane", "whisker-backend", "guardian"]


@pytest.mark.parametrize(
    ("release", "components", "request_name"),
    [
        ("3.26", ["calico-node", "calico-typha", "calico-apiserver-own-namespace"], "{namespace}:{pod}"),
        ("3.27", ["calico-node", "calico-typha", "calico-apiserver-own-namespace"], "{namespace}:{pod}"),
        ("3.28", ["calico-node", "calico-typha", "calico-apiserver-own-namespace"], "node-certs:{pod}"),
        ("3.30", ["calico-node", "calico-typha", "calico-apiserver-own-namespace", *SINCE_3_30], "node-certs:{pod}"),
        ("3.31", ["calico-node", "calico-typha", "calico-apiserver", *SINCE_3_30], "node-certs:{pod}"),
        (
            "3.100",
            [
                "calico-node",
                "calico-typha",
                "calico-apiserver",
                "goldmane",
                "whisker",
                "whisker-backend",
                "guardian",
                "calico-webhooks",
            ],
            "node-certs:{pod}",
        ),
    ],
)
def test_a_release_has_only_its_own_rows_and_names(release: str, components: list[str], request_name: str) -> None:
    """Numbers compare as numbers: 3.100 is later than 3.31."""
    rows = calico(release).components
    assert [row.name for row in rows] == components
    assert [rule.name for rule in rows[0].request_names] == [request_name]


@pytest.mark.parametrize(
    ("namespace", "service_account", "named"),
    [
        ("calico-system", "calico-node", True),
        ("calico-system", "calico-apiserver", True),
        ("calico-apiserver", "calico-apiserver", False),
        ("calico-system", "calico-kube-controllers", False),
        ("calico-system/calico-node", "", False),
        ("", "calico-system/calico-node", False),
    ],
)
def test_a_profile_has_rows_for_its_requesters(namespace: str, service_account: str, named: bool) -> None:  # noqa: FBT001 - a column
    """Only the service accounts of a release's own rows are anyone to it."""
    rows = calico("3.31").rows_of(namespace, service_account)
    assert [row.name for row in rows] == ([service_account] if named else [])


def test_a_service_account_may_have_several_rows(tmp_path: Path) -> None:
    """One pod may hold several certificates, each with a name of its own."""
    first, second = component(), component(name="metrics", request_names=[{"name": "metrics:{pod}"}])
    own = loaded(tmp_path, profile(components=[first, component(name="x", service_accounts=["web/x"]), second]))
    assert [row.name for row in own.rows_of("web", "server")] == ["web", "metrics"]


@pytest.mark.parametrize(
    ("violation", "release"),
    [
        (r'release: Required value: profile ".*" needs it, for example release: "3\.31"', None),
        (r'release: Invalid value: "3\.25": must be a release that profile ".*" supports: 3\.26 to any later', "3.25"),
        (r'release: Invalid value: "": must be MAJOR\.MINOR', ""),
        (r'release: Invalid value: "v3\.31": must', "v3.31"),
        (r'release: Invalid value: "3\.31\.1": must be MAJOR\.MINOR, without a patch release', "3.31.1"),
        (r'release: Invalid value: "3\.31\.2\.1": must', "3.31.2.1"),
        (r'release: Invalid value: "4\.0": must be a release .*: 3\.26 to 3\.33 and its later minor releases; ', "4.0"),
        (r'release: Invalid value: "33\.1": must be a release that profile', "33.1"),
        (r'release: Invalid value: "3": must', "3"),
        (r'release: Invalid value: "3\.31\\n": must', "3.31\n"),
    ],
)
def test_a_release_is_named_and_known(violation: str, release: str | None, tmp_path: Path) -> None:
    """A profile of several releases never guesses which is meant."""
    with pytest.raises(ConfigurationError, match=violation):
        load("calico", release=release, folder=tmp_path)


@pytest.mark.parametrize(
    ("release", "warned"), [("3.26", False), ("3.33", False), ("3.34", True), ("3.100", True), (None, False)]
)
def test_a_later_minor_release_is_warned_of(release: str | None, *, warned: bool) -> None:
    """A cluster that upgrades keeps its signer; the warning names both releases."""
    warning = calico("3.33").release_warning(release)
    assert (warning is not None) == warned
    if warning is not None:
        said = (
            f'profile.release: "{release}" is newer than "3.33", the newest release that profile "calico" was written'
        )
        assert warning.startswith(said)


def test_a_profile_that_names_no_newest_release_accepts_any(tmp_path: Path) -> None:
    """The author of a profile decides."""
    own = loaded(tmp_path, profile(releases={"since": "3.0"}), "99.0")
    assert own.release_warning("99.0") is None


def test_a_release_after_the_last_is_not_known(tmp_path: Path) -> None:
    """A profile may end."""
    with pytest.raises(ConfigurationError, match=r'release: Invalid value: "3\.1": .* supports: any to 3\.0'):
        loaded(tmp_path, profile(releases={"until": "3.0"}), "3.1")


@pytest.mark.parametrize("part", ["request_names", "dns_names"])
def test_a_release_has_only_its_own_names(part: str, tmp_path: Path) -> None:
    """A name of some releases does not apply to the others."""
    bounded = component(**{part: [{"name": "web"}, {"name": "old-web", "until": "1.0"}]})
    rows = [loaded(tmp_path, profile(components=[bounded]), release).components[0] for release in ("1.0", "1.1")]
    assert [[rule.name for rule in getattr(row, part)] for row in rows] == [["web", "old-web"], ["web"]]


def test_a_span_may_be_of_one_release(tmp_path: Path) -> None:
    """Both ends are inclusive, so they may be equal."""
    rows = [component(), component(name="x", service_accounts=["web/x"], since="1.0", until="1.0")]
    counts = [len(loaded(tmp_path, profile(components=rows), release).components) for release in ("0.9", "1.0", "1.1")]
    assert counts == [1, 2, 1]


def test_two_releases_may_use_one_request_name(tmp_path: Path) -> None:
    """Rows are compared within a release: what was renamed is no ambiguity."""
    rows = [component(until="1.0"), component(name="new", since="1.1", common_name="new")]
    assert [loaded(tmp_path, profile(components=rows), release).components[0].name for release in ("1.0", "1.1")] == [
        "web",
        "new",
    ]


def test_a_common_name_need_not_be_a_dns_name(tmp_path: Path) -> None:
    """And localhost is a name: Calico Enterprise asks for both."""
    row = component(common_name="localhost", dns_names=[{"name": "web"}, {"name": "localhost"}])
    own = loaded(tmp_path, profile(components=[row])).components[0]
    assert (own.common_name, [rule.name for rule in own.dns_names]) == ("localhost", ["web", "localhost"])


@pytest.mark.parametrize(
    "name",
    [
        "{pod}.web.{namespace}.svc.{cluster_domain}",
        "web.{namespace}",
        "web.{pod}.c",
        "1.2.3.a",
        "a" * 63,
        "x.{namespace}-y",
    ],
)
def test_a_dns_name_may_be(name: str, tmp_path: Path) -> None:
    """What comes before the last label may be the pod's own."""
    own = loaded(tmp_path, profile(components=[component(dns_names=[{"name": name}])]))
    assert own.components[0].dns_names == (NameRule(name=name),)


@pytest.mark.parametrize("name", ["{pod}.web", "{namespace}", "A b_c.d:e-f", "1", "{cluster_domain}"])
def test_a_common_name_may_be(name: str, tmp_path: Path) -> None:
    """Placeholders, and what Kubernetes' names are made of."""
    own = loaded(tmp_path, profile(components=[component(common_name=name)]))
    assert own.components[0].common_name == name


def test_address_ranges_are_networks(tmp_path: Path) -> None:
    """They may restrict what a row asks for, whether it certifies addresses or not."""
    for addresses in ("omit", "pod"):
        row = component(addresses=addresses, address_ranges=["10.0.0.0/8", "fd00::/8", "192.0.2.1/32"])
        own = loaded(tmp_path, profile(components=[row])).components[0]
        assert own.address_ranges == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"), ip_network("192.0.2.1/32"))
    assert loaded(tmp_path, profile()).components[0].address_ranges == ()


def two_namespaces(**changes: Any) -> dict[str, Any]:
    """A profile for two namespaces, of which one row is for both and one for `db` until 1.0."""
    both = component(service_accounts=["web/server", "db/server"])
    old = component(name="old", service_accounts=["old/server"], request_names=[{"name": "old:{pod}"}], until="1.0")
    return profile(components=[both, old], **changes)


def test_configured_namespaces_are_the_only_ones(tmp_path: Path) -> None:
    """A service account of another namespace is nobody, and a row without any is none."""
    own = loaded(tmp_path, two_namespaces(), "1.0", "web")
    assert [row.service_accounts for row in own.components] == [("web/server",)]
    assert not own.rows_of("db", "server")
    everywhere = loaded(tmp_path, two_namespaces(), "1.0")
    assert [row.service_accounts for row in everywhere.components] == [("web/server", "db/server"), ("old/server",)]
    assert loaded(tmp_path, two_namespaces(), "1.0", "web", "db", "old", "web") == everywhere


@pytest.mark.parametrize("namespace", ["old", "absent", "", "web/server"])
def test_a_namespace_that_the_release_does_not_use_is_an_error(namespace: str, tmp_path: Path) -> None:
    """Anyone could create it; the message says which there are."""
    with pytest.raises(
        ConfigurationError,
        match=rf'profile\.namespaces: Unsupported value: "{namespace}": supported values: "db", "web"$',
    ):
        loaded(tmp_path, two_namespaces(), "1.1", "web", namespace)


def test_a_profile_may_demand_its_namespaces(tmp_path: Path) -> None:
    """Where they differ from installation to installation, none is honoured unasked."""
    demanding = two_namespaces(namespaces="configured")
    with pytest.raises(ConfigurationError, match=r"profile\.namespaces: Required value: .*, out of db, old, web$"):
        loaded(tmp_path, demanding, "1.0")
    own = loaded(tmp_path, demanding, "1.0", "db")
    assert [row.service_accounts for row in own.components] == [("db/server",)]


def test_a_release_of_one_namespace_needs_no_list(tmp_path: Path) -> None:
    """There is nothing to choose: a cluster that uses the profile uses its only namespace."""
    content = profile(namespaces="configured")
    assert loaded(tmp_path, content).components == loaded(tmp_path, content, None, "web").components != ()


@pytest.mark.parametrize("name", SHIPPED_RELEASES)
def test_requesters_choose_no_longer_lifetime_than_the_default(name: str) -> None:
    """Nothing can be revoked, so `expirationSeconds` may only shorten what a shipped profile gives."""
    lifetime = read(Profile, SHIPPED / f"{name}.yaml").lifetime
    assert lifetime.maximum == lifetime.default == timedelta(days=365)


def test_enterprise_demands_its_namespaces(tmp_path: Path) -> None:
    """The shipped profile of Calico Enterprise honours none that the configuration does not name."""
    with pytest.raises(
        ConfigurationError, match=r"profile\.namespaces: Required value: must list .*, out of .*tigera-dex"
    ):
        load("calico-enterprise", release="1.44", folder=tmp_path)


@pytest.mark.parametrize("floor", [float("nan"), float("inf"), -1.0])
def test_a_floor_is_a_part(floor: float, tmp_path: Path) -> None:
    """Numbers that compare with nothing are no floor."""
    with pytest.raises(ConfigurationError, match="lifetime"):
        loaded(tmp_path, profile(lifetime={"default": "30d", "maximum": "90d", "floor": floor}))


@pytest.mark.parametrize("text", ["3.31\n", "٣.٣١"])
def test_no_release_is(text: str, tmp_path: Path) -> None:
    """Texts that a careless pattern would take: a line's end, and digits of another script."""
    with pytest.raises(ConfigurationError, match=r"components\[0\]\.since: .*: must be MAJOR\.MINOR"):
        loaded(tmp_path, profile(components=[component(since=text)]), "3.31")


def test_no_ceiling_is_near_a_ca() -> None:
    """No usage that any profile may allow signs certificates, lists or answers."""
    assert not {usage for usage in ALLOWED_USAGES if "sign" in usage} - {"digital signature"}
    assert "any" not in ALLOWED_USAGES
    assert (timedelta(minutes=10), timedelta(days=825)) == (FLOOR, CEILING)


@pytest.mark.parametrize(
    ("span", "release", "included"),
    [
        (Span(), "1.0", True),
        (Span(since="3.28"), "3.27", False),
        (Span(since="3.28"), "3.28", True),
        (Span(since="3.9"), "3.28", True),
        (Span(until="3.27"), "3.27", True),
        (Span(until="3.27"), "3.28", False),
        (Span(since="3.28", until="3.30"), "3.29", True),
        (NameRule(name="n", until="3.27"), "4.0", False),
    ],
)
def test_a_span_has_both_its_ends(span: Span, release: str, included: bool) -> None:  # noqa: FBT001 - a column
    """Since and until are inclusive; an absent end is open."""
    assert span.includes(release) == included
