"""What is linted: a leaf of every issuer algorithm and every kind of key, and the roots that they are under."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import ip_address
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from csr_signer.ca.algorithm import EVERY_ALGORITHM, SignatureAlgorithm
from csr_signer.issuance.certificate import assemble, build
from csr_signer.issuance.lint import lint
from csr_signer.request.public_key import PublicKey, examine
from tests.unit.function.builders import (
    Authority,
    ec_key,
    make_authority,
    make_issuer,
    make_permit,
    public_key_info,
    rsa_key,
)

KEYS: Final[dict[str, Any]] = {
    "RSA-2048": lambda: rsa_key(2048),
    "RSA-3072": lambda: rsa_key(3072),
    "RSA-4096": lambda: rsa_key(4096),
    "RSA-8192": lambda: rsa_key(8192),
    "P-256": lambda: ec_key("P-256"),
    "P-384": lambda: ec_key("P-384"),
    "P-521": lambda: ec_key("P-521"),
}
"""Kinds of keys that may be certified."""

NAMES: Final[dict[str, dict[str, Any]]] = {
    "one name": {},
    "names and addresses": {
        "common_name": "calico-api",
        "dns_names": ("calico-api", "calico-api.calico-system.svc", "calico-api.calico-system.svc.cluster.local"),
        "ip_addresses": (ip_address("10.0.0.5"), ip_address("2001:db8::5")),
    },
}
"""Permits: Typha's client, and the API server's with everything that a certificate can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """A certificate, and what it is, for messages and file names."""

    name: str
    encoded: bytes

    def __str__(self) -> str:
        return self.name


def title(algorithm: SignatureAlgorithm) -> str:
    """How an issuer algorithm is named here."""
    return f"{algorithm.name}-{algorithm.digest.name}"


@cache
def authority_of(algorithm: SignatureAlgorithm) -> Authority:
    """A root whose key version has this algorithm; its key is no leaf's."""
    curves = {"secp256r1": "P-256", "secp384r1": "P-384"}
    if algorithm.key in curves:
        return replace(make_authority(key=ec_key(curves[algorithm.key], 11)), algorithm=algorithm)
    return replace(make_authority(key=_root_key(int(algorithm.key.removeprefix("RSA-")))), algorithm=algorithm)


@cache
def _root_key(bits: int) -> Any:
    # Another modulus than the leaf's of that size, which lint would take for a CA's own key.
    return rsa_key(bits, 257)


def leaves() -> Iterator[Linted]:
    """A leaf of every issuer algorithm and every kind of key, and one of each with all names that there can be."""
    for algorithm in EVERY_ALGORITHM:
        of = authority_of(algorithm)
        issuer = make_issuer(of)
        for key, make in KEYS.items():
            for names, change in NAMES.items():
                public_key = examine(public_key_info(make()))
                assert isinstance(public_key, PublicKey)
                permit = make_permit(public_key=public_key, **change)
                cleared = lint(build(permit, issuer, algorithm), permit, issuer, algorithm)
                pem = assemble(cleared, of.sign(cleared.der), issuer, algorithm).pem
                leaf = x509.load_pem_x509_certificate(pem)
                yield Linted(name=f"{title(algorithm)}, {key}, {names}", encoded=leaf.public_bytes(Encoding.DER))
