"""The extensions that our CAs have, and that we ask a corporate CA for: encoded with our ASN.1 types."""

from typing import Annotated, Final

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID

from csr_signer import der

NAME_CONSTRAINTS: Final = ObjectIdentifier("2.5.29.30")
_PURPOSES: Final = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
_CERT_SIGN_AND_CRL_SIGN: Final = asn1.BitString(b"\x06", 1)  # bits 5 and 6 of KeyUsage, RFC 5280 §4.2.1.3


@asn1.sequence
class _GeneralSubtree:
    """RFC 5280 §4.2.1.10, with the minimum of 0 that DER leaves out."""

    base: der.GeneralNameChoice


@asn1.sequence
class _NameConstraints:
    """RFC 5280 §4.2.1.10: what is permitted alone."""

    permitted_subtrees: Annotated[list[_GeneralSubtree], asn1.Implicit(0)]


def extensions(*, path_length: int, permitted_dns_names: tuple[str, ...], key_identifier: bytes) -> list[der.Extension]:
    """A CA's extensions, without its issuer's key identifier.

    Args:
        path_length: how many CAs may stand below it.
        permitted_dns_names: DNS names below which leaves' must lie; none: any.
        key_identifier: its subject key identifier.
    """
    return [
        _extension(
            der.BASIC_CONSTRAINTS,
            der.encode(der.BasicConstraints(ca=True, path_len_constraint=path_length)),
            critical=True,
        ),
        _extension(der.KEY_USAGE, der.encode(_CERT_SIGN_AND_CRL_SIGN), critical=True),
        _extension(
            der.EXTENDED_KEY_USAGE, der.encode_list(der.ObjectIdentifiers(identifiers=list(_PURPOSES))), critical=False
        ),
        _extension(der.SUBJECT_KEY_IDENTIFIER, der.encode(key_identifier), critical=False),
        *_name_constraints(permitted_dns_names),
    ]


def authority_key_identifier(key_identifier: bytes) -> der.Extension:
    """The issuer's key identifier (RFC 5280 §4.2.1.1)."""
    value = der.encode(der.AuthorityKeyIdentifier(key_identifier=key_identifier))
    return _extension(der.AUTHORITY_KEY_IDENTIFIER, value, critical=False)


def _name_constraints(permitted: tuple[str, ...]) -> list[der.Extension]:
    if not permitted:
        return []
    subtrees = [_GeneralSubtree(base=asn1.Variant(asn1.IA5String(name), "dNSName")) for name in permitted]
    return [_extension(NAME_CONSTRAINTS, der.encode(_NameConstraints(permitted_subtrees=subtrees)), critical=True)]


def _extension(kind: ObjectIdentifier, value: bytes, *, critical: bool) -> der.Extension:
    return der.Extension(extn_id=kind, critical=critical, extn_value=value)
