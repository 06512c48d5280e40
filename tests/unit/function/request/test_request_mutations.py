"""A request that was accepted, with one byte changed: refused, or the same request to the last name.

Not a sample of places but all of them, in the DER and in the PEM text. Of the values of a byte: the eight that differ
in one bit, and some that mean something in DER or PEM. For the longer keys, which the same code reads, it is one of
those eight; and the PEM text is read before any key. No byte can change what is certified.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

import pytest

from csr_signer.request.pkcs10 import CertificationRequest, parse
from csr_signer.violation import Violation
from tests.unit.function.builders import PrivateKey, ec_key, make_request_der, pem, rsa_key

KEYS: Final[dict[str, Callable[[], PrivateKey]]] = {
    "P-256": ec_key,
    "P-384": lambda: ec_key("P-384"),
    "P-521": lambda: ec_key("P-521"),
    "RSA-2048": rsa_key,
}
OF_DER: Final = bytes.fromhex("007f80ff")
"""Ends of ranges."""
OF_PEM: Final = b"\n\r =-"
"""What stands in a block, or could, beside the alphabet of base64."""


@cache
def honest(key: str) -> bytes:
    """DER of the request of a key."""
    return make_request_der(key=KEYS[key]())


def one_byte_other(encoded: bytes, values: bytes) -> Iterator[bytes]:
    """Every place with every single bit flipped, and with some values."""
    for place, byte in enumerate(encoded):
        for value in {byte ^ 1 << bit for bit in range(8)} | set(values) - {byte}:
            yield encoded[:place] + bytes([value]) + encoded[place + 1 :]


def one_bit_other(encoded: bytes) -> Iterator[bytes]:
    """Every place with one of its bits flipped, the next place with its next bit."""
    for place, byte in enumerate(encoded):
        yield encoded[:place] + bytes([byte ^ 1 << place % 8]) + encoded[place + 1 :]


def one_byte_more_or_less(encoded: bytes, values: bytes) -> Iterator[bytes]:
    """Every place without its byte, every place with one before it, and every beginning."""
    for place in range(len(encoded)):
        yield encoded[:place] + encoded[place + 1 :]
        yield encoded[:place]
        yield encoded[:place] + encoded[place : place + 1] + encoded[place:]
        for value in values:
            yield encoded[:place] + bytes([value]) + encoded[place:]
    for value in values:
        yield encoded + bytes([value])


def unseen(texts: Iterator[bytes], accepted: CertificationRequest) -> list[bytes]:
    """Those that are neither refused nor the request that was accepted."""
    return [text for text in texts if (answer := parse(text)) != accepted and not _refused(answer)]


def _refused(answer: CertificationRequest | Violation) -> bool:
    return isinstance(answer, Violation) or bool(answer.violations)


def _accepted(key: str) -> CertificationRequest:
    answer = parse(pem(honest(key)))
    assert isinstance(answer, CertificationRequest)
    assert answer.violations == ()
    return answer


@pytest.mark.parametrize("key", KEYS)
def test_no_byte_of_the_der_can_change_unseen(key: str) -> None:
    """Nor is there one whose change makes no difference: the signature covers everything but itself."""
    others = one_byte_other(honest(key), OF_DER) if key == "P-256" else one_bit_other(honest(key))
    changed = list(map(pem, others))
    assert len(changed) >= len(honest(key))
    assert [text for text in changed if not _refused(parse(text))] == []


@pytest.mark.parametrize("key", KEYS)
def test_no_byte_of_the_der_can_come_or_go_unseen(key: str) -> None:
    """Inserted, repeated, left out, or cut off."""
    changed = map(pem, one_byte_more_or_less(honest(key), OF_DER))
    assert [text for text in changed if not _refused(parse(text))] == []


def test_no_character_of_the_pem_can_change_unseen() -> None:
    """What is not refused is the same request: a line may end in another way."""
    assert unseen(one_byte_other(pem(honest("P-256")), OF_PEM), _accepted("P-256")) == []


def test_no_character_of_the_pem_can_come_or_go_unseen() -> None:
    """Likewise: a line may be broken in two."""
    assert unseen(one_byte_more_or_less(pem(honest("P-256")), OF_PEM), _accepted("P-256")) == []
