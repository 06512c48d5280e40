"""Profiles: what is not written is refused, and no profile rises above the ceilings in code."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from csr_signer.errors import ConfigurationError
from csr_signer.profile import ALLOWED_USAGES, CEILING, FLOOR, SHIPPED, NameRule, Profile, Span, load
from tests.function.builders import calico


def profile(**changes: Any) -> dict[str, Any]:
    """A small profile that is right, or wrong in one key."""
    return {
        "name": "own",
        "usages": ["digital signature", "server auth"],
        "lifetime": {"default": "30d", "minimum": "1h", "maximum": "90d"},
        "components": [component()],
    } | changes


def component(**changes: Any) -> dict[str, Any]:
    """Its row."""
    return {
        "name": "web",
        "service_accounts": ["web/server"],
        "request_names": [{"name": "web:{pod}"}],
        "common_name": "web",
        "dns_names": [{"name": "web.{namespace}.svc.{cluster_domain}"}],
        "extended_key_usage": ["serverAuth"],
    } | changes


def loaded(folder: Path, content: dict[str, Any], release: str | None = None) -> Profile:
    """The profile as a file of a user."""
    (folder / "own.yaml").write_text(yaml.safe_dump(content))
    return load("own.yaml", release=release, folder=folder)


def test_a_users_profile_is_a_file_beside_the_document(tmp_path: Path) -> None:
    """What is not written has the strictest meaning: no other subject attributes, no addresses, nothing optional."""
    own = loaded(tmp_path, profile())
    row = own.components[0]
    assert (own.name, own.subject, row.addresses, row.dns_names[0].optional) == ("own", {}, "omit", False)
    assert own.lifetime.default == timedelta(days=30)
    assert own.lifetime.floor == 0.5


@pytest.mark.parametrize("name", [path.stem for path in SHIPPED.glob("*.yaml")])
def test_a_shipped_profile_is_found_by_its_name(name: str, tmp_path: Path) -> None:
    """Every file that is shipped loads for a release that it knows."""
    assert load(name, release="3.31", folder=tmp_path).name == name


@pytest.mark.parametrize("name", ["absent", "absent.yaml", "", "../profiles/absent"])
def test_an_unknown_profile_is_named_with_those_shipped(name: str, tmp_path: Path) -> None:
    """The message says what there is."""
    with pytest.raises(ConfigurationError, match="no such profile, shipped are calico"):
        load(name, release="3.31", folder=tmp_path)


@pytest.mark.parametrize(
    ("release", "components", "request_name"),
    [
        ("3.26", ["calico-node", "calico-typha", "calico-apiserver-own-namespace"], "{namespace}:{pod}"),
        ("3.27", ["calico-node", "calico-typha", "calico-apiserver-own-namespace"], "{namespace}:{pod}"),
        ("3.28", ["calico-node", "calico-typha", "calico-apiserver-own-namespace"], "node-certs:{pod}"),
        ("3.30", ["calico-node", "calico-typha", "calico-apiserver-own-namespace"], "node-certs:{pod}"),
        ("3.31", ["calico-node", "calico-typha", "calico-apiserver"], "node-certs:{pod}"),
        ("3.100", ["calico-node", "calico-typha", "calico-apiserver"], "node-certs:{pod}"),
        ("4.0", ["calico-node", "calico-typha", "calico-apiserver"], "node-certs:{pod}"),
    ],
)
def test_a_release_has_its_rows_and_names_alone(release: str, components: list[str], request_name: str) -> None:
    """Numbers are compared as numbers: 3.100 is later than 3.31."""
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
def test_a_profile_names_its_requesters(namespace: str, service_account: str, named: bool) -> None:  # noqa: FBT001 - a column
    """Only the service accounts of a release's own rows are anyone to it."""
    assert calico("3.31").names(namespace, service_account) == named


