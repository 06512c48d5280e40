"""Attacks by a compromised pod: each story is the client's request with one fault.

The API server accepts all of them: it parses every CertificationRequest and checks its signature.
"""

from dataclasses import dataclass

from sandbox.calico import der, request, twists
from sandbox.calico.components import CALICO_SYSTEM
from sandbox.calico.twists import Twist

_TENANT = "tenant-a"
_CHALLENGE_PASSWORD = "1.2.840.113549.1.9.7"  # noqa: S105  # an object identifier (RFC 2985 §5.4.1)
_NETSCAPE_COMMENT = "2.16.840.1.113730.1.13"
_URI, _ORGANIZATION = 6, "2.5.4.10"
_INTERNET = "203.0.113.7"  # an address for documentation (RFC 5737)

# In DER's order, this comes after the client's own attribute, where many parsers stop.
_COMMENT = request.extension(_NETSCAPE_COMMENT, der.ia5_text("nothing to see here " * 8))
_HIDDEN_AUTHORITY = request.extension_request(request.basic_constraints(der.TRUE), _COMMENT)
_PASSWORD = request.attribute(_CHALLENGE_PASSWORD, der.text("open sesame"))
_SPIFFE = der.implicit(_URI, b"spiffe://cluster.local/ns/calico-system/sa/calico-node")
_MASTERS = tuple((kind, "system:masters" if kind == _ORGANIZATION else value) for kind, value in request.SUBJECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One attack.

    Attributes:
        name: A word or two.
        description: The attack in one line.
        wrong: The fault in the request.
        twist: Turns the client's request into the attack.
        expected_codes: Violation codes of a correct refusal.
        workload: The component whose request the attack changes.
        runs_as: Namespace and service account of the attacking pod; None for the component's own.
        token: Bound to the attacking `pod`, `unbound`, or bound to a pod that another pod of the same name `replaced`.
    """

    name: str
    description: str
    wrong: str
    twist: Twist
    expected_codes: tuple[str, ...]
    workload: str = "calico-node"
    runs_as: tuple[str, str] | None = None
    token: str = "pod"  # noqa: S105  # a kind of token


STORIES: tuple[Story, ...] = (
    Story(
        name="stolen name",
        description="a calico-node pod files its request under the CSR name of another calico-node pod",
        wrong="the CSR's name is another pod's",
        twist=twists.steal_name,
        expected_codes=("request_name.not_allowed",),
    ),
    Story(
        name="foreign DNS name",
        description="a Typha pod requests the API server's name in addition to its own",
        wrong="a DNS name that Typha does not have",
        twist=twists.more_dns_names("kubernetes.default.svc"),
        workload="calico-typha",
        expected_codes=("san.dns.not_allowed",),
    ),
    Story(
        name="foreign address",
        description="a calico-node pod requests an address on the internet",
        wrong="an IP address outside the cluster's networks",
        twist=twists.ask(address=_INTERNET),
        expected_codes=("san.ip.not_allowed",),
    ),
    Story(
        name="wrong service account",
        description="a calico-kube-controllers pod files the request of a calico-node pod",
        wrong="the profile does not name the requester's service account",
        twist=twists.nothing,
        runs_as=(CALICO_SYSTEM, "calico-kube-controllers"),
        expected_codes=("requester.service_account",),
    ),
    Story(
        name="wrong component",
        description="a calico-node pod requests Typha's names, to read from and write to every other node",
        wrong="common name and DNS names are Typha's",
        twist=twists.ask(common_name="typha-server", dns_names=("typha-server",)),
        expected_codes=("subject.common_name", "san.dns.not_allowed"),
    ),
    Story(
        name="wrong namespace",
        description="a pod in a tenant's namespace runs as another account with the name calico-node",
        wrong="the requester's namespace is not Calico's",
        twist=twists.nothing,
        runs_as=(_TENANT, "calico-node"),
        expected_codes=("requester.service_account",),
    ),
    Story(
        name="unbound token",
        description="an attacker uses a token of calico-node's account that is bound to no pod",
        wrong="the token is not bound to a pod",
        twist=twists.nothing,
        token="unbound",  # noqa: S106  # a kind of token
        expected_codes=("requester.unbound",),
    ),
    Story(
        name="another pod's uid",
        description="an attacker uses the token of a deleted pod after a new pod has taken its name",
        wrong="the token has another uid than the live pod",
        twist=twists.nothing,
        token="replaced",  # noqa: S106  # a kind of token
        expected_codes=("pod.gone",),
    ),
    Story(
        name="weak key",
        description="a calico-node pod requests a certificate for an RSA key of 1024 bits",
        wrong="the key is too small",
        twist=twists.change(encode=twists.encode_weak),
        expected_codes=("public_key.size",),
    ),
    Story(
        name="other kind of key",
        description="a calico-node pod requests a certificate for an Ed25519 key",
        wrong="neither RSA nor ECDSA: Calico's client cannot make such a key",
        twist=twists.change(encode=twists.encode_ed25519),
        expected_codes=("public_key.type",),
    ),
    Story(
        name="SHA-1 signature",
        description="a calico-node pod signs its request with SHA-1",
        wrong="the request's signature could be a forgery",
        twist=twists.change(encode=twists.encode_sha1),
        expected_codes=("request.signature_algorithm",),
    ),
    Story(
        name="CA:TRUE",
        description="a calico-node pod requests a CA certificate",
        wrong="basic constraints CA:TRUE",
        twist=twists.ask(authority=True),
        expected_codes=("basic_constraints.ca",),
    ),
    Story(
        name="certificate signing",
        description="a calico-node pod requests the right to sign certificates",
        wrong="usage 'cert sign', in spec.usages and in the requested key usage",
        twist=twists.sign_certificates,
        expected_codes=("usages.not_allowed", "key_usage.not_allowed"),
    ),
    Story(
        name="hidden extension",
        description="a calico-node pod hides CA:TRUE in a second list of requested extensions",
        wrong="two extensionRequest attributes; many parsers see only one",
        twist=twists.ask(authority=None, other_attributes=(_HIDDEN_AUTHORITY,)),
        expected_codes=("request.attribute",),
    ),
    Story(
        name="extra attribute",
        description="a calico-node pod adds a challenge password to its request",
        wrong="an attribute that Calico's client never sends",
        twist=twists.ask(other_attributes=(_PASSWORD,)),
        expected_codes=("request.attribute",),
    ),
    Story(
        name="text around",
        description="a calico-node pod writes text before and after the PEM block",
        wrong="not exactly one PEM block",
        twist=twists.change(wrap=twists.wrap_in_text),
        expected_codes=("request.pem",),
    ),
    Story(
        name="wildcard",
        description="Calico's API server pod requests all names of its namespace",
        wrong="a wildcard DNS name",
        twist=twists.more_dns_names("*.calico-system.svc"),
        workload="calico-apiserver",
        expected_codes=("name.reserved",),
    ),
    Story(
        name="system name",
        description="a calico-node pod requests the group of Kubernetes' administrators",
        wrong="common name system:admin, organization system:masters",
        twist=twists.ask(common_name="system:admin", subject=_MASTERS),
        expected_codes=("name.reserved", "subject.common_name"),
    ),
    Story(
        name="URI name",
        description="a calico-node pod requests a SPIFFE identity",
        wrong="a URI among the names",
        twist=twists.ask(other_names=(_SPIFFE,)),
        expected_codes=("san.type",),
    ),
)
