"""What an honest row certifies: its permit, and the certificate that is made of it, as another library reads that."""

from datetime import timedelta
from ipaddress import ip_address
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from csr_signer.policy.decision import Permit
from tests.unit.function.builders import CREATED, Case, issued, make_signer

HONEST: Final[dict[str, Any]] = {
    "component": "calico-node",
    "common_name": "typha-client",
    "dns_names": ("typha-client",),
    "ip_addresses": (),
    "unconfirmed_addresses": (),
    "extended_key_usage": ("serverAuth", "clientAuth"),
    "not_before": CREATED - timedelta(minutes=5),
    "not_after": CREATED + timedelta(days=365),
}
"""The permit of the honest request."""

_ADDRESSES: Final = ("ip_addresses", "unconfirmed_addresses")
_PURPOSES: Final = {"serverAuth": ExtendedKeyUsageOID.SERVER_AUTH, "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH}


def assert_certified(permit: Permit, row: Case) -> None:
    """Asserts that permit and certificate say what the row says, for the key of its request, and nothing else."""
    said = {**HONEST, **row.certified}
    expected = said | {name: tuple(map(ip_address, said[name])) for name in _ADDRESSES}
    assert {name: getattr(permit, name) for name in HONEST} == expected
    key = x509.load_pem_x509_csr(row.text).public_key()
    certificate = issued(permit, make_signer(**row.signer).issuer)
    assert certificate.subject == x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, expected["common_name"])])
    assert _info(certificate.public_key()) == _info(key) == permit.public_key.subject_public_key_info
    assert certificate.not_valid_before_utc == expected["not_before"]
    assert certificate.not_valid_after_utc == expected["not_after"]
    names = [*map(x509.DNSName, expected["dns_names"]), *map(x509.IPAddress, expected["ip_addresses"])]
    asked = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(encipherment=isinstance(key, rsa.RSAPublicKey)), True),
        (x509.ExtendedKeyUsage([_PURPOSES[purpose] for purpose in expected["extended_key_usage"]]), False),
        (x509.SubjectAlternativeName(names), False),
    ]
    *found, key_identifier, authority_key_identifier = certificate.extensions
    assert [(extension.value, extension.critical) for extension in found] == asked
    assert isinstance(key_identifier.value, x509.SubjectKeyIdentifier)
    assert isinstance(authority_key_identifier.value, x509.AuthorityKeyIdentifier)


def _info(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def _key_usage(*, encipherment: bool) -> x509.KeyUsage:
    others = ("content_commitment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign")
    without = dict.fromkeys((*others, "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(digital_signature=True, key_encipherment=encipherment, **without)
