"""The extensions that our CAs have, and that we ask a corporate CA for."""

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from csr_signer import der

Extensions = list[tuple[x509.ExtensionType, bool]]
"""Extensions, each with whether it is critical."""


def extensions(
    *,
    path_length: int,
    permitted_dns_names: tuple[str, ...],
    key_identifier: bytes,
    authority_key_identifier: bytes | None = None,
) -> Extensions:
    """Returns a CA's extensions (RFC 5280 §4.2.1).

    Args:
        path_length: How many CAs may stand below it.
        permitted_dns_names: DNS names below which leaves' must lie; empty if any name is permitted.
        key_identifier: Its subject key identifier.
        authority_key_identifier: Its issuer's key identifier; None if the issuer decides about it, or for a root.
    """
    key_usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    found: Extensions = [
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (key_usage, True),
        (purposes, False),
        (x509.SubjectKeyIdentifier(key_identifier), False),
    ]
    if permitted_dns_names:
        found.append((x509.NameConstraints([x509.DNSName(name) for name in permitted_dns_names], None), True))
    if authority_key_identifier is not None:
        found.append((x509.AuthorityKeyIdentifier(authority_key_identifier, None, None), False))
    return found


def encoded(extensions: Extensions) -> list[der.Extension]:
    """Returns extensions for a request: pyca's request builder cannot name a key that it does not hold."""
    return [
        der.Extension(extn_id=value.oid, critical=critical, extn_value=value.public_bytes())
        for value, critical in extensions
    ]
