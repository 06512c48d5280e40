"""Certification requests as far as this API server reads them: a structure that its own key signed.

The real one also refuses names, strings and extensions that Go's crypto/x509 cannot read. Here they pass: a signer must
expect whatever a requester writes.
"""

from typing import Annotated, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509 import ObjectIdentifier, SignatureAlgorithmOID

_CURVES: Final = (ec.SECP224R1, ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_RSA_BITS: Final = 1024
_HASHES: Final[dict[ObjectIdentifier, hashes.HashAlgorithm]] = {
    SignatureAlgorithmOID.RSA_WITH_SHA1: hashes.SHA1(),  # noqa: S303 - Go accepts it of requests
    SignatureAlgorithmOID.RSA_WITH_SHA256: hashes.SHA256(),
    SignatureAlgorithmOID.RSA_WITH_SHA384: hashes.SHA384(),
    SignatureAlgorithmOID.RSA_WITH_SHA512: hashes.SHA512(),
    SignatureAlgorithmOID.ECDSA_WITH_SHA1: hashes.SHA1(),  # noqa: S303
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: hashes.SHA256(),
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: hashes.SHA384(),
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: hashes.SHA512(),
}


@asn1.sequence
class _Information:
    version: int
    subject: asn1.TLV
    public_key: asn1.TLV
    attributes: Annotated[list[asn1.TLV], asn1.Implicit(0)]


@asn1.sequence
class _Box:
    value: asn1.TLV


@asn1.sequence
class _Request:
    information: asn1.TLV
    algorithm: asn1.TLV
    signature: asn1.BitString


def violation(der: bytes) -> str | None:
    """Says why this is no request that its own key signed."""
    try:
        request = asn1.decode_der(_Request, der)
        signed = _encoded(request.information)
        key = load_der_public_key(_encoded(asn1.decode_der(_Information, signed).public_key))
        _verify(key, bytes(request.algorithm.data), request.signature.as_bytes(), signed)
    except InvalidSignature:
        return "x509: verification failure"
    except (UnsupportedAlgorithm, ValueError) as error:
        return f"x509: malformed certificate request: {error}"
    return None


def _verify(key: object, algorithm: bytes, signature: bytes, signed: bytes) -> None:
    known = (digest for identifier, digest in _HASHES.items() if algorithm.startswith(asn1.encode_der(identifier)))
    digest = next(known, None)
    match key:
        case rsa.RSAPublicKey() if digest is not None and key.key_size >= _RSA_BITS:
            key.verify(signature, signed, padding.PKCS1v15(), digest)
        case ec.EllipticCurvePublicKey() if digest is not None and isinstance(key.curve, _CURVES):
            key.verify(signature, signed, ec.ECDSA(digest))
        case ed25519.Ed25519PublicKey():
            key.verify(signature, signed)
        case _:
            raise ValueError("algorithm unimplemented")


def _encoded(element: asn1.TLV) -> bytes:
    """With its header."""
    return bytes(asn1.decode_der(asn1.TLV, asn1.encode_der(_Box(value=element))).data)
