"""Bytes that no library writes: signed by the right key all the same, so that only the one wrong thing is wrong."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from sandbox.calico import der
from tests.function.builders import (
    ECDSA_WITH_SHA256,
    EXTENSION_REQUEST,
    RSA_WITH_SHA256,
    alternative_names,
    attribute,
    dns_name,
    ec_key,
    name_attribute,
    pem,
    public_key_info,
    rsa_key,
    rsa_public_key_info,
    sign,
)

COMMON_NAME: Final = name_attribute("2.5.4.3", der.text("typha-client"))
SAN: Final = alternative_names(dns_name(b"typha-client"))
REQUESTED: Final = attribute(EXTENSION_REQUEST, der.sequence(SAN))
_SHA256_INFO: Final = bytes.fromhex("3031300d060960864801650304020105000420")  # DigestInfo of SHA-256, RFC 8017 §9.2
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P256_PRIME: Final = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF


def information(
    *,
    version: bytes = der.integer(0),
    subject: bytes = der.sequence(COMMON_NAME),
    key: bytes | None = None,
    attributes: bytes = der.explicit(0, REQUESTED),
    tail: bytes = b"",
) -> bytes:
    """DER of a CertificationRequestInfo of parts that are encoded already; the smallest that is honest by default."""
    return der.sequence(version, subject, key or public_key_info(ec_key()), attributes, tail)


def signed(
    info: bytes | None = None,
    *,
    algorithm: bytes = der.sequence(der.object_identifier(ECDSA_WITH_SHA256)),
    signature: bytes | None = None,
    tail: bytes = b"",
    wrap: Callable[[bytes], bytes] = pem,
) -> bytes:
    """`spec.request` around any CertificationRequestInfo, with an honest signature or with any BIT STRING at all."""
    info = information() if info is None else info
    honest = der.bit_string(sign(ec_key(), info))
    return wrap(der.sequence(info, algorithm, honest if signature is None else signature, tail))


def with_extensions(*extensions: bytes) -> bytes:
    """`spec.request` whose extensionRequest holds any bytes at all."""
    return signed(information(attributes=der.explicit(0, attribute(EXTENSION_REQUEST, der.sequence(*extensions)))))


def with_rdns(*rdns: bytes) -> bytes:
    """`spec.request` whose subject holds any bytes at all."""
    return signed(information(subject=der.sequence(*rdns)))


def with_names(*names: bytes) -> dict[str, Any]:
    """Arguments of `make_request` for further encoded GeneralNames after the honest ones."""
    return {"other_names": list(names)}


def long_form(encoded: bytes, *, size: int = 2) -> bytes:
    """An element of less than 128 bytes with its length in more octets than are needed."""
    assert encoded[1] == len(encoded) - 2, "a short element"
    return encoded[:1] + bytes([0x80 | size]) + encoded[1].to_bytes(size, "big") + encoded[2:]


def indefinite(encoded: bytes, header: int) -> bytes:
    """A constructed element with an indefinite length, as BER allows; its header has so many bytes."""
    return encoded[:1] + b"\x80" + encoded[header:] + b"\x00\x00"


def nested(depth: int) -> bytes:
    """Sequences within sequences."""
    content = b""
    for _ in range(depth):
        content = der.sequence(content)
    return content


def rsa(first: int, second: int, exponent: int = 65537) -> Mapping[str, Any]:
    """Arguments of `make_request` for an RSA key of two known primes, weak or not, which signs honestly."""
    modulus = first * second
    order = (first - 1) * (second - 1) if first != second else first * (first - 1)
    return rsa_numbers(modulus, exponent, pow(exponent, -1, order))


def rsa_numbers(modulus: int, exponent: int, private: int, **info: Any) -> Mapping[str, Any]:
    """Arguments of `make_request` for an RSA key of any numbers, which signs with the private exponent."""

    def signature(data: bytes) -> bytes:
        size = (modulus.bit_length() + 7) // 8
        digest = _SHA256_INFO + hashlib.sha256(data).digest()
        padded = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest  # RFC 8017 §9.2
        return pow(int.from_bytes(padded, "big"), private, modulus).to_bytes(size, "big")

    return {
        "public_key": rsa_public_key_info(modulus, exponent, **info),
        "algorithm": RSA_WITH_SHA256,
        "parameters": der.NULL,
        "signature": signature,
    }


def ecdsa(numbers: Callable[[int, int], tuple[bytes, bytes]]) -> Callable[[bytes], bytes]:
    """A signature whose two INTEGERs are made from the honest r and s."""

    def signature(data: bytes) -> bytes:
        honest = sign(ec_key(), data)
        length = honest[3]
        r, s = honest[4 : 4 + length], honest[6 + length :]
        return der.sequence(*numbers(int.from_bytes(r, "big"), int.from_bytes(s, "big")))

    return signature


def pss(data: bytes) -> bytes:
    """RSASSA-PSS with SHA-256 by the RSA key of 2048 bits; the salt is fixed, which libraries do not offer."""
    size, salt = 256, b"\x01" * 32
    digest = hashlib.sha256(bytes(8) + hashlib.sha256(data).digest() + salt).digest()  # RFC 8017 §9.1.1
    block = b"\x01" + salt
    length = size - len(digest) - 1
    mask = b"".join(hashlib.sha256(digest + counter.to_bytes(4, "big")).digest() for counter in range(8))[:length]
    masked = int.from_bytes(block, "big") ^ int.from_bytes(mask, "big")
    masked &= (1 << (8 * length - 1)) - 1  # the modulus has 2048 bits, so the encoded message has 2047
    numbers = rsa_key().private_numbers()
    encoded = int.from_bytes(masked.to_bytes(length, "big") + digest + b"\xbc", "big")
    return pow(encoded, numbers.d, numbers.public_numbers.n).to_bytes(size, "big")


_SHA256: Final = der.sequence(der.object_identifier("2.16.840.1.101.3.4.2.1"), der.NULL)
PSS_PARAMETERS: Final = der.sequence(  # RFC 4055 §3.1: SHA-256, MGF1 with SHA-256, a salt of 32 bytes
    der.explicit(0, _SHA256),
    der.explicit(1, der.sequence(der.object_identifier("1.2.840.113549.1.1.8"), _SHA256)),
    der.explicit(2, der.integer(32)),
)
