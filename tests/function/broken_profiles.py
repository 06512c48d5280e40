"""Profiles with one thing wrong: what `load` must say, and whether the published schema sees it, too.

Tests of the profiles and of the schema read these rows. `release` is what the profile is loaded for.
"""

from dataclasses import dataclass, field
from typing import Any, Final


def lifetime(**changes: Any) -> dict[str, Any]:
    """How long its certificates last."""
    return {"default": "30d", "maximum": "90d"} | changes


def profile(**changes: Any) -> dict[str, Any]:
    """A small profile that is right, or wrong in one key."""
    return {
        "name": "own",
        "usages": ["digital signature", "server auth"],
        "lifetime": lifetime(minimum="1h"),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One row.

    Attributes:
        complaint: a pattern of the message: path, what was got, what is allowed.
        content: the profile.
        schema: whether the schema refuses it, too.
        release: that it is loaded for.
    """

    complaint: str
    content: dict[str, Any] = field(default_factory=dict)
    schema: bool = True
    release: str | None = None

    def __str__(self) -> str:
        return self.complaint


def _top(complaint: str, *, schema: bool = True, release: str | None = None, **changes: Any) -> Broken:
    return Broken(complaint=complaint, content=profile(**changes), schema=schema, release=release)


def _row(complaint: str, *, schema: bool = True, release: str | None = None, **changes: Any) -> Broken:
    content = profile(components=[component(), component(name="other", **changes)])
    content["components"][0]["request_names"] = [{"name": "first:{pod}"}]
    return Broken(complaint=complaint, content=content, schema=schema, release=release)


def _name(name: str) -> dict[str, Any]:
    return {"dns_names": [{"name": name}]}


TEXTS: Final = (
    _top(r"usages\.0: input should be 'digital signature', .*, got 'cert sign'", usages=["cert sign", "server auth"]),
    _top(r"usages\.0: input should be .*, got 'any'", usages=["any"]),
    _top(r"usages: allowed is at least one, got \[\]", usages=[]),
    _top(r"usages: allowed is each once, got", usages=["server auth", "server auth"]),
    _top(r"components: allowed is at least one, got \[\]", components=[]),
    _top(r"colour: unexpected keyword argument, got 'red'", colour="red"),
    _top(r"name: allowed are 1 to 200 characters in one line, got ''", name=""),
    _top(r"name: allowed are 1 to 200 characters in one line, got 'a\\nb'", name="a\nb"),
    _top(r"name: field required", components=[{"service_accounts": ["web/server"]}]),
    _top(r"namespaces: input should be 'written' or 'configured', got \['web'\]", namespaces=["web"]),
    _top(r"releases\.since: allowed is MAJOR\.MINOR in quotes, .*, got '3'", releases={"since": "3"}),
    _top(r"subject\.2\.5\.4\.10: input should be a valid string, got 5", subject={"2.5.4.10": 5}),
    _top(r"subject\.2\.5\.4\.3: allowed is an OID other than 2\.5\.4\.3", subject={"2.5.4.3": "name"}),
    _top(r"subject\.zz: allowed is an OID other", subject={"zz": "value"}),
    _top(r"subject\.C: allowed is an OID other", subject={"C": "US"}),
    _top(
        r"lifetime\.default: allowed is a whole number with a unit .*, got 30",
        lifetime=lifetime(default=30),
    ),
    _top(r"lifetime\.default: allowed is a whole number", lifetime=lifetime(default="30s")),
    _top(r"lifetime\.default: field required", lifetime={"maximum": "90d"}),
    _top(r"lifetime\.maximum: field required", lifetime={"default": "30d"}),
    _top(
        r"lifetime\.floor: allowed is a number between 0 and 1, got 1",
        lifetime=lifetime(floor=1),
    ),
    _top(
        r"lifetime\.floor: allowed is a number between 0 and 1, got 0",
        lifetime=lifetime(floor=0.0),
    ),
    _top(
        r"lifetime\.floor: allowed is a number between 0 and 1, got -1",
        lifetime=lifetime(floor=-1),
    ),
    _row(r"components\.1\.service_accounts: allowed is at least one, got \[\]", service_accounts=[]),
    _row(r"components\.1\.service_accounts: allowed is each once", service_accounts=["a/b", "a/b"]),
    _row(r"components\.1\.service_accounts\.0: allowed is NAMESPACE/NAME .*, got 'x'", service_accounts=["x"]),
    _row(r"service_accounts\.1: allowed is NAMESPACE/NAME .*, got 'a/b/c'", service_accounts=["a/b", "a/b/c"]),
    _row(r"service_accounts\.0: .*, got '\*/\*'", service_accounts=["*/*"]),
    _row(r"service_accounts\.0: .*, got 'Web/server'", service_accounts=["Web/server"]),
    _row(r"service_accounts\.0: .*, got '\{namespace\}/server'", service_accounts=["{namespace}/server"]),
    _row(r"components\.1\.request_names: allowed is at least one, got \[\]", request_names=[]),
    _row(
        r"request_names\.0\.name: allowed are .*\{pod\} and \{namespace\}, got 'a/b'", request_names=[{"name": "a/b"}]
    ),
    _row(r"request_names\.0\.name: .*, got ''", request_names=[{"name": ""}]),
    _row(r"request_names\.0\.name: .*, got '\{Pod\}'", request_names=[{"name": "{Pod}"}]),
    _row(r"request_names\.0\.name: .*got '\{cluster_domain\}'", request_names=[{"name": "{cluster_domain}"}]),
    _row(r"request_names\.0\.optional: unexpected", request_names=[{"name": "web", "optional": True}]),
    _row(
        r"common_name: allowed are .* not starting with system:.*got 'system:node:\{pod\}'",
        common_name="system:node:{pod}",
    ),
    _row(r"components\.1\.common_name: allowed are 1 to 64 .*, got ''", common_name=""),
    _row(r"common_name: .*, got 'a{65}'", common_name="a" * 65),
    _row(r"common_name: .*, got 'a\\x00b'", common_name="a\0b"),
    _row(r"common_name: .*, got '\{node\}'", common_name="{node}"),
    _row(r"common_name: .*, got '\{\}'", common_name="{}"),
    _row(r"common_name: .*, got '\*\.example\.com'", common_name="*.example.com"),
    _row(r"common_name: .* \{pod\} only as the first of several labels, .*, got '\{pod\}'", common_name="{pod}"),
    _row(r"common_name: .*, got 'web:\{pod\}'", common_name="web:{pod}"),
    _row(r"common_name: .*, got '\{pod\}-client'", common_name="{pod}-client"),
    _row(r"common_name: .*, got 'a\.\{pod\}'", common_name="a.{pod}"),
    _row(r"components\.1\.dns_names: allowed is at least one, got \[\]", dns_names=[]),
    _row(
        r"components\.1\.dns_names\.0\.name: allowed is a DNS name in lower case .*, got '10\.0\.0\.1'",
        **_name("10.0.0.1"),
    ),
    _row(r"dns_names\.0\.name: .*, got 'Web'", **_name("Web")),
    _row(r"dns_names\.0\.name: .*, got ''", **_name("")),
    _row(r"dns_names\.0\.name: .* without a wildcard, .*, got '\*\.svc'", **_name("*.svc")),
    _row(r"dns_names\.0\.name: .*, got 'web\.'", **_name("web.")),
    _row(r"dns_names\.0\.name: .*, got '-web'", **_name("-web")),
    _row(r"dns_names\.0\.name: .*, got 'a{64}'", **_name("a" * 64)),
    _row(r"dns_names\.0\.name: .*, got 'a{60}\.", **_name(".".join(["a" * 60] * 5))),
    _row(r"dns_names\.0\.name: .*, got '\{\}'", **_name("{}")),
    _row(r"dns_names\.0\.name: .*, got '\{node\}\.svc'", **_name("{node}.svc")),
    _row(r"dns_names\.0\.name: .* \{pod\} only as a whole label that is not.*, got '\{pod\}'", **_name("{pod}")),
    _row(r"dns_names\.0\.name: .*, got 'a-\{pod\}\.c'", **_name("a-{pod}.c")),
    _row(r"dns_names\.0\.name: .*, got '\{pod\}host\.x'", **_name("{pod}host.x")),
    _row(r"dns_names\.0\.name: .*, got 'web\.\{pod\}'", **_name("web.{pod}")),
    _row(r"dns_names\.0\.name: .*, got 'web\.x-\{pod\}-y'", **_name("web.x-{pod}-y")),
    _row(r"dns_names\.0: .*got 'web'", dns_names=["web"]),
    _row(r"dns_names\.0\.optional: .*valid boolean, got 'no'", dns_names=[{"name": "web", "optional": "no"}]),
    _row(r"components\.1\.extended_key_usage: allowed is at least one, got \[\]", extended_key_usage=[]),
    _row(r"extended_key_usage: allowed is each once", extended_key_usage=["serverAuth", "serverAuth"]),
    _row(r"extended_key_usage\.0: input should be 'serverAuth' or 'clientAuth', got 'any'", extended_key_usage=["any"]),
    _row(r"addresses: input should be 'omit' or 'pod', got 'node'", addresses="node"),
    _row(r"address_ranges\.0: allowed is a network in CIDR form, .*, got '10\.0\.0\.1'", address_ranges=["10.0.0.1"]),
    _row(
        r"address_ranges\.0: allowed is a network .*, got '10\.0\.0\.0/255\.0\.0\.0'",
        address_ranges=["10.0.0.0/255.0.0.0"],
    ),
    _row(r"address_ranges\.0: allowed is a network .*, got 10", address_ranges=[10]),
    _row(r"components\.1\.since: allowed is MAJOR\.MINOR in quotes, .*, got '3'", since="3"),
    _row(r"components\.1\.since: input should be a valid string, got 3\.3", since=3.30),
    _row(r"dns_names\.0\.until: allowed is MAJOR\.MINOR", dns_names=[{"name": "web", "until": "v1.0"}]),
)
"""What a type can say: the schema says it, too."""

_TWICE: Final = component(name="other", common_name="other")

RULES: Final = (
    _top(
        r"lifetime: got 0:09:00, .*, allowed is 10m <= minimum",
        schema=False,
        lifetime=lifetime(minimum="9m"),
    ),
    _top(r"lifetime: got .*, allowed is 10m", schema=False, lifetime=lifetime(default="1h", minimum="2h")),
    _top(r"lifetime: got .*, allowed is 10m", schema=False, lifetime={"default": "30d", "maximum": "29d"}),
    _top(r"lifetime: got .*, allowed is .*825d", schema=False, lifetime={"default": "30d", "maximum": "826d"}),
    _top(
        r"releases: got since 3\.2 until 3\.1, allowed",
        schema=False,
        release="3.1",
        releases={"since": "3.2", "until": "3.1"},
    ),
    _row(
        r"components\.1: got since 3\.10 until 3\.9, allowed is a span",
        schema=False,
        release="3.9",
        since="3.10",
        until="3.9",
    ),
    _row(
        r"components\.1\.request_names\.0: got since 2\.0 until 1\.0",
        schema=False,
        release="1.0",
        request_names=[{"name": "web", "since": "2.0", "until": "1.0"}],
    ),
    _row(
        r"components\.1\.dns_names\.1: got since 2\.0 until 1\.0",
        schema=False,
        release="1.0",
        dns_names=[{"name": "web"}, {"name": "web.svc", "since": "2.0", "until": "1.0"}],
    ),
    _top(
        r"components: got none in this release, allowed is at least one",
        schema=False,
        release="1.1",
        components=[component(until="1.0")],
    ),
    _row(
        r"components\.1\.request_names: got none in this release, allowed is at least one",
        schema=False,
        release="1.1",
        request_names=[{"name": "web", "until": "1.0"}],
    ),
    _row(
        r"components\.1\.dns_names: got none that is required in this release, allowed is at least one",
        schema=False,
        release="1.1",
        dns_names=[{"name": "web", "until": "1.0"}, {"name": "web.svc", "optional": True}],
    ),
    _row(
        r"components\.1\.dns_names: got none that is required in this release",
        schema=False,
        dns_names=[{"name": "web", "optional": True}],
    ),
    _row(
        r"components\.1\.dns_names: got \['web', 'web'\] in this release, allowed is each once",
        schema=False,
        dns_names=[{"name": "web"}, {"name": "web", "optional": True}],
    ),
    _top(
        r"components\.1\.request_names: got 'web:\{pod\}' for web/server, as in components\.0, allowed is one row",
        schema=False,
        components=[component(), _TWICE],
    ),
    _top(
        r"components\.1\.request_names: got 'web:\{pod\}' for web/server, as in components\.0",
        schema=False,
        components=[component(), _TWICE | {"request_names": [{"name": "{namespace}:{pod}"}]}],
    ),
    _row(r"address_ranges\.0: 10\.0\.0\.1/8 has host bits set, got", schema=False, address_ranges=["10.0.0.1/8"]),
    _row(
        r"address_ranges\.0: .*does not appear to be an IPv4 or IPv6 network",
        schema=False,
        address_ranges=["10.0.0.0/33"],
    ),
    _row(r"address_ranges\.0: .*does not appear to be", schema=False, address_ranges=["::ffff:1.2.3.4.5/8"]),
    _top(r"needs a release, for example", schema=False, releases={"since": "3.1"}),
    _row(r"needs a release, for example", schema=False, since="3.1"),
    _row(r"needs a release", schema=False, dns_names=[{"name": "web"}, {"name": "old-web", "until": "1.0"}]),
    _row(r"needs a release", schema=False, request_names=[{"name": "web"}, {"name": "old-web", "until": "1.0"}]),
)
"""What only `load` can say: rules of several keys, of a release, and of arithmetic."""

BROKEN: Final = (*TEXTS, *RULES)
