"""The live pod behind the token, the addresses in its status, and what other parties may write about it."""

from datetime import timedelta
from ipaddress import ip_network
from typing import Any, Final

from csr_signer.policy.attestation import NODE_NAME
from tests.unit.function.builders import ADDRESS, CREATED, NODE, RANGES, Case, case, certifying_addresses, invalid_case
from tests.unit.function.requests.table import cases, permitted, refused, row, table

_CERTIFYING: Final = {"profile": certifying_addresses()}
_LATE: Final = CREATED + timedelta(minutes=5)
_IPV6: Final = "2001:db8::7"
_SOON: Final = _LATE - timedelta(seconds=1)
_HIDDEN: Final = {"host_network": False, "pod_ips": (), "host_ips": ()}
_NO_POD_IPS: Final = {"host_network": False, "pod_ips": ()}
_BOTH: Final = ("10.244.1.9", "2001:db8:1::9")
_POD_NETWORK: Final = {"host_network": False, "pod_ips": _BOTH, "host_ips": (ADDRESS,)}
_DUAL_HOST: Final = {"pod_ips": (ADDRESS, _IPV6), "host_ips": (ADDRESS, _IPV6)}
_RANGED: Final = {"address_ranges": (*RANGES, ip_network("2001:db8::/32"))}
_ENDED: Final = ("pod.terminating", "pod.finished")
_FINALIZERS: Final = {"finalizers": ["example.com/wait"]}
_GARBAGE: Final = {"podIPs": [{"ip": "garbage"}, {"ip": ""}], "hostIPs": [{"ip": "10.132.0.7/16"}]}
_ANNOTATION: Final = {"cni.projectcalico.org/podIP": "8.8.8.8/32"}
_ENDED_CONTAINER: Final = {"name": "c", "state": {"terminated": {"exitCode": 1}}}


def _one(address: str) -> tuple[str, ...]:
    return (address,)


def _unconfirmed(sentence: str, *addresses: str, own: tuple[str, ...] = (), **story: Any) -> Case:
    """A request for addresses that are not certified: some that the pod's status shows, and some that it does not."""
    certified = {"unconfirmed_addresses": addresses}
    return case(sentence, outcome="permitted", request={"addresses": own + addresses}, certified=certified, **story)


def _hidden(sentence: str, **pod: Any) -> Case:
    """A pod whose status does not show the address that it asks for."""
    return case(sentence, outcome="permitted", pod=pod, certified={"unconfirmed_addresses": (ADDRESS,)})


def _certified(sentence: str, *addresses: str, **story: Any) -> Case:
    """A request for addresses that are certified."""
    story |= {"request": {"addresses": addresses}, "signer": _CERTIFYING, "certified": {"ip_addresses": addresses}}
    return case(sentence, outcome="permitted", **story)


def _waiting(sentence: str, *addresses: str, **story: Any) -> Case:
    """A request for addresses of which some are not visible yet."""
    return case(sentence, outcome="deferred", request={"addresses": addresses}, signer=_CERTIFYING, **story)


