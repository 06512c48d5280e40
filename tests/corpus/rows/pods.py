"""The live pod behind the token, the addresses in its status, and what other parties may write about it."""

from datetime import timedelta
from ipaddress import ip_network
from typing import Any, Final

from csr_signer.attestation import NODE_NAME
from tests.corpus.entry import deferred, patched, permitted, refused
from tests.function.builders import ADDRESS, CREATED, NODE, RANGES, Case, case, certifying_addresses

_CERTIFYING: Final = {"profile": certifying_addresses()}
_LATE: Final = CREATED + timedelta(minutes=5)
_POD_NETWORK: Final = {"host_network": False, "pod_ips": ("10.244.1.9", "2001:db8:1::9"), "host_ips": (ADDRESS,)}
_DUAL: Final = (*RANGES, ip_network("2001:db8::/32"))
_IPV6: Final = "2001:db8::7"


def _asks(sentence: str, *breaks: str, addresses: tuple[str, ...], **story: Any) -> Case:
    return case(sentence, *breaks, request={"addresses": addresses}, **story)


def _never(sentence: str, address: str) -> Case:
    return _asks(sentence, "san.ip.not_allowed", addresses=(address,))


def _certified(sentence: str, *breaks: str, addresses: tuple[str, ...], **story: Any) -> Case:
    return _asks(sentence, *breaks, addresses=addresses, signer=_CERTIFYING, **story)


