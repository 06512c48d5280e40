"""The DER writer against X.690 and RFC 5280's own examples."""

import pytest

from sandbox.calico import der


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (der.element(0x04, b"x" * 127), "047f" + "78" * 127),
        (der.element(0x04, b"x" * 128), "048180" + "78" * 128),
        (der.element(0x04, b"x" * 256), "04820100" + "78" * 256),
        (der.integer(0), "020100"),
        (der.integer(127), "02017f"),
        (der.integer(128), "02020080"),
        (der.object_identifier("2.5.29.15"), "0603551d0f"),
        (der.object_identifier("1.2.840.113549.1.9.14"), "06092a864886f70d01090e"),
        (der.named_bits(0, 2, 4), "030203a8"),
        (der.named_bits(0), "03020780"),
        (der.named_bits(8), "0303070080"),
        (der.text("San Francisco"), "130d53616e204672616e636973636f"),
        (der.text("a*b"), "0c03612a62"),
        (der.set_of(b"\x02\x01\x02", b"\x02\x01\x01"), "3106020101020102"),
        (der.implicit(7, b"\x0a\x00\x00\x01"), "87040a000001"),
        (der.explicit(0, der.NULL), "a0020500"),
    ],
)
def test_encoding(encoded: bytes, expected: str) -> None:
    """Every element has the shortest length and the value that its rule says."""
    assert encoded.hex() == expected
