"""The extensions of our CA certificates and of our requests to a corporate CA."""

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from csr_signer import der

Extensions = list[tuple[x509.ExtensionType, bool]]
"""Extensions, each with its criticality."""


def extensions(
    *,
    path_length: int,
    permitted_dns_names: tuple[str, ...],
    key_identifier: bytes,
    authority_key_identifier: bytes | None = None,
) -> Extensions:
    """Returns a CA's extensions (RFC 5280 §4.2.1).

    Args:
        path_length: How many levels of CAs may be below it.
        permitted_dns_names: DNS names that leaves must equal or be below; empty if every name is permitted.
        key_identifier: The CA's subject key identifier.
        authority_key_identifier: The issuer's key identifier; None for a root, and for a request.
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
    """Encodes extensions for a request: pyca's builder cannot build a request for a key that it does not hold."""
    return [
        der.Extension(extn_id=value.oid, critical=critical, extn_value=value.public_bytes())
        for value, critical in extensions
    ]
