"""Corrupts a message as a fault demands."""

from collections.abc import Callable
from typing import Any

from google.cloud import kms_v1

from sandbox.kms.algorithms import HASHES, Scheme, sign
from sandbox.kms.enums import Algorithm, Level
from sandbox.kms.faults import Corruption
from sandbox.kms.signing import content_to_sign, crc32c, foreign_key, public_pem

_Sign = kms_v1.AsymmetricSignResponse
_PublicKey = kms_v1.PublicKey
_TOO_LONG = 4 * 1024 * 1024 + 1  # gRPC's default limit of a client


def corrupt(corruption: Corruption, request: Any, response: Any, scheme: Scheme) -> None:  # noqa: ANN401  # messages
    """Corrupts an answer in place.

    Raises:
        ValueError: An answer of that kind lacks the part.
    """
    kind = type(response)
    if kind in (_Sign, _PublicKey) and corruption in _BOTH:
        _BOTH[corruption](response)
    elif kind is _Sign and corruption is Corruption.FOREIGN_SIGNATURE:
        response.signature = sign(scheme, foreign_key(scheme), content_to_sign(request, scheme))
        response.signature_crc32c = crc32c(response.signature)
    elif kind is _Sign and corruption in _SIGN:
        _SIGN[corruption](response)
    elif kind is _PublicKey and corruption is Corruption.FOREIGN_PUBLIC_KEY:
        response.pem = public_pem(foreign_key(scheme))
        response.pem_crc32c = crc32c(response.pem.encode())
    elif kind is _PublicKey and corruption in _PUBLIC_KEY:
        _PUBLIC_KEY[corruption](response)
    else:
        raise ValueError(f"{corruption} does not apply to {kind.__name__}")


def damage(request: kms_v1.AsymmetricSignRequest) -> None:
    """Flips a bit of the digest or data in place; the checksum does not change.

    Raises:
        ValueError: The request has nothing to sign.
    """
    if "digest" in request:
        member = next(name for name in HASHES if getattr(request.digest, name))
        setattr(request.digest, member, _flipped(getattr(request.digest, member)))
    elif request.data:
        request.data = _flipped(request.data)
    else:
        raise ValueError("nothing to damage")


def _flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def _flip_signature(response: _Sign) -> None:
    response.signature = _flipped(response.signature)


def _empty_signature(response: _Sign) -> None:
    response.signature = b""
    response.signature_crc32c = crc32c(b"")


def _lengthen_signature(response: _Sign) -> None:
    response.signature = bytes(_TOO_LONG)
    response.signature_crc32c = crc32c(response.signature)


def _change_signature_crc32c(response: _Sign) -> None:
    response.signature_crc32c = (response.signature_crc32c + 1) % 2**32


def _drop_signature_crc32c(response: _Sign) -> None:
    del response.signature_crc32c


def _unverify(response: _Sign) -> None:
    response.verified_digest_crc32c = False
    response.verified_data_crc32c = False


def _rename(response: _Sign | _PublicKey) -> None:
    key, number = response.name.rsplit("/", 1)
    response.name = f"{key}/{int(number) + 1}"


def _lower_level(response: _Sign | _PublicKey) -> None:
    response.protection_level = Level(max(response.protection_level - 1, 0))


def _change_pem_crc32c(response: _PublicKey) -> None:
    response.pem_crc32c = (response.pem_crc32c + 1) % 2**32


def _drop_pem_crc32c(response: _PublicKey) -> None:
    del response.pem_crc32c


def _change_algorithm(response: _PublicKey) -> None:
    other, another = Algorithm.EC_SIGN_P384_SHA384, Algorithm.EC_SIGN_P256_SHA256
    response.algorithm = another if response.algorithm == other else other


_BOTH: dict[Corruption, Callable[[Any], None]] = {
    Corruption.NAME: _rename,
    Corruption.PROTECTION_LEVEL: _lower_level,
}
_SIGN: dict[Corruption, Callable[[_Sign], None]] = {
    Corruption.SIGNATURE: _flip_signature,
    Corruption.EMPTY_SIGNATURE: _empty_signature,
    Corruption.LONG_SIGNATURE: _lengthen_signature,
    Corruption.SIGNATURE_CRC32C: _change_signature_crc32c,
    Corruption.NO_SIGNATURE_CRC32C: _drop_signature_crc32c,
    Corruption.UNVERIFIED_CRC32C: _unverify,
}
_PUBLIC_KEY: dict[Corruption, Callable[[_PublicKey], None]] = {
    Corruption.PEM_CRC32C: _change_pem_crc32c,
    Corruption.NO_PEM_CRC32C: _drop_pem_crc32c,
    Corruption.ALGORITHM: _change_algorithm,
}