@pytest.mark.parametrize(
    ("complaint", "release"),
    [
        (r"needs a release, for example release: \"3\.31\"", None),
        (r"release 3\.25 is not known, allowed are 3\.26 to any later", "3.25"),
        (r"release: got '', allowed is MAJOR\.MINOR", ""),
        (r"release: got 'v3\.31', allowed", "v3.31"),
        (r"release: got '3\.31\.1', allowed", "3.31.1"),
        (r"release: got '3', allowed", "3"),
        (r"release: got '3\.31\\n', allowed", "3.31\n"),
    ],
)
def test_a_release_is_named_and_known(complaint: str, release: str | None, tmp_path: Path) -> None:
    """A profile of several releases never guesses which is meant."""
    with pytest.raises(ConfigurationError, match=complaint):
        load("calico", release=release, folder=tmp_path)


def test_a_release_after_the_last_is_not_known(tmp_path: Path) -> None:
    """A profile may end."""
    with pytest.raises(ConfigurationError, match=r"release 3\.1 is not known, allowed are any to 3\.0"):
        loaded(tmp_path, profile(releases={"until": "3.0"}), "3.1")


@pytest.mark.parametrize("part", ["request_names", "dns_names"])
def test_bounds_of_a_name_need_a_release_too(part: str, tmp_path: Path) -> None:
    """Without a release, a name that only some releases use must not hold for all."""
    bounded = component(**{part: [{"name": "web"}, {"name": "old-web", "until": "1.0"}]})
    with pytest.raises(ConfigurationError, match="needs a release"):
        loaded(tmp_path, profile(components=[bounded]))
    assert len(getattr(loaded(tmp_path, profile(components=[bounded]), "1.1").components[0], part)) == 1


@pytest.mark.parametrize("part", ["request_names", "dns_names"])
def test_a_row_that_loses_its_last_name_is_an_error(part: str, tmp_path: Path) -> None:
    """A row without request names could never be used, one without DNS names would certify none."""
    bounded = component(**{part: [{"name": "web", "until": "1.0"}]})
    assert loaded(tmp_path, profile(components=[bounded]), "1.0").components
    with pytest.raises(ConfigurationError, match=r"component 'web' has no request name .* in release 1\.1"):
        loaded(tmp_path, profile(components=[bounded]), "1.1")


@pytest.mark.parametrize(
    ("complaint", "changes"),
    [
        (r"own\.yaml: usages: got \['cert sign'\], allowed are", {"usages": ["cert sign", "server auth"]}),
        (r"usages: got \['any'\]", {"usages": ["any"]}),
        (r"usages: got none", {"usages": []}),
        (r"lifetime: allowed is 10m <= minimum", {"lifetime": {"default": "30d", "minimum": "9m"}}),
        (r"lifetime: allowed", {"lifetime": {"default": "1h", "minimum": "2h"}}),
        (r"lifetime: allowed", {"lifetime": {"default": "30d", "maximum": "29d"}}),
        (r"lifetime: allowed .*825d", {"lifetime": {"default": "30d", "maximum": "826d"}}),
        (r"lifetime: allowed .*a floor between 0 and 1", {"lifetime": {"default": "30d", "floor": 1}}),
        (r"lifetime: allowed .*a floor between 0 and 1", {"lifetime": {"default": "30d", "floor": 0.0}}),
        (r"lifetime\.default: allowed is a whole number with a unit", {"lifetime": {"default": 30}}),
        (r"components: got none, so every request would be refused", {"components": []}),
        (r"colour: unexpected keyword argument", {"colour": "red"}),
        (r"subject\.2\.5\.4\.10: input should be a valid string", {"subject": {"2.5.4.10": 5}}),
    ],
)
def test_a_profile_cannot(complaint: str, changes: dict[str, Any], tmp_path: Path) -> None:
    """Ceilings are in code; the message names file, key, what was got and what is allowed."""
    with pytest.raises(ConfigurationError, match=complaint):
        loaded(tmp_path, profile(**changes))


@pytest.mark.parametrize("floor", [float("nan"), float("inf"), -1.0])
def test_a_floor_is_a_part(floor: float, tmp_path: Path) -> None:
    """Numbers that compare with nothing are no floor."""
    with pytest.raises(ConfigurationError, match="lifetime"):
        loaded(tmp_path, profile(lifetime={"default": "30d", "floor": floor}))


