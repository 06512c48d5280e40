"""Proof of possession: algorithms, and signatures that some verifier takes."""

from typing import Any, Final

from cryptography.hazmat.primitives import hashes

from sandbox.calico import der
from tests.corpus.entry import permitted, refused
from tests.corpus.hostile import P256_ORDER, PSS_PARAMETERS, ecdsa, information, pss, signed
from tests.function.builders import (
    ECDSA_WITH_SHA256,
    Case,
    case,
    ec_key,
    rsa_key,
    sign,
)

_ECDSA: Final = "1.2.840.10045.4.3."
_RSA: Final = "1.2.840.113549.1.1."
_HASHES: Final = {
    "SHA-256": (hashes.SHA256(), _RSA + "11", _ECDSA + "2"),
    "SHA-384": (hashes.SHA384(), _RSA + "12", _ECDSA + "3"),
    "SHA-512": (hashes.SHA512(), _RSA + "13", _ECDSA + "4"),
}


def _algorithm(sentence: str, identifier: str, *, rsa: bool = False, **request: Any) -> Case:
    key = {"key": rsa_key()} if rsa else {}
    return case(sentence, "request.signature_algorithm", request={**key, "algorithm": identifier, **request})


def _pss(sentence: str, parameters: bytes) -> Case:
    return _algorithm(sentence, _RSA + "10", rsa=True, parameters=parameters, signature=pss)


def _signature(sentence: str, signature: Any, **request: Any) -> Case:
    return case(sentence, "request.signature", request={"signature": signature, **request})


def _honest(data: bytes) -> bytes:
    return sign(ec_key(), data)


def _honest_rsa(data: bytes) -> bytes:
    return sign(rsa_key(), data)


def _raw(data: bytes) -> bytes:
    """The two numbers side by side, as IEEE P1363 writes them."""
    encoded = _honest(data)
    length = encoded[3]
    r, s = encoded[4 : 4 + length], encoded[6 + length :]
    return b"".join(int.from_bytes(part, "big").to_bytes(32, "big") for part in (r, s))


def _with_padding_bits(data: bytes) -> bytes:
    """A BIT STRING of the honest signature that says that its last seven bits do not count."""
    return der.element(0x03, b"\x07", _honest(data)[:-1] + b"\x80")


