"""A public key from KMS is parsed, or refused with one line."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signerctl.interface.program import CommandError
from signerctl.key import key_of, parsed
from tests.unit.signerctl.authorities import foreign, spki


@pytest.mark.parametrize(
    "pem",
    [b"", b"hello", b"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n"],
    ids=["none", "text", "empty"],
)
def test_an_unreadable_public_key_is_an_error(pem: bytes) -> None:
    """For example, if the algorithm is newer than the library."""
    with pytest.raises(CommandError, match="cannot parse KMS's public key"):
        parsed(pem)


def test_the_key_of_a_certificate_is_its_subject_public_key_info() -> None:
    """It is DER, so that it can be compared with KMS's key."""
    certificate = foreign("Other")
    assert key_of(certificate) == spki(certificate.public_key())


def test_a_certificate_with_an_unknown_curve_has_no_key() -> None:
    """It equals no KMS key, and is no error."""
    encoded = foreign("Other").public_bytes(Encoding.DER)
    curve = bytes.fromhex("06082a8648ce3d030107")
    assert encoded.count(curve) == 1
    assert key_of(x509.load_der_x509_certificate(encoded.replace(curve, curve[:-1] + b"\x7f"))) is None
