"""What the certificate may be used for: `spec.usages`, key usage, extended key usage."""

from typing import Final

from tests.corpus.entry import permitted, refused
from tests.function.builders import CLIENT_AUTH, DIGITAL_SIGNATURE, KEY_AGREEMENT, SERVER_AUTH, USAGES, Case, case

# All that Kubernetes knows (authority/policies.go) and no profile of ours can allow.
_FOREIGN: Final = (
    "signing",
    "content commitment",
    "data encipherment",
    "cert sign",
    "crl sign",
    "encipher only",
    "decipher only",
    "any",
    "code signing",
    "email protection",
    "s/mime",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "timestamping",
    "ocsp signing",
    "microsoft sgc",
    "netscape sgc",
)
_PURPOSES: Final = {
    "e-mail protection": "1.3.6.1.5.5.7.3.4",
    "time stamping": "1.3.6.1.5.5.7.3.8",
    "OCSP signing": "1.3.6.1.5.5.7.3.9",
    "an IPsec end system": "1.3.6.1.5.5.7.3.5",
    "Microsoft's server gated crypto": "1.3.6.1.4.1.311.10.3.3",
    "Netscape's server gated crypto": "2.16.840.1.113730.4.1",
    "Kerberos key distribution": "1.3.6.1.5.2.3.5",
    "certificate transparency": "1.3.6.1.4.1.11129.2.4.4",
    "a purpose that nobody knows": "1.3.6.1.4.1.99999.4",
}


def _spec(sentence: str, *usages: str) -> Case:
    return case(sentence, "usages.not_allowed", csr={"usages": usages})


ROWS: Final = (
    *refused(
        "kubernetes pkg/controller/certificates/authority/policies.go: each usage that is none of Calico's five",
        *(_spec(f"the usage {usage!r} in the spec", *USAGES, usage) for usage in _FOREIGN),
    ),
    *refused(
        "kubernetes validation_test.go, pkg/controller/certificates/authority/policies_test.go",
        _spec("a usage that nobody knows", *USAGES, "quantum"),
        _spec("a usage in capitals", "Server Auth", "Client Auth"),
        _spec("a usage with a blank after it", "server auth "),
        _spec("an empty usage", *USAGES, ""),
        _spec("signing alone", "signing"),
        _spec("cert sign and encipher only", "cert sign", "encipher only"),
        _spec(
            "ocsp signing, crl sign, s/mime and content commitment",
            "ocsp signing",
            "crl sign",
            "s/mime",
            "content commitment",
        ),
    ),
    *refused(
        "openshift/cluster-machine-approver validateCSRContents: of three usages the third is anything",
        _spec("a usage replaced by another", "digital signature", "server auth", "code signing"),
    ),
    *refused(
        "kubernetes pkg/controller/certificates/authority/policies.go: the same usages as extensions of the request",
        case("data encipherment", "key_usage.not_allowed", request={"key_usage": (DIGITAL_SIGNATURE, 3)}),
        case("encipher only", "key_usage.not_allowed", request={"key_usage": (KEY_AGREEMENT, 7)}),
        case("every key usage", "key_usage.not_allowed", request={"key_usage": tuple(range(9))}),
        case("signing of certificates alone", "key_usage.not_allowed", request={"key_usage": (5,)}),
        *(
            case(
                f"the purpose of {name}",
                "extended_key_usage.not_allowed",
                request={"extended_key_usage": (SERVER_AUTH, CLIENT_AUTH, number)},
            )
            for name, number in _PURPOSES.items()
        ),
        case(
            "any purpose beside the own ones",
            "extended_key_usage.not_allowed",
            request={"extended_key_usage": (SERVER_AUTH, CLIENT_AUTH, "2.5.29.37.0")},
        ),
    ),
    *permitted(
        "key-cert-provisioner (clients of 2021), cluster-machine-approver: usages missing",
        *(case(f"the usage {usage!r} alone", csr={"usages": (usage,)}) for usage in USAGES),
        case("usages in another order", csr={"usages": tuple(reversed(USAGES))}),
        case("server auth and client auth", csr={"usages": ("server auth", "client auth")}),
    ),
    *permitted(
        "kubernetes validation_test.go: a usage twice, which certificates/v1beta1 let in, asks for no more",
        case("client auth twice", csr={"usages": (*USAGES, "client auth")}),
    ),
)
