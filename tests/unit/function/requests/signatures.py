"""Proof of possession: algorithms, and signatures that some verifier accepts."""

import hashlib
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives import hashes

from sandbox.calico import der
from tests.unit.function.builders import ec_key, rsa_key, sign
from tests.unit.function.requests.curves import P256_ORDER
from tests.unit.function.requests.malformed import ECDSA, information, signed
from tests.unit.function.requests.table import invalid, permitted, refused, row, table

_ECDSA: Final = "1.2.840.10045.4.3."
_ECDSA_SHA3: Final = "2.16.840.1.101.3.4.3.10"
_RSA: Final = "1.2.840.113549.1.1."
_P384: Final = {"key": ec_key("P-384"), "algorithm": _ECDSA + "3"}
_HASHES: Final = {
    "SHA-256": (hashes.SHA256(), _RSA + "11", _ECDSA + "2"),
    "SHA-384": (hashes.SHA384(), _RSA + "12", _ECDSA + "3"),
    "SHA-512": (hashes.SHA512(), _RSA + "13", _ECDSA + "4"),
}
_SHA256: Final = der.sequence(der.object_identifier("2.16.840.1.101.3.4.2.1"), der.NULL)
_PSS_PARAMETERS: Final = der.sequence(  # RFC 4055 §3.1: SHA-256, MGF1 with SHA-256, a salt of 32 bytes
    der.explicit(0, _SHA256),
    der.explicit(1, der.sequence(der.object_identifier("1.2.840.113549.1.1.8"), _SHA256)),
    der.explicit(2, der.integer(32)),
)


def _pss(data: bytes) -> bytes:
    """RSASSA-PSS with SHA-256 by the RSA key of 2048 bits; the salt is fixed, which libraries do not offer."""
    digest = hashlib.sha256(bytes(8) + hashlib.sha256(data).digest() + b"\x01" * 32).digest()  # RFC 8017 §9.1.1
    mask = b"".join(hashlib.sha256(digest + counter.to_bytes(4, "big")).digest() for counter in range(7))[:223]
    masked = int.from_bytes(b"\x01" + b"\x01" * 32, "big") ^ int.from_bytes(mask, "big")
    masked &= (1 << (8 * 223 - 1)) - 1  # the modulus has 2048 bits, so the encoded message has 2047
    numbers = rsa_key().private_numbers()
    encoded = int.from_bytes(masked.to_bytes(223, "big") + digest + b"\xbc", "big")
    return pow(encoded, numbers.d, numbers.public_numbers.n).to_bytes(256, "big")


def _honest(data: bytes) -> bytes:
    return sign(ec_key(), data)


def _honest_rsa(data: bytes) -> bytes:
    return sign(rsa_key(), data)


def _numbers(data: bytes) -> tuple[int, int]:
    """The numbers r and s of the honest signature."""
    encoded = _honest(data)
    length = encoded[3]
    return int.from_bytes(encoded[4 : 4 + length], "big"), int.from_bytes(encoded[6 + length :], "big")


def _ecdsa(change: Callable[[int, int], tuple[int, int]]) -> Callable[[bytes], bytes]:
    """A signature whose numbers are made from the honest r and s."""
    return lambda data: der.sequence(*map(der.integer, change(*_numbers(data))))


def _with_padded_r(data: bytes) -> bytes:
    r, s = _numbers(data)
    return der.sequence(der.element(0x02, b"\0\0" + r.to_bytes(32, "big")), der.integer(s))


def _flipped(signature: bytes) -> bytes:
    return signature[:-1] + bytes([signature[-1] ^ 1])


def _with_rsa(request: dict[str, Any]) -> dict[str, Any]:
    return {"key": rsa_key(), **request}


_SEVEN_BITS_LESS: Final = der.element(0x03, b"\x07", _honest(information())[:-1] + b"\x80")