ROWS: Final = (
    *refused(
        "letsencrypt/boulder csr/csr_test.go: SHA-1 and other algorithms; ours: what Calico's client does not offer",
        _algorithm("a signature with MD5", _RSA + "4", rsa=True, digest=hashes.MD5()),  # noqa: S303 - what is refused
        _algorithm("a signature with SHA-224", _RSA + "14", rsa=True, digest=hashes.SHA224()),
        _algorithm("a signature with SHA-512/256", _RSA + "16", rsa=True, digest=hashes.SHA512_256()),
        _algorithm("a signature with SHA-224 on a curve", _ECDSA + "1", digest=hashes.SHA224()),
        _algorithm("a signature with SHA3-256 on a curve", "2.16.840.1.101.3.4.3.10", digest=hashes.SHA3_256()),
        _algorithm("the key's identifier as a signature's", _RSA + "1", rsa=True),
        _algorithm("the old identifier of RSA with SHA-1", "1.3.14.3.2.29", rsa=True, digest=hashes.SHA1()),  # noqa: S303
        _algorithm("ECDSA with an unnamed hash", _ECDSA.removesuffix(".")),
        _algorithm("an algorithm of a signature that nobody knows", "1.3.6.1.4.1.99999.7"),
        _pss("PSS with SHA-256", PSS_PARAMETERS),
        _pss("PSS without parameters", b""),
    ),
    *refused(
        "RFC 4055 section 5, RFC 5758 section 3.2: algorithms whose parameters or kind do not fit",
        _algorithm(
            "an ECDSA algorithm with a curve",
            ECDSA_WITH_SHA256,
            parameters=der.object_identifier("1.2.840.10045.3.1.7"),
        ),
        _algorithm("an RSA algorithm with a sequence", _RSA + "11", rsa=True, parameters=der.sequence()),
        _algorithm("an RSA algorithm with two parameters", _RSA + "11", rsa=True, parameters=der.NULL + der.NULL),
        _algorithm(
            "an ECDSA algorithm with an RSA key", ECDSA_WITH_SHA256, rsa=True, parameters=b"", signature=_honest_rsa
        ),
        case(
            "an algorithm that is no sequence",
            "request.signature_algorithm",
            request=signed(algorithm=der.object_identifier(ECDSA_WITH_SHA256)),
        ),
        case("an algorithm that is empty", "request.signature_algorithm", request=signed(algorithm=der.sequence())),
    ),
    *refused(
        "letsencrypt/boulder csr/csr_test.go, sigstore/fulcio pkg/server/grpc_server_test.go: bad signatures",
        _signature("another hash than the algorithm says", lambda data: sign(ec_key(), data, hashes.SHA384())),
        _signature(
            "another hash than the algorithm says, with RSA",
            lambda data: sign(rsa_key(), data, hashes.SHA512()),
            key=rsa_key(),
        ),
        _signature("a signature that is cut", lambda data: _honest(data)[:-1]),
        _signature("a signature with a byte after it", lambda data: _honest(data) + b"\0"),
        _signature("a signature of zeros", lambda _: bytes(72)),
        _signature("an RSA signature that is cut", lambda data: _honest_rsa(data)[:-1], key=rsa_key()),
        _signature("an RSA signature with a zero before it", lambda data: b"\0" + _honest_rsa(data), key=rsa_key()),
        _signature("an RSA signature of one", lambda _: bytes(255) + b"\1", key=rsa_key()),
        _signature("an RSA signature of zeros", lambda _: bytes(256), key=rsa_key()),
        _signature(
            "an RSA signature with a bit changed",
            lambda data: _honest_rsa(data)[:-1] + bytes([_honest_rsa(data)[-1] ^ 1]),
            key=rsa_key(),
        ),
        _signature("an RSA key with a signature of ECDSA's form", _honest, key=rsa_key()),
        _signature(
            "another P-384 key's signature",
            lambda data: sign(ec_key("P-384", 99), data, hashes.SHA384()),
            key=ec_key("P-384"),
            algorithm=_ECDSA + "3",
        ),
    ),
    *refused(
        "SEC 1 section 4.1.4, X.690: numbers in an ECDSA signature that some verifiers let pass",
        _signature("r and s exchanged", ecdsa(lambda r, s: (der.integer(s), der.integer(r)))),
        _signature("r of zero", ecdsa(lambda _, s: (der.integer(0), der.integer(s)))),
        _signature("s of zero", ecdsa(lambda r, _: (der.integer(r), der.integer(0)))),
        _signature("r and s of zero", ecdsa(lambda *_: (der.integer(0), der.integer(0)))),
        _signature("r of the order", ecdsa(lambda _, s: (der.integer(P256_ORDER), der.integer(s)))),
        _signature("r plus the order", ecdsa(lambda r, s: (der.integer(r + P256_ORDER), der.integer(s)))),
        _signature("s plus the order", ecdsa(lambda r, s: (der.integer(r), der.integer(s + P256_ORDER)))),
        _signature(
            "a negative s",
            ecdsa(lambda r, s: (der.integer(r), der.element(0x02, (-s).to_bytes(33, "big", signed=True)))),
        ),
        _signature(
            "a padded r", ecdsa(lambda r, s: (der.element(0x02, b"\0\0" + r.to_bytes(32, "big")), der.integer(s)))
        ),
        _signature("three numbers", lambda data: der.sequence(_honest(data)[2:], der.integer(1))),
        _signature("a signature with a long length", lambda data: b"\x30\x81" + _honest(data)[1:]),
        _signature("r and s side by side", _raw),
        case(
            "a signature that is not whole bytes",
            "request.signature",
            request=signed(signature=_with_padding_bits(information())),
        ),
    ),
    *permitted(
        "tigera/operator api/v1/installation_types.go: signatureAlgorithm, any hash with any curve, and each with RSA",
        *(
            case(f"{curve} with {name}", request={"key": ec_key(curve), "digest": digest, "algorithm": identifier})
            for curve in ("P-256", "P-384", "P-521")
            for name, (digest, _, identifier) in _HASHES.items()
        ),
        *(
            case(f"RSA-2048 with {name}", request={"key": rsa_key(), "digest": digest, "algorithm": identifier})
            for name, (digest, identifier, _) in _HASHES.items()
        ),
    ),
    *permitted(
        "SEC 1 section 4.1: ECDSA is malleable: the other s signs the same request, and nothing of it is certified",
        case(
            "the other s of an ECDSA signature",
            request={"signature": ecdsa(lambda r, s: (der.integer(r), der.integer(P256_ORDER - s)))},
        ),
    ),
)
