"""What the certificate may be used for: `spec.usages`, key usage, extended key usage."""

from typing import Final

from tests.unit.function.builders import CLIENT_AUTH, DIGITAL_SIGNATURE, KEY_AGREEMENT, SERVER_AUTH, USAGES
from tests.unit.function.requests.table import permitted, refused, row, table

_POLICIES: Final = "kubernetes authority/policies.go"
_OTHERS: Final = (
    *("signing", "content commitment", "data encipherment", "cert sign", "crl sign", "encipher only", "decipher only"),
    *("any", "code signing", "email protection", "s/mime", "ipsec end system", "ipsec tunnel", "ipsec user"),
    *("timestamping", "ocsp signing", "microsoft sgc", "netscape sgc"),
)
"""All usages that Kubernetes knows and no profile of ours can allow."""


def _beside(usage: str) -> tuple[str, ...]:
    return (*USAGES, usage)


def _purpose(number: str) -> tuple[str, ...]:
    return (SERVER_AUTH, CLIENT_AUTH, number)


def _items(first: int, end: int) -> str:
    return " ".join(sorted(f"spec.usages[{number}]" for number in range(first, end)))


CASES: Final = table(
    refused(
        f"{_POLICIES}: each usage that is not one of Calico's five", "csr.usages", "usages.not_allowed", of=_beside
    ),
    *(row(f"the usage {usage!r} in the spec", usage) for usage in _OTHERS),
    refused("kubernetes validation_test.go: unknown usages", "csr.usages", "usages.not_allowed"),
    row("an unknown usage", (*USAGES, "quantum"), invalid="spec.usages[5]"),
    row("a usage in capitals", ("Server Auth", "Client Auth"), invalid="spec.usages[0] spec.usages[1]"),
    row("a usage with a blank after it", ("server auth ",), invalid="spec.usages[0]"),
    row("an empty usage", (*USAGES, ""), invalid="spec.usages[5]"),
    row("a usage behind a hundred others", (*USAGES * 20, "any"), invalid=_items(5, 100)),
    refused("kubernetes policies_test.go: combinations", "csr.usages", "usages.not_allowed"),
    row("signing alone", ("signing",)),
    row("cert sign and encipher only", ("cert sign", "encipher only")),
    row(
        "ocsp signing, crl sign, s/mime and content commitment",
        ("ocsp signing", "crl sign", "s/mime", "content commitment"),
    ),
    refused("cluster-machine-approver validateCSRContents", "csr.usages", "usages.not_allowed"),
    row("a usage replaced by another", ("digital signature", "server auth", "code signing")),
    refused(f"{_POLICIES}: key usages as an extension of the request", "request.key_usage", "key_usage.not_allowed"),
    row("data encipherment", (DIGITAL_SIGNATURE, 3)),
    row("encipher only", (KEY_AGREEMENT, 7)),
    row("every key usage", tuple(range(9))),
    row("signing of certificates alone", (5,)),
    refused(
        f"{_POLICIES}: extended key usages as an extension of the request",
        "request.extended_key_usage",
        "extended_key_usage.not_allowed",
        of=_purpose,
    ),
    row("the purpose of e-mail protection", "1.3.6.1.5.5.7.3.4"),
    row("the purpose of time stamping", "1.3.6.1.5.5.7.3.8"),
    row("the purpose of OCSP signing", "1.3.6.1.5.5.7.3.9"),
    row("the purpose of an IPsec end system", "1.3.6.1.5.5.7.3.5"),
    row("the purpose of Microsoft's server gated crypto", "1.3.6.1.4.1.311.10.3.3"),
    row("the purpose of Netscape's server gated crypto", "2.16.840.1.113730.4.1"),
    row("the purpose of Kerberos key distribution", "1.3.6.1.5.2.3.5"),
    row("the purpose of certificate transparency", "1.3.6.1.4.1.11129.2.4.4"),
    row("an unknown purpose", "1.3.6.1.4.1.99999.4"),
    row("any purpose beside the own ones", "2.5.29.37.0"),
    permitted("key-cert-provisioner of 2021, cluster-machine-approver: usages missing", "csr.usages"),
    *(row(f"the usage {usage!r} alone", (usage,)) for usage in USAGES),
    row("usages in another order", tuple(reversed(USAGES))),
    row("server auth and client auth", ("server auth", "client auth")),
    permitted("kubernetes validation_test.go: certificates/v1beta1 let it in", "csr.usages"),
    row("client auth twice", (*USAGES, "client auth"), invalid="spec.usages[5]"),
)
