"""The key as KMS gives it: what is no key that we know is one line."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signerctl.key import key_of, parsed
from signerctl.program import CommandError
from tests.unit.signerctl.authorities import foreign, spki


@pytest.mark.parametrize(
    "pem",
    [b"", b"hello", b"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n"],
    ids=["none", "text", "empty"],
)
def test_a_public_key_that_cannot_be_read_is_told(pem: bytes) -> None:
    """As for a key of an algorithm that is newer than the library."""
    with pytest.raises(CommandError, match="KMS's public key cannot be read"):
        parsed(pem)


def test_a_certificates_key_is_its_public_key_info() -> None:
    """DER, to be compared with KMS's."""
    certificate = foreign("Other")
    assert key_of(certificate) == spki(certificate.public_key())


def test_a_certificate_of_an_unknown_curve_has_no_key_that_we_know() -> None:
    """It is nobody's, and no failure."""
    encoded = foreign("Other").public_bytes(Encoding.DER)
    curve = bytes.fromhex("06082a8648ce3d030107")
    assert encoded.count(curve) == 1
    assert key_of(x509.load_der_x509_certificate(encoded.replace(curve, curve[:-1] + b"\x7f"))) is None
