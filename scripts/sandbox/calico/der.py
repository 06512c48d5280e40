"""A small DER writer for PKCS#10, which can also write invalid content.

With it, requests equal the output of Go's encoder, and hostile requests can have any bytes.
"""

NULL = b"\x05\x00"
TRUE = b"\x01\x01\xff"
_PRINTABLE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")
_LONG_FORM = 0x80
_BASE_128 = 0x80


def element(tag: int, *content: bytes) -> bytes:
    """Encodes an element with the shortest definite length."""
    body = b"".join(content)
    if len(body) < _LONG_FORM:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG_FORM | len(length)]) + length + body


def sequence(*content: bytes) -> bytes:
    """Encodes a SEQUENCE."""
    return element(0x30, *content)


def set_of(*content: bytes) -> bytes:
    """Encodes a SET OF with sorted elements, as DER requires."""
    return element(0x31, *sorted(content))


def explicit(number: int, *content: bytes) -> bytes:
    """Encodes a constructed, context-specific element."""
    return element(0xA0 | number, *content)


def implicit(number: int, content: bytes) -> bytes:
    """Encodes a primitive, context-specific element."""
    return element(0x80 | number, content)


def integer(value: int) -> bytes:
    """Encodes an INTEGER in the shortest form."""
    bits = (value if value >= 0 else ~value).bit_length()
    return element(0x02, value.to_bytes(bits // 8 + 1, "big", signed=True))


def object_identifier(dotted: str) -> bytes:
    """Encodes an OBJECT IDENTIFIER."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return element(0x06, *(_base_128(arc) for arc in (40 * first + second, *rest)))


def octet_string(content: bytes) -> bytes:
    """Encodes an OCTET STRING."""
    return element(0x04, content)


def bit_string(content: bytes) -> bytes:
    """Encodes a BIT STRING of whole bytes."""
    return element(0x03, b"\x00", content)


def named_bits(*positions: int) -> bytes:
    """Encodes the BIT STRING of a named bit list, without trailing zero bits (X.690 11.2.2)."""
    size = max(positions) + 1
    value = sum(1 << (size - 1 - position) for position in positions)
    unused = -size % 8
    return element(0x03, bytes([unused]), (value << unused).to_bytes((size + 7) // 8, "big"))


def text(value: str) -> bytes:
    """Encodes a PrintableString if possible, otherwise a UTF8String, as Go's encoding/asn1 does."""
    encoded = value.encode()
    return element(0x13 if _PRINTABLE.issuperset(encoded) else 0x0C, encoded)


def ia5_text(value: str) -> bytes:
    """Encodes an IA5String."""
    return element(0x16, value.encode("ascii"))


def _base_128(arc: int) -> bytes:
    digits = [arc % _BASE_128]
    while arc := arc // _BASE_128:
        digits.append(_BASE_128 | arc % _BASE_128)
    return bytes(reversed(digits))