CASES: Final = table(
    refused("operator csr_controller_test.go: the pod is another one, or is gone", "pod"),
    row("a new pod of the same name", {"uid": "ffffffff-55a3-4d7e-8f4b-6a1d0c2e9f10"}, "pod.gone"),
    row("a pod whose uid differs in its last character", {"uid": "0b9c5a9e-55a3-4d7e-8f4b-6a1d0c2e9f11"}, "pod.gone"),
    row("a pod whose uid is in capitals", {"uid": "0B9C5A9E-55A3-4D7E-8F4B-6A1D0C2E9F10"}, "pod.gone"),
    row("a pod without a service account", {"spec": {"serviceAccountName": None}}, "pod.service_account"),
    row("a pod of a service account in capitals", {"service_account": "Calico-Node"}, "pod.service_account"),
    row("a pod that was never scheduled", {"spec": {"nodeName": None}}, "pod.node"),
    row("a pod that is being deleted and has finished", {"deleting": True, "phase": "Succeeded"}, *_ENDED),
    row("a pod that is kept by a finalizer", {"deleting": True, "metadata": _FINALIZERS}, "pod.terminating"),
    case("a token of a node in capitals", "pod.node", csr={"further_extra": {NODE_NAME: [NODE.upper()]}}),
    invalid_case("a pod that is gone, and garbage", "pod.gone", "request.pem", no_pod=True, request=b"garbage"),
    refused("RFC 6890: addresses of no pod", "request.addresses", "san.ip.not_allowed", of=_one),
    row("the last loopback address", "127.255.255.254"),
    row("the metadata server's address", "169.254.169.254"),
    row("the first link-local address", "169.254.0.0"),
    row("an IPv6 link-local address with an interface", "fe80::5054:ff:fe12:3456"),
    row("the last multicast address", "239.255.255.255"),
    row("the group of all nodes", "ff02::1"),
    row("a loopback address mapped into IPv6", "::ffff:127.0.0.1"),
    row("an unspecified address mapped into IPv6", "::ffff:0.0.0.0"),
    refused("RFC 6890: addresses of no pod", "request.addresses", "san.ip.not_allowed"),
    row("a loopback address beside the own one", (ADDRESS, "127.0.0.1")),
    row("an IPv6 address twice", (_IPV6, _IPV6)),
    refused("kubelet-csr-approver", "request.addresses", "san.ip.not_allowed", of=_one, signer=_RANGED),
    row("a public address where ranges are configured", "8.8.8.8"),
    row("the address before the range", "10.131.255.255"),
    row("the address after the range", "10.133.0.0"),
    row("an IPv6 address outside its range", "2001:db9::7"),
    row("a compatible address where the range is IPv4", f"::{ADDRESS}", signer={"address_ranges": RANGES}),
    refused("ours: the wait ends", "request.addresses", "pod.address_missing", signer=_CERTIFYING, now=_LATE),
    row("an address of another pod", ("10.244.1.10",), pod=_POD_NETWORK),
    row("an address of the node for a pod of the pod network", (ADDRESS,), pod=_POD_NETWORK),
    row("a dual stack of which IPv6 is not there", (ADDRESS, _IPV6)),
    row("the node's name that looks like an address", ("10.9.9.9",), node={"addresses": (("Hostname", "10.9.9.9"),)}),
    cases("kubernetes#39113: a pod's address appears late in its status, so the function waits for it"),
    _waiting("an address that is not visible yet", "10.244.1.9", pod=_HIDDEN),
    _waiting("an address of a node without addresses", ADDRESS, node={"addresses": ()}),
    _waiting("an address a second before the limit", "10.244.1.9", pod=_NO_POD_IPS, now=_SOON),
    _waiting("the second address of a dual stack", *_BOTH, pod={**_POD_NETWORK, "pod_ips": _BOTH[:1]}),
    permitted("ours: addresses in a status are claims, which refuse no request and are not certified", "pod"),
    _unconfirmed("an address of the Internet", "8.8.8.8"),
    _unconfirmed("an IPv6 address", _IPV6),
    _unconfirmed("ninety addresses", *(f"10.1.0.{number}" for number in range(1, 91))),
    _unconfirmed("an address after a node's reboot", "10.132.0.8"),
    _unconfirmed("the first and the last address of a range", "10.132.0.0", "10.132.255.255", signer=_RANGED),
    _unconfirmed("an unknown address beside the own one", "10.0.0.1", own=(ADDRESS,)),
    _unconfirmed("both families", own=(ADDRESS, _IPV6), pod=_DUAL_HOST),
    _hidden("a pod without addresses", pod_ips=(), host_ips=()),
    _hidden("a pod with another pod's addresses", pod_ips=("10.132.0.99",), host_ips=("10.132.0.99",)),
    _hidden("a pod whose status is garbage", status=_GARBAGE),
    _hidden("a pod without a status", status=None),
    row("a pod with Calico's annotation of another address", {"metadata": {"annotations": _ANNOTATION}}),
    permitted("ours: states of a pod in which its init container may ask", "pod"),
    row("a pod that runs", {"phase": "Running"}),
    row("a pod of an unknown phase", {"phase": "Unknown"}),
    row("a pod of which a container has ended", {"status": {"containerStatuses": [_ENDED_CONTAINER]}}),
    row("a pod that has finalizers and is not being deleted", {"metadata": _FINALIZERS}),
    cases("ours: a row that certifies addresses certifies those that are visible"),
    _certified("a certified address of the host", ADDRESS),
    _certified("certified addresses of both families", *_BOTH, pod=_POD_NETWORK),
    _certified("a certified address in another order", *_BOTH[::-1], pod=_POD_NETWORK),
    _certified("one of two visible addresses", "10.244.1.9", pod=_POD_NETWORK),
    _certified("no address where they are certified"),
)
