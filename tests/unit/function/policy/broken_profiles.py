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
        violation: a pattern of the message.
        content: the profile.
        schema: whether the schema refuses it, too.
        release: that it is loaded for.
    """

    violation: str
    content: dict[str, Any] = field(default_factory=dict)
    schema: bool = True
    release: str | None = None

    def __str__(self) -> str:
        return self.violation


def _top(violation: str, *, schema: bool = True, release: str | None = None, **changes: Any) -> Broken:
    return Broken(violation=violation, content=profile(**changes), schema=schema, release=release)


def _row(violation: str, *, schema: bool = True, release: str | None = None, **changes: Any) -> Broken:
    content = profile(components=[component(), component(name="other", **changes)])
    content["components"][0]["request_names"] = [{"name": "first:{pod}"}]
    return Broken(violation=violation, content=content, schema=schema, release=release)


def _name(name: str) -> dict[str, Any]:
    return {"dns_names": [{"name": name}]}


TEXTS: Final = (
    _top(
        r'usages\[0\]: Unsupported value: "cert sign": supported values: "digital signature", .*',
        usages=["cert sign", "server auth"],
    ),
    _top(r'usages\[0\]: Unsupported value: "any": supported values: .*', usages=["any"]),
    _top(r"usages: Invalid value: \[\]: must have at least one item", usages=[]),
    _top(r"usages: Invalid value: .*: must have each item once", usages=["server auth", "server auth"]),
    _top(r"components: Invalid value: \[\]: must have at least one item", components=[]),
    _top(r"colour: Forbidden: unknown key", colour="red"),
    _top(r'name: Invalid value: "": must be 1 to 200 characters in one line', name=""),
    _top(r'name: Invalid value: "a\\nb": must be 1 to 200 characters in one line', name="a\nb"),
    _top(r"name: Required value", components=[{"service_accounts": ["web/server"]}]),
    _top(r'namespaces: Unsupported value: \["web"\]: supported values: "written", "configured"', namespaces=["web"]),
    _top(r'releases\.since: Invalid value: "3": must be MAJOR\.MINOR in quotes, .*', releases={"since": "3"}),
    _top(r'releases\.newest: Invalid value: "v3\.1": must be MAJOR\.MINOR in quotes, .*', releases={"newest": "v3.1"}),
    _top(r"subject\.2\.5\.4\.10: Invalid value: 5: must be a valid string", subject={"2.5.4.10": 5}),
    _top(r"subject\.2\.5\.4\.3: Invalid value: .*: must be an OID other than 2\.5\.4\.3", subject={"2.5.4.3": "name"}),
    _top(r"subject\.zz: Invalid value: .*: must be an OID other", subject={"zz": "value"}),
    _top(r"subject\.C: Invalid value: .*: must be an OID other", subject={"C": "US"}),
    _top(
        r"lifetime\.default: Invalid value: 30: must be a whole number with a unit .*",
        lifetime=lifetime(default=30),
    ),
    _top(r"lifetime\.default: Invalid value: .*: must be a whole number", lifetime=lifetime(default="30s")),
    _top(r"lifetime\.default: Required value", lifetime={"maximum": "90d"}),
    _top(r"lifetime\.maximum: Required value", lifetime={"default": "30d"}),
    _top(
        r"lifetime\.floor: Invalid value: 1: must be a number between 0 and 1",
        lifetime=lifetime(floor=1),
    ),
    _top(
        r"lifetime\.floor: Invalid value: 0\.0: must be a number between 0 and 1",
        lifetime=lifetime(floor=0.0),
    ),
    _top(
        r"lifetime\.floor: Invalid value: -1: must be a number between 0 and 1",
        lifetime=lifetime(floor=-1),
    ),
    _row(r"components\[1\]\.service_accounts: Invalid value: \[\]: must have at least one item", service_accounts=[]),
    _row(
        r"components\[1\]\.service_accounts: Invalid value: .*: must have each item once",
        service_accounts=["a/b", "a/b"],
    ),
    _row(
        r'components\[1\]\.service_accounts\[0\]: Invalid value: "x": must be NAMESPACE/NAME .*', service_accounts=["x"]
    ),
    _row(
        r'service_accounts\[1\]: Invalid value: "a/b/c": must be NAMESPACE/NAME .*', service_accounts=["a/b", "a/b/c"]
    ),
    _row(r'service_accounts\[0\]: Invalid value: "\*/\*": .*', service_accounts=["*/*"]),
    _row(r'service_accounts\[0\]: Invalid value: "Web/server": .*', service_accounts=["Web/server"]),
    _row(r'service_accounts\[0\]: Invalid value: "\{namespace\}/server": .*', service_accounts=["{namespace}/server"]),
    _row(r"components\[1\]\.request_names: Invalid value: \[\]: must have at least one item", request_names=[]),
    _row(
        r'request_names\[0\]\.name: Invalid value: "a/b": must be .*\{pod\} and \{namespace\}',
        request_names=[{"name": "a/b"}],
    ),
    _row(r'request_names\[0\]\.name: Invalid value: "": .*', request_names=[{"name": ""}]),
    _row(r'request_names\[0\]\.name: Invalid value: "\{Pod\}": .*', request_names=[{"name": "{Pod}"}]),
    _row(
        r'request_names\[0\]\.name: Invalid value: "\{cluster_domain\}": .*',
        request_names=[{"name": "{cluster_domain}"}],
    ),
    _row(
        r"request_names\[0\]\.optional: Forbidden: unknown key",
        request_names=[{"name": "web", "optional": True}],
    ),
    _row(
        r'common_name: Invalid value: "system:node:\{pod\}": must be .* not starting with system:.*',
        common_name="system:node:{pod}",
    ),
    _row(r'components\[1\]\.common_name: Invalid value: "": must be 1 to 64 .*', common_name=""),
    _row(r'common_name: Invalid value: "a{65}": .*', common_name="a" * 65),
    _row(r'common_name: Invalid value: "a\\x00b": .*', common_name="a\0b"),
    _row(r'common_name: Invalid value: "\{node\}": .*', common_name="{node}"),
    _row(r'common_name: Invalid value: "\{\}": .*', common_name="{}"),
    _row(r'common_name: Invalid value: "\*\.example\.com": .*', common_name="*.example.com"),
    _row(
        r'common_name: Invalid value: "\{pod\}": .* \{pod\} only as the first of several labels, .*',
        common_name="{pod}",
    ),
    _row(r'common_name: Invalid value: "web:\{pod\}": .*', common_name="web:{pod}"),
    _row(r'common_name: Invalid value: "\{pod\}-client": .*', common_name="{pod}-client"),
    _row(r'common_name: Invalid value: "a\.\{pod\}": .*', common_name="a.{pod}"),
    _row(r"components\[1\]\.dns_names: Invalid value: \[\]: must have at least one item", dns_names=[]),
    _row(
        r'components\[1\]\.dns_names\[0\]\.name: Invalid value: "10\.0\.0\.1": must be a DNS name in lower case .*',
        **_name("10.0.0.1"),
    ),
    _row(r'dns_names\[0\]\.name: Invalid value: "Web": .*', **_name("Web")),
    _row(r'dns_names\[0\]\.name: Invalid value: "": .*', **_name("")),
    _row(r'dns_names\[0\]\.name: Invalid value: "\*\.svc": .* without a wildcard, .*', **_name("*.svc")),
    _row(r'dns_names\[0\]\.name: Invalid value: "web\.": .*', **_name("web.")),
    _row(r'dns_names\[0\]\.name: Invalid value: "-web": .*', **_name("-web")),
    _row(r'dns_names\[0\]\.name: Invalid value: "a{64}": .*', **_name("a" * 64)),
    _row(r'dns_names\[0\]\.name: Invalid value: "a{60}\.', **_name(".".join(["a" * 60] * 5))),
    _row(r'dns_names\[0\]\.name: Invalid value: "\{\}": .*', **_name("{}")),
    _row(r'dns_names\[0\]\.name: Invalid value: "\{node\}\.svc": .*', **_name("{node}.svc")),
    _row(
        r'dns_names\[0\]\.name: Invalid value: "\{pod\}": .* \{pod\} only as a whole label that is not.*',
        **_name("{pod}"),
    ),
    _row(r'dns_names\[0\]\.name: Invalid value: "a-\{pod\}\.c": .*', **_name("a-{pod}.c")),
    _row(r'dns_names\[0\]\.name: Invalid value: "\{pod\}host\.x": .*', **_name("{pod}host.x")),
    _row(r'dns_names\[0\]\.name: Invalid value: "web\.\{pod\}": .*', **_name("web.{pod}")),
    _row(r'dns_names\[0\]\.name: Invalid value: "web\.x-\{pod\}-y": .*', **_name("web.x-{pod}-y")),
    _row(r'dns_names\[0\]: Invalid value: "web": .*', dns_names=["web"]),
    _row(
        r'dns_names\[0\]\.optional: Invalid value: "no": .*valid boolean', dns_names=[{"name": "web", "optional": "no"}]
    ),
    _row(
        r"components\[1\]\.extended_key_usage: Invalid value: \[\]: must have at least one item", extended_key_usage=[]
    ),
    _row(
        r"extended_key_usage: Invalid value: .*: must have each item once",
        extended_key_usage=["serverAuth", "serverAuth"],
    ),
    _row(
        r'extended_key_usage\[0\]: Unsupported value: "any": supported values: "serverAuth", "clientAuth"',
        extended_key_usage=["any"],
    ),
    _row(r'addresses: Unsupported value: "node": supported values: "omit", "pod"', addresses="node"),
    _row(
        r'address_ranges\[0\]: Invalid value: "10\.0\.0\.1": must be a network in CIDR form, .*',
        address_ranges=["10.0.0.1"],
    ),
    _row(
        r'address_ranges\[0\]: Invalid value: "10\.0\.0\.0/255\.0\.0\.0": must be a network .*',
        address_ranges=["10.0.0.0/255.0.0.0"],
    ),
    _row(r"address_ranges\[0\]: Invalid value: 10: must be a network .*", address_ranges=[10]),
    _row(r'components\[1\]\.since: Invalid value: "3": must be MAJOR\.MINOR in quotes, .*', since="3"),
    _row(r"components\[1\]\.since: Invalid value: 3\.3: must be a valid string", since=3.30),
    _row(
        r"dns_names\[0\]\.until: Invalid value: .*: must be MAJOR\.MINOR", dns_names=[{"name": "web", "until": "v1.0"}]
    ),
)
"""What a type can say: the schema says it, too."""

_TWICE: Final = component(name="other", common_name="other")

RULES: Final = (
    _top(
        r"lifetime: Invalid value: 0:09:00, .*: must be 10m <= minimum",
        schema=False,
        lifetime=lifetime(minimum="9m"),
    ),
    _top(r"lifetime: Invalid value: .*: must be 10m", schema=False, lifetime=lifetime(default="1h", minimum="2h")),
    _top(r"lifetime: Invalid value: .*: must be 10m", schema=False, lifetime={"default": "30d", "maximum": "29d"}),
    _top(r"lifetime: Invalid value: .*: must be .*825d", schema=False, lifetime={"default": "30d", "maximum": "826d"}),
    _top(
        r'releases\.until: Invalid value: "3\.1": must not be before since, "3\.2"',
        schema=False,
        release="3.1",
        releases={"since": "3.2", "until": "3.1"},
    ),
    _top(
        r'releases\.newest: Invalid value: "3\.1": must be within since and until',
        schema=False,
        release="3.2",
        releases={"since": "3.2", "newest": "3.1"},
    ),
    _row(
        r'components\[1\]\.until: Invalid value: "3\.9": must not be before since, "3\.10"',
        schema=False,
        release="3.9",
        since="3.10",
        until="3.9",
    ),
    _row(
        r'components\[1\]\.request_names\[0\]\.until: Invalid value: "1\.0"',
        schema=False,
        release="1.0",
        request_names=[{"name": "web", "since": "2.0", "until": "1.0"}],
    ),
    _row(
        r'components\[1\]\.dns_names\[1\]\.until: Invalid value: "1\.0"',
        schema=False,
        release="1.0",
        dns_names=[{"name": "web"}, {"name": "web.svc", "since": "2.0", "until": "1.0"}],
    ),
    _top(
        r"components: Required value: must have at least one in this release",
        schema=False,
        release="1.1",
        components=[component(until="1.0")],
    ),
    _row(
        r"components\[1\]\.request_names: Required value: must have at least one in this release",
        schema=False,
        release="1.1",
        request_names=[{"name": "web", "until": "1.0"}],
    ),
    _row(
        r"components\[1\]\.dns_names: Required value: must have at least one in this release that is required",
        schema=False,
        release="1.1",
        dns_names=[{"name": "web", "until": "1.0"}, {"name": "web.svc", "optional": True}],
    ),
    _row(
        r"components\[1\]\.dns_names: Required value",
        schema=False,
        dns_names=[{"name": "web", "optional": True}],
    ),
    _row(
        r'components\[1\]\.dns_names: Duplicate value: "web"',
        schema=False,
        dns_names=[{"name": "web"}, {"name": "web", "optional": True}],
    ),
    _top(
        r'components\[1\]\.request_names: Duplicate value: "web:\{pod\}": components\[0\] has it .* "web/server"',
        schema=False,
        components=[component(), _TWICE],
    ),
    _top(
        r'components\[1\]\.request_names: Duplicate value: "web:\{pod\}": components\[0\] has',
        schema=False,
        components=[component(), _TWICE | {"request_names": [{"name": "{namespace}:{pod}"}]}],
    ),
    _row(r"address_ranges\[0\]: .*: 10\.0\.0\.1/8 has host bits set", schema=False, address_ranges=["10.0.0.1/8"]),
    _row(
        r"address_ranges\[0\]: .*does not appear to be an IPv4 or IPv6 network",
        schema=False,
        address_ranges=["10.0.0.0/33"],
    ),
    _row(r"address_ranges\[0\]: .*does not appear to be", schema=False, address_ranges=["::ffff:1.2.3.4.5/8"]),
    _top(
        r"profile\.release: Required value: .* needs it, for example",
        schema=False,
        releases={"since": "3.1"},
    ),
    _row(r"profile\.release: Required value: .* needs it, for example", schema=False, since="3.1"),
    _row(
        r"profile\.release: Required value",
        schema=False,
        dns_names=[{"name": "web"}, {"name": "old-web", "until": "1.0"}],
    ),
    _row(
        r"profile\.release: Required value",
        schema=False,
        request_names=[{"name": "web"}, {"name": "old-web", "until": "1.0"}],
    ),
)
"""What only `load` can say: rules of several keys, of a release, and of arithmetic."""

BROKEN: Final = (*TEXTS, *RULES)