CASES: Final = table(
    refused("boulder csr_test.go: SHA-1 and other algorithms", "request", "request.signature_algorithm", of=_with_rsa),
    invalid("a signature with MD5", {"algorithm": _RSA + "4", "digest": hashes.MD5()}),  # noqa: S303 - what is refused
    invalid("a signature with SHA-224", {"algorithm": _RSA + "14", "digest": hashes.SHA224()}),
    invalid("a signature with SHA-512/256", {"algorithm": _RSA + "16", "digest": hashes.SHA512_256()}),
    invalid("the key's identifier as a signature's", {"algorithm": _RSA + "1"}),
    row("the old identifier of RSA with SHA-1", {"algorithm": "1.3.14.3.2.29", "digest": hashes.SHA1()}),  # noqa: S303
    invalid("PSS without parameters", {"algorithm": _RSA + "10", "parameters": b"", "signature": _pss}),
    row("PSS with SHA-256", {"algorithm": _RSA + "10", "parameters": _PSS_PARAMETERS, "signature": _pss}),
    refused("ours: Calico's client does not offer them", "request", "request.signature_algorithm"),
    invalid("a signature with SHA-224 on a curve", {"algorithm": _ECDSA + "1", "digest": hashes.SHA224()}),
    invalid("a signature with SHA3-256 on a curve", {"algorithm": _ECDSA_SHA3, "digest": hashes.SHA3_256()}),
    invalid("ECDSA with an unnamed hash", {"algorithm": _ECDSA.removesuffix(".")}),
    invalid("an unknown algorithm of a signature", {"algorithm": "1.3.6.1.4.1.99999.7"}),
    refused("RFC 4055 section 5, RFC 5758 section 3.2", "request", "request.signature_algorithm"),
    row("an ECDSA algorithm with a curve", {"parameters": der.object_identifier("1.2.840.10045.3.1.7")}),
    row("an RSA algorithm with a sequence", {"key": rsa_key(), "parameters": der.sequence()}),
    row("an RSA algorithm with two parameters", {"key": rsa_key(), "parameters": der.NULL * 2}),
    invalid("an ECDSA algorithm with an RSA key", {"key": rsa_key(), "algorithm": _ECDSA + "2", "parameters": b""}),
    invalid("an algorithm that is no sequence", signed(algorithm=ECDSA)),
    invalid("an algorithm that is empty", signed(algorithm=der.sequence())),
    refused("boulder csr_test.go, fulcio grpc_server_test.go", "request.signature", "request.signature"),
    invalid("another hash than the algorithm says", lambda data: sign(ec_key(), data, hashes.SHA384())),
    invalid("a signature that is cut", lambda data: _honest(data)[:-1]),
    invalid("a signature with a byte after it", lambda data: _honest(data) + b"\0"),
    invalid("a signature of zeros", lambda _: bytes(72)),
    refused("boulder csr_test.go", "request.signature", "request.signature", request={"key": rsa_key()}),
    invalid("another hash than the algorithm says, with RSA", lambda data: sign(rsa_key(), data, hashes.SHA512())),
    invalid("an RSA signature that is cut", lambda data: _honest_rsa(data)[:-1]),
    invalid("an RSA signature with a zero before it", lambda data: b"\0" + _honest_rsa(data)),
    invalid("an RSA signature of one", lambda _: bytes(255) + b"\1"),
    invalid("an RSA signature of zeros", lambda _: bytes(256)),
    invalid("an RSA signature with a bit changed", lambda data: _flipped(_honest_rsa(data))),
    invalid("an RSA key with a signature of ECDSA's form", _honest),
    refused("fulcio grpc_server_test.go", "request.signature", "request.signature", request=_P384),
    invalid("another P-384 key's signature", lambda data: sign(ec_key("P-384", 99), data, hashes.SHA384())),
    refused("SEC 1 section 4.1.4: some verifiers accept them", "request.signature", "request.signature"),
    invalid("r and s exchanged", _ecdsa(lambda r, s: (s, r))),
    invalid("r of zero", _ecdsa(lambda _, s: (0, s))),
    invalid("s of zero", _ecdsa(lambda r, _: (r, 0))),
    invalid("r and s of zero", lambda _: der.sequence(der.integer(0), der.integer(0))),
    invalid("r of the order", _ecdsa(lambda _, s: (P256_ORDER, s))),
    invalid("r plus the order", _ecdsa(lambda r, s: (r + P256_ORDER, s))),
    invalid("s plus the order", _ecdsa(lambda r, s: (r, s + P256_ORDER))),
    invalid("a negative s", _ecdsa(lambda r, s: (r, -s))),
    invalid("a padded r", _with_padded_r),
    invalid("three numbers", lambda data: der.sequence(_honest(data)[2:], der.integer(1))),
    invalid("a signature with a long length", lambda data: b"\x30\x81" + _honest(data)[1:]),
    invalid("r and s side by side", lambda data: b"".join(n.to_bytes(32, "big") for n in _numbers(data))),  # IEEE P1363
    refused("X.690 section 8.6: a BIT STRING", "request", "request.signature"),
    invalid("a signature that is not whole bytes", signed(signature=_SEVEN_BITS_LESS)),
    permitted("operator installation_types.go: signatureAlgorithm", "request"),
    *(
        row(f"{curve} with {name}", {"key": ec_key(curve), "digest": digest, "algorithm": number})
        for curve in ("P-256", "P-384", "P-521")
        for name, (digest, _, number) in _HASHES.items()
    ),
    *(
        row(f"RSA-2048 with {name}", {"key": rsa_key(), "digest": digest, "algorithm": number})
        for name, (digest, number, _) in _HASHES.items()
    ),
    permitted("SEC 1 section 4.1: ECDSA signatures are malleable", "request.signature"),
    row("the other s of an ECDSA signature", _ecdsa(lambda r, s: (r, P256_ORDER - s))),
)