ROWS: Final = (
    *refused(
        "tigera/operator pkg/controller/csr/csr_controller_test.go: the pod is another one, or is no longer",
        case(
            "a pod of the same name that was made anew", "pod.gone", pod={"uid": "ffffffff-55a3-4d7e-8f4b-6a1d0c2e9f10"}
        ),
        case(
            "a pod whose uid differs in its last character",
            "pod.gone",
            pod={"uid": "0b9c5a9e-55a3-4d7e-8f4b-6a1d0c2e9f11"},
        ),
        case("a pod whose uid is in capitals", "pod.gone", pod={"uid": "0B9C5A9E-55A3-4D7E-8F4B-6A1D0C2E9F10"}),
        patched(
            case("a pod without a service account", "pod.service_account"), pod={"spec": {"serviceAccountName": None}}
        ),
        case("a pod of a service account in capitals", "pod.service_account", pod={"service_account": "Calico-Node"}),
        case("a token of a node in capitals", "pod.node", csr={"further_extra": {NODE_NAME: [NODE.upper()]}}),
        patched(case("a pod that was never scheduled", "pod.node"), pod={"spec": {"nodeName": None}}),
        case(
            "a pod that is being deleted and has finished",
            "pod.terminating",
            "pod.finished",
            pod={"deleting": True, "phase": "Succeeded"},
        ),
        patched(
            case("a pod that is kept by a finalizer", "pod.terminating", pod={"deleting": True}),
            pod={"metadata": {"finalizers": ["example.com/wait"]}},
        ),
        case(
            "a pod that is gone, of a request that is garbage",
            "pod.gone",
            "request.pem",
            no_pod=True,
            request=b"garbage",
        ),
    ),
    *refused(
        "RFC 6890: addresses that name no pod, whoever claims them",
        _never("the last loopback address", "127.255.255.254"),
        _never("the metadata server's address", "169.254.169.254"),
        _never("the first link-local address", "169.254.0.0"),
        _never("an IPv6 link-local address with an interface", "fe80::5054:ff:fe12:3456"),
        _never("the last multicast address", "239.255.255.255"),
        _never("the group of all nodes", "ff02::1"),
        _never("a loopback address mapped into IPv6", "::ffff:127.0.0.1"),
        _never("an unspecified address mapped into IPv6", "::ffff:0.0.0.0"),
        _asks("a loopback address beside the own one", "san.ip.not_allowed", addresses=(ADDRESS, "127.0.0.1")),
        _asks("an IPv6 address twice", "san.ip.not_allowed", addresses=(_IPV6, _IPV6)),
    ),
    *refused(
        "postfinance/kubelet-csr-approver internal/controller/csr_controller_test.go: v4 and v6 outside the prefixes",
        _asks(
            "a public address where ranges are configured",
            "san.ip.not_allowed",
            addresses=("8.8.8.8",),
            signer={"address_ranges": _DUAL},
        ),
        _asks(
            "the address before the range",
            "san.ip.not_allowed",
            addresses=("10.131.255.255",),
            signer={"address_ranges": _DUAL},
        ),
        _asks(
            "the address after the range",
            "san.ip.not_allowed",
            addresses=("10.133.0.0",),
            signer={"address_ranges": _DUAL},
        ),
        _asks(
            "an IPv6 address outside its range",
            "san.ip.not_allowed",
            addresses=("2001:db9::7",),
            signer={"address_ranges": _DUAL},
        ),
        _asks(
            "a compatible address where the range is IPv4",
            "san.ip.not_allowed",
            addresses=(f"::{ADDRESS}",),
            signer={"address_ranges": RANGES},
        ),
    ),
    *refused(
        "ours: a row that certifies addresses waits for them, and the wait ends",
        _certified(
            "an address of another pod", "pod.address_missing", addresses=("10.244.1.10",), pod=_POD_NETWORK, now=_LATE
        ),
        _certified(
            "an address of the node for a pod of the pod network",
            "pod.address_missing",
            addresses=(ADDRESS,),
            pod=_POD_NETWORK,
            now=_LATE,
        ),
        _certified(
            "a dual stack of which IPv6 is not there", "pod.address_missing", addresses=(ADDRESS, _IPV6), now=_LATE
        ),
        _certified(
            "the node's name that looks like an address",
            "pod.address_missing",
            addresses=("10.9.9.9",),
            node={"addresses": (("Hostname", "10.9.9.9"),)},
            now=_LATE,
        ),
    ),
    *deferred(
        "kubernetes#39113: a pod's address appears late in its status; what is not visible yet is waited for",
        _certified(
            "an address that is not visible yet",
            addresses=("10.244.1.9",),
            pod={"host_network": False, "pod_ips": (), "host_ips": ()},
        ),
        _certified("an address of a node without addresses", addresses=(ADDRESS,), node={"addresses": ()}),
        _certified(
            "an address a second before the limit",
            addresses=("10.244.1.9",),
            pod={"host_network": False, "pod_ips": ()},
            now=_LATE - timedelta(seconds=1),
        ),
        _certified(
            "the second address of a dual stack",
            addresses=("10.244.1.9", "2001:db8:1::9"),
            pod={**_POD_NETWORK, "pod_ips": ("10.244.1.9",)},
        ),
    ),
    *permitted(
        "ours: addresses in a status are claims, which refuse nobody and are not certified",
        _asks("a foreign address", addresses=("8.8.8.8",)),
        _asks("a foreign address beside the own one", addresses=(ADDRESS, "10.0.0.1")),
        _asks("an IPv6 address", addresses=(_IPV6,)),
        _asks(
            "both families", addresses=(ADDRESS, _IPV6), pod={"pod_ips": (ADDRESS, _IPV6), "host_ips": (ADDRESS, _IPV6)}
        ),
        _asks("ninety addresses", addresses=tuple(f"10.1.0.{number}" for number in range(1, 91))),
        _asks("an address after a node's reboot", addresses=("10.132.0.8",)),
        _asks(
            "the first and the last address of a range",
            addresses=("10.132.0.0", "10.132.255.255"),
            signer={"address_ranges": _DUAL},
        ),
        case("a pod without addresses", pod={"pod_ips": (), "host_ips": ()}),
        case("a pod with another pod's addresses", pod={"pod_ips": ("10.132.0.99",), "host_ips": ("10.132.0.99",)}),
        patched(
            case("a pod whose status is garbage"),
            pod={"status": {"podIPs": [{"ip": "garbage"}, {"ip": ""}], "hostIPs": [{"ip": "10.132.0.7/16"}]}},
        ),
        patched(case("a pod without a status"), pod={"status": None}),
        patched(
            case("a pod with Calico's annotation of another address"),
            pod={"metadata": {"annotations": {"cni.projectcalico.org/podIP": "8.8.8.8/32"}}},
        ),
    ),
    *permitted(
        "ours: states of a pod in which its init container may ask",
        case("a pod that runs", pod={"phase": "Running"}),
        case("a pod of an unknown phase", pod={"phase": "Unknown"}),
        patched(
            case("a pod of which a container has ended"),
            pod={"status": {"containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 1}}}]}},
        ),
        patched(
            case("a pod that has finalizers and is not being deleted"),
            pod={"metadata": {"finalizers": ["example.com/wait"]}},
        ),
    ),
    *permitted(
        "ours: a row that certifies addresses certifies those that are visible",
        _certified("a certified address of the host", addresses=(ADDRESS,)),
        _certified("certified addresses of both families", addresses=("10.244.1.9", "2001:db8:1::9"), pod=_POD_NETWORK),
        _certified("a certified address in another order", addresses=("2001:db8:1::9", "10.244.1.9"), pod=_POD_NETWORK),
        _certified("one of two visible addresses", addresses=("10.244.1.9",), pod=_POD_NETWORK),
        _certified("no address where they are certified", addresses=()),
    ),
)