@pytest.mark.parametrize(
    ("complaint", "changes"),
    [
        (r"components\.0\.service_accounts, request_names, .* at least one", {"service_accounts": []}),
        (r"at least one entry", {"request_names": []}),
        (r"at least one entry", {"dns_names": []}),
        (r"at least one entry", {"extended_key_usage": []}),
        (r"all are optional", {"dns_names": [{"name": "web", "optional": True}]}),
        (r"service_accounts: got \['server'\], allowed are NAMESPACE/NAME", {"service_accounts": ["server"]}),
        (r"service_accounts: got \['a/b/c'\]", {"service_accounts": ["a/b/c"]}),
        (r"placeholder \{node\} is not known", {"common_name": "{node}"}),
        (r"placeholder \{\} is not known", {"dns_names": [{"name": "{}"}]}),
        (r"placeholder \{Pod\} is not known", {"request_names": [{"name": "{Pod}"}]}),
        (r"common_name: .* not starting with system:", {"common_name": "system:node:{pod}"}),
        (r"common_name: got '', allowed are 1 to 64", {"common_name": ""}),
        (r"common_name: got 'a{65}'", {"common_name": "a" * 65}),
        (r"common_name: got 'a\\x00b'", {"common_name": "a\0b"}),
        (r"dns_names: got \['10\.0\.0\.1'\]", {"dns_names": [{"name": "10.0.0.1"}]}),
        (r"dns_names: got \['Web'\]", {"dns_names": [{"name": "Web"}]}),
        (r"dns_names: got \[''\]", {"dns_names": [{"name": ""}]}),
        (r"service_accounts: got \['\*/\*'\]", {"service_accounts": ["*/*"]}),
        (r"extended_key_usage: got one twice", {"extended_key_usage": ["serverAuth", "serverAuth"]}),
        (r"a span that ends before it begins", {"since": "3.31", "until": "3.30"}),
        (r"without a wildcard", {"dns_names": [{"name": "*.svc"}]}),
        (r"since, until: allowed is MAJOR\.MINOR in quotes", {"since": "3"}),
        (r"since, until: allowed", {"dns_names": [{"name": "web", "until": "v1.0"}]}),
        (r"components\.0\.since: input should be a valid string, got 3\.3", {"since": 3.30}),
        (r"extended_key_usage\.0: input should be 'serverAuth' or 'clientAuth'", {"extended_key_usage": ["anyUsage"]}),
        (r"addresses: input should be 'omit' or 'pod'", {"addresses": "node"}),
        (r"dns_names\.0: .*got 'web'", {"dns_names": ["web"]}),
        (
            r"dns_names\.0\.optional: input should be a valid boolean",
            {"dns_names": [{"name": "web", "optional": "no"}]},
        ),
    ],
)
def test_a_row_cannot(complaint: str, changes: dict[str, Any], tmp_path: Path) -> None:
    """Every key of a row has its rule, and the message says which row."""
    with pytest.raises(ConfigurationError, match=complaint):
        loaded(tmp_path, profile(components=[component(**changes)]))


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


@pytest.mark.parametrize("subject", [{"2.5.4.3": "name"}, {"zz": "value"}, {"C": "US"}])
def test_subject_attributes_are_oids_other_than_the_common_name(subject: dict[str, str], tmp_path: Path) -> None:
    """The common name is the component's, and a short name is not an attribute type."""
    with pytest.raises(ConfigurationError, match=r"subject: got .*, allowed are OIDs other than 2\.5\.4\.3"):
        loaded(tmp_path, profile(subject=subject))


def test_two_rows_for_the_same_request_are_refused(tmp_path: Path) -> None:
    """Neither would be meant for sure: the message says which account and request name."""
    rows = [component(), component(name="other", common_name="other")]
    with pytest.raises(ConfigurationError, match=r"two rows are for web/server with request name 'web:\{pod\}'"):
        loaded(tmp_path, profile(components=rows))
