"""Encodings of a request that other readers forgive: refused at every level, each by a rule that says where.

Whatever Go's or another parser would read differently from ours must not get through, whether it is signed or not.
"""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import utils
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateNumbers

from csr_signer.request.pkcs10 import MOST_ELEMENTS, CertificationRequest, parse
from csr_signer.violation import Violation
from sandbox.calico import der
from tests.unit.function.builders import (
    CHALLENGE_PASSWORD,
    COMMON_NAME,
    ECDSA_WITH_SHA256,
    EXTENSION_REQUEST,
    RSA_WITH_SHA256,
    PrivateKey,
    alternative_names,
    attribute,
    basic_constraints,
    codes,
    dns_name,
    ec_key,
    extension,
    judge,
    large_factors,
    large_modulus,
    make_request,
    make_request_der,
    name_attribute,
    pem,
    prime,
    public_key_info,
    rsa_key,
    rsa_public_key_info,
    sign,
    sign_with_factors,
)
from tests.unit.function.der_trees import Tree, shortest

SAN = alternative_names(dns_name(b"typha-client"))
REQUESTED = attribute(EXTENSION_REQUEST, der.sequence(SAN))
HIDDEN = der.sequence(basic_constraints(der.TRUE))
HONEST = make_request_der()
CURVE_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256 (SP 800-186 §3.2.1.3)."""


def violations_of(request: bytes) -> list[Violation]:
    """Every rule that a request breaks."""
    answer = parse(request)
    return [answer] if isinstance(answer, Violation) else list(answer.violations)


def read(request: bytes) -> CertificationRequest:
    """A request that can be read."""
    answer = parse(request)
    assert isinstance(answer, CertificationRequest), answer
    return answer


def signed(info: bytes, key: PrivateKey | None = None) -> bytes:
    """A request of any CertificationRequestInfo, honestly signed."""
    key = key or ec_key()
    algorithm = Tree.read(make_request_der(key=key)).part(1).write()
    return pem(der.sequence(info, algorithm, der.bit_string(sign(key, info))))


def changed(place: int, change: Callable[[Tree], None], key: PrivateKey | None = None) -> bytes:
    """The honest request with one element of its CertificationRequestInfo changed, and signed again."""
    info = Tree.read(make_request_der(key=key)).part(0)
    change(info.all()[place])
    return signed(info.write(), key)


INFO = Tree.read(HONEST).part(0).write()
RSA_INFO = Tree.read(make_request_der(key=rsa_key())).part(0).write()


def content_size(tree: Tree) -> int:
    """Bytes of an element without tag and length."""
    return len(tree.content if tree.parts is None else b"".join(part.write() for part in tree.parts))


def longer_length(tree: Tree) -> None:
    """One octet more than the length needs."""
    size = content_size(tree)
    octets = size.to_bytes((size.bit_length() + 7) // 8 or 1, "big")
    octets = octets if size < 0x80 else b"\x00" + octets
    tree.length = bytes([0x80 | len(octets)]) + octets


def indefinite_length(tree: Tree) -> None:
    """As BER writes what it cannot count."""
    tree.length, tree.tail = b"\x80", b"\x00\x00"


def long_tag(tree: Tree) -> None:
    """The tag's number in an octet of its own, where it fits into the first."""
    tree.tag = bytes([tree.tag[0] | 0x1F, tree.tag[0] & 0x1F])


def other_form(tree: Tree) -> None:
    """Constructed in place of primitive, and the other way round."""
    tree.tag = bytes([tree.tag[0] ^ 0x20])


def other_class(tree: Tree) -> None:
    """The same number in another class."""
    tree.tag = bytes([tree.tag[0] ^ 0x40])


def something_after(tree: Tree) -> None:
    """Another element after it, where one more is."""
    tree.tail = der.NULL


def something_inside(tree: Tree) -> None:
    """Another element at its end."""
    tree.content, tree.parts = b"".join([tree.content, *(part.write() for part in tree.parts or ()), der.NULL]), None


def shorter_length(tree: Tree) -> None:
    """A length that ends before the content does."""
    tree.length = shortest(max(content_size(tree) - 1, 0) or 5)


def larger_length(tree: Tree) -> None:
    """A length that ends after the content does."""
    tree.length = shortest(content_size(tree) + 1)


STRUCTURE = [
    longer_length,
    indefinite_length,
    long_tag,
    other_form,
    other_class,
    something_after,
    something_inside,
    shorter_length,
    larger_length,
]


@pytest.mark.parametrize("change", STRUCTURE, ids=lambda change: change.__name__)
@pytest.mark.parametrize("key", [ec_key(), rsa_key()], ids=["P-256", "RSA-2048"])
def test_no_level_forgives(change: Callable[[Tree], None], key: PrivateKey) -> None:
    """An encoding with one element that is not DER, or not where it belongs, is refused, wherever that stands."""
    elements = Tree.read(RSA_INFO if key == rsa_key() else INFO).all()
    for place, element in enumerate(elements):
        if change is not something_inside or element.parts:  # else another content, and not another structure
            assert violations_of(changed(place, change, key)), place


def test_the_trees_are_those_of_the_request() -> None:
    """Written without a change, the tree is the request: what is refused above is refused for the change."""
    assert Tree.read(HONEST).write() == HONEST
    assert violations_of(signed(INFO)) == []
    assert len(Tree.read(INFO).all()) == 59


@pytest.mark.parametrize("change", STRUCTURE, ids=lambda change: change.__name__)
def test_parts_outside_the_signature_are_strict_too(change: Callable[[Tree], None]) -> None:
    """The request, the algorithm and the signature's bits must be exact, although no signature covers them."""
    for place in (0, *range(len(Tree.read(INFO).all()) + 1, len(Tree.read(HONEST).all()))):
        tree = Tree.read(HONEST)
        change(tree.all()[place])
        assert violations_of(pem(tree.write())), place


def _bits(content: bytes, unused: int = 0) -> bytes:
    return der.element(0x03, bytes([unused]), content)


def with_signature(signature: Callable[[bytes], bytes], *, info: bytes = INFO) -> bytes:
    """The honest request with an encoded BIT STRING for its signature."""
    algorithm = Tree.read(HONEST).part(1).write()
    return pem(der.sequence(info, algorithm, signature(sign(ec_key(), info))))


def _numbers(signature: bytes) -> tuple[int, int]:
    return utils.decode_dss_signature(signature)


def _integer(value: int) -> bytes:
    return der.element(0x02, value.to_bytes((value.bit_length() + 8) // 8, "big", signed=True))


def _ecdsa(*elements: bytes) -> bytes:
    return _bits(der.sequence(*elements))


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(lambda _: _bits(b""), id="empty"),
        pytest.param(lambda made: _bits(made[:-1]), id="cut"),
        pytest.param(lambda made: _bits(made + b"\x00"), id="followed by a byte"),
        pytest.param(lambda made: _ecdsa(*map(_integer, _numbers(made)), der.NULL), id="with a third element"),
        pytest.param(lambda made: _ecdsa(_integer(0), _integer(_numbers(made)[1])), id="r = 0"),
        pytest.param(lambda made: _ecdsa(_integer(_numbers(made)[0]), _integer(0)), id="s = 0"),
        pytest.param(lambda _: _ecdsa(_integer(0), _integer(0)), id="r = s = 0"),
        pytest.param(lambda _: _ecdsa(_integer(1), _integer(CURVE_ORDER)), id="s = n"),
        pytest.param(
            lambda made: _ecdsa(_integer(_numbers(made)[0] + CURVE_ORDER), _integer(_numbers(made)[1])), id="r + n"
        ),
        pytest.param(
            lambda made: _ecdsa(_integer(_numbers(made)[0]), _integer(_numbers(made)[1] + CURVE_ORDER)), id="s + n"
        ),
        pytest.param(lambda made: _ecdsa(*(_integer(-each) for each in _numbers(made))), id="negative"),
        pytest.param(
            lambda made: _ecdsa(*(_integer(each - CURVE_ORDER) for each in _numbers(made))), id="negative, and the same"
        ),
        pytest.param(
            lambda made: _ecdsa(*(der.element(0x02, b"\x00" + each.to_bytes(33, "big")) for each in _numbers(made))),
            id="with zeros before",
        ),
        pytest.param(
            lambda made: _ecdsa(*(der.element(0x02, each.to_bytes(32, "big")) for each in _numbers(made)), der.NULL),
            id="without the sign's zero",
        ),
        pytest.param(lambda made: _bits(bytes([0x30, 0x81, made[1]]) + made[2:]), id="with a long length"),
        pytest.param(lambda made: _bits(b"\x30\x80" + made[2:] + b"\x00\x00"), id="with an indefinite length"),
        pytest.param(lambda made: _bits(b"\x31" + made[1:]), id="a SET"),
        pytest.param(lambda made: _ecdsa(*(_integer(each) for each in reversed(_numbers(made)))), id="s and r"),
        pytest.param(
            lambda made: _bits(b"".join(each.to_bytes(32, "big") for each in _numbers(made))), id="as IEEE P1363 has it"
        ),
        pytest.param(lambda made: _bits(der.bit_string(made)), id="a bit string of a bit string"),
    ],
)
def test_a_malformed_ecdsa_signature_proves_nothing(signature: Callable[[bytes], bytes]) -> None:
    """Wrong encodings of a right ECDSA signature, and numbers out of range, are no proof of possession."""
    assert [violation.code for violation in violations_of(with_signature(signature))] == ["request.signature"]


def test_unused_bits_of_a_signature_are_refused() -> None:
    """Go would shift them out and pyca would overlook them: a signature is whole bytes, whatever its last bit is."""
    for number in range(40):
        info = Tree.read(make_request_der(common_name=f"n{number}")).part(0).write()
        made = sign(ec_key(), info)
        if made[-1] % 2 == 0:
            break
    else:
        raise AssertionError("no signature ends in a zero bit")
    assert violations_of(with_signature(_bits, info=info)) == []
    (violation,) = violations_of(with_signature(lambda made: _bits(made, 1), info=info))
    assert violation.code == "request.signature"


def test_the_other_signature_of_two_changes_nothing() -> None:
    """With (r, s) also (r, n - s) verifies, and anyone can make it: what it signs is the same to the byte."""

    def other(made: bytes) -> bytes:
        r, s = _numbers(made)
        return _bits(utils.encode_dss_signature(r, CURVE_ORDER - s))

    assert with_signature(other) != make_request()
    assert read(with_signature(other)) == read(make_request())


def _rsa_private(data: bytes) -> int:
    return int.from_bytes(sign(rsa_key(), data), "big")


def _encrypted(padded: bytes) -> bytes:
    numbers: RSAPrivateNumbers = rsa_key().private_numbers()
    return pow(int.from_bytes(padded, "big"), numbers.d, numbers.public_numbers.n).to_bytes(256, "big")


_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")
"""DigestInfo of SHA-256, but for the digest (RFC 8017 §9.2)."""


def _padded(information: bytes, filling: int, after: bytes = b"") -> bytes:
    return b"\x00\x01" + b"\xff" * filling + b"\x00" + information + after


def _digest(data: bytes) -> bytes:
    recovered = pow(_rsa_private(data), 65537, rsa_key().public_key().public_numbers().n).to_bytes(256, "big")
    return recovered[-32:]


MODULUS = rsa_key().public_key().public_numbers().n


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: bytes(256), id="zero"),
        pytest.param(lambda _: bytes(255) + b"\x01", id="one"),
        pytest.param(lambda _: (MODULUS - 1).to_bytes(256, "big"), id="minus one"),
        pytest.param(lambda data: b"\x00" + sign(rsa_key(), data), id="a zero before"),
        pytest.param(lambda data: sign(rsa_key(), data) + b"\x00", id="a zero after"),
        pytest.param(lambda data: sign(rsa_key(), data)[:-1], id="cut"),
        pytest.param(lambda data: (_rsa_private(data) + MODULUS).to_bytes(257, "big"), id="the modulus added"),
        pytest.param(lambda data: (MODULUS - _rsa_private(data)).to_bytes(256, "big"), id="its negative"),
        pytest.param(
            lambda data: _encrypted(_padded(_SHA256 + _digest(data), 8, bytes(256 - 11 - 51))),
            id="short padding, and data after the digest",
        ),
        pytest.param(
            lambda data: _encrypted(
                _padded(bytes.fromhex("302f300b0609608648016503040201") + b"\x04\x20" + _digest(data), 204)
            ),
            id="a DigestInfo without NULL",
        ),
        pytest.param(lambda data: _encrypted(_padded(_digest(data), 221)), id="a digest without DigestInfo"),
        pytest.param(
            lambda data: _encrypted(b"\x00\x02" + _padded(_SHA256 + _digest(data), 202)[2:]),
            id="padded as for encryption",
        ),
    ],
)
def test_a_forged_or_malformed_rsa_signature_proves_nothing(signature: Callable[[bytes], bytes]) -> None:
    """Forgeries and wrong encodings of RSA PKCS#1 v1.5, some by the key's holder, are no proof of possession."""
    request = make_request(key=rsa_key(), signature=signature)
    assert [violation.code for violation in violations_of(request)] == ["request.signature"]


def test_the_rsa_signatures_above_are_wrong_for_one_thing() -> None:
    """Padded by hand as it should be, the signature is the honest one."""
    padded = make_request(key=rsa_key(), signature=lambda data: _encrypted(_padded(_SHA256 + _digest(data), 202)))
    assert padded == make_request(key=rsa_key())


@pytest.mark.parametrize(
    ("key", "algorithm", "got"),
    [
        (ec_key(), der.sequence(der.object_identifier(RSA_WITH_SHA256), der.NULL), f"{RSA_WITH_SHA256} with NULL"),
        (rsa_key(), der.sequence(der.object_identifier(ECDSA_WITH_SHA256)), f"{ECDSA_WITH_SHA256} without NULL"),
        (ec_key(), der.sequence(der.object_identifier(ECDSA_WITH_SHA256), der.NULL), f"{ECDSA_WITH_SHA256} with NULL"),
        (rsa_key(), der.sequence(der.object_identifier(RSA_WITH_SHA256)), f"{RSA_WITH_SHA256} without NULL"),
        (
            rsa_key(),
            der.sequence(der.object_identifier("1.2.840.113549.1.1.10"), der.sequence()),
            "parameters other than NULL",
        ),
        (
            ec_key(),
            der.sequence(der.object_identifier(ECDSA_WITH_SHA256), der.NULL, der.NULL),
            "parameters other than NULL",
        ),
        (ec_key(), der.NULL, "parameters other than NULL"),
        (ec_key(), der.sequence(der.object_identifier("1.2.840.10045.4.3.1")), "1.2.840.10045.4.3.1 without NULL"),
        (
            rsa_key(),
            der.sequence(der.object_identifier("1.2.840.113549.1.1.14"), der.NULL),
            "1.2.840.113549.1.1.14 with NULL",
        ),
        (
            rsa_key(),
            der.sequence(der.object_identifier("1.2.840.113549.1.1.1"), der.NULL),
            "1.2.840.113549.1.1.1 with NULL",
        ),
    ],
)
def test_no_signature_algorithm_is(key: PrivateKey, algorithm: bytes, got: str) -> None:
    """One of another key, another hash, or with other parameters; the message says what would be right."""
    info = RSA_INFO if key == rsa_key() else INFO
    (violation,) = violations_of(pem(der.sequence(info, algorithm, der.bit_string(sign(key, info)))))
    assert violation.code == "request.signature_algorithm"
    kind, name = ("RSA PKCS#1 v1.5 (with NULL)", "RSA-2048") if key == rsa_key() else ("ECDSA (without NULL)", "P-256")
    assert violation.message == (
        f'spec.request.signatureAlgorithm: Invalid value: "{got}": must be {kind} with SHA-256, SHA-384 or SHA-512,'
        f" because the key is {name}"
    )


@pytest.mark.parametrize(
    ("version", "got"),
    [
        (der.integer(1), '"0x1'),
        (der.integer(2), '"0x2'),
        (bytes.fromhex("0201ff"), '"-0x1'),
        (der.integer(1 << 6000), '"0x1000'),
    ],
)
def test_a_version_other_than_0_is_refused(version: bytes, got: str) -> None:
    """RFC 2986 knows no other; however large it is, the message is short."""
    info = Tree.read(INFO)
    assert info.parts
    info.parts[0] = Tree.read(version)
    (violation,) = violations_of(signed(info.write()))
    assert violation.code == "request.der"
    assert violation.message.startswith(f"spec.request.version: Invalid value: {got}")
    assert len(violation.message) < 200


def rdns(*encoded: bytes) -> bytes:
    """A request whose subject is these RDNs."""
    return make_request(subject=(), common_name=None, rdns=encoded)


def common_name(value: bytes) -> bytes:
    """A request whose common name has that encoding."""
    return rdns(name_attribute(COMMON_NAME, value))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        *(
            pytest.param(
                common_name(der.element(tag, value)),
                f"[2.5.4.3]: Invalid value: must be a UTF8String or a PrintableString, not tag {tag:02x}",
                id=name,
            )
            for name, tag, value in (
                ("BMPString", 0x1E, "typha-client".encode("utf-16-be")),
                ("TeletexString", 0x14, b"typha-client"),
                ("UniversalString", 0x1C, "typha-client".encode("utf-32-be")),
                ("GeneralString", 0x1B, b"typha-client"),
                ("VisibleString", 0x1A, b"typha-client"),
                ("NumericString", 0x12, b"1234"),
                ("IA5String", 0x16, b"typha-client"),
                ("GraphicString", 0x19, b"typha-client"),
                ("OCTET STRING", 0x04, b"typha-client"),
                ("BIT STRING", 0x03, b"\x00typha-client"),
                ("INTEGER", 0x02, b"\x01"),
                ("OBJECT IDENTIFIER", 0x06, b"\x2a\x03"),
                ("UTCTime", 0x17, b"260314092653Z"),
                ("NULL", 0x05, b""),
                ("a constructed UTF8String", 0x2C, der.element(0x0C, b"typha-client")),
                ("a constructed PrintableString", 0x33, der.element(0x13, b"typha-client")),
                ("SEQUENCE", 0x30, der.element(0x0C, b"typha-client")),
                ("an implicit tag", 0x8C, b"typha-client"),
            )
        ),
        *(
            pytest.param(
                common_name(der.element(0x13, value)),
                "[2.5.4.3]: Invalid value: PrintableString InvalidValue",
                id=name,
            )
            for name, value in (
                ("a PrintableString with @", b"a@b"),
                ("a PrintableString with an asterisk", b"*"),
                ("a PrintableString with an ampersand", b"a&b"),
                ("a PrintableString with an underscore", b"a_b"),
                ("a PrintableString with NUL", b"a\x00b"),
                ("a PrintableString of Latin-1", b"\xe9"),
                ("a PrintableString of UTF-8", "\N{CYRILLIC SMALL LETTER A}".encode()),
            )
        ),
        *(
            pytest.param(
                common_name(der.element(0x0C, value)),
                "[2.5.4.3]: Invalid value: str InvalidValue",
                id=name,
            )
            for name, value in (
                ("UTF-8 that is Latin-1", b"\xe9"),
                ("UTF-8 that is cut", b"\xe2\x82"),
                ("UTF-8 that is too long", b"\xc0\xaf"),
                ("a surrogate", b"\xed\xa0\x80"),
                ("beyond Unicode", b"\xf4\x90\x80\x80"),
            )
        ),
        pytest.param(
            common_name(der.text("")),
            "[2.5.4.3]: Invalid value: must have 1 to 64 bytes, not 0",
            id="an empty name",
        ),
        pytest.param(
            common_name(der.text("n" * 65)),
            "[2.5.4.3]: Invalid value: must have 1 to 64 bytes, not 65",
            id="65 bytes",
        ),
        pytest.param(
            common_name(der.text("\N{SNOWMAN}" * 22)),
            "[2.5.4.3]: Invalid value: must have 1 to 64 bytes, not 66",
            id="22 characters of 66 bytes",
        ),
        pytest.param(
            rdns(name_attribute("2.5.4.6", der.text("USA"))),
            "[2.5.4.6]: Invalid value: must have 2 to 2 bytes, not 3",
            id="USA",
        ),
        pytest.param(
            rdns(name_attribute("2.5.4.6", der.text("U"))),
            "[2.5.4.6]: Invalid value: must have 2 to 2 bytes, not 1",
            id="U",
        ),
        pytest.param(
            rdns(name_attribute("1.3.6.1.4.1.311.60.2.1.3", der.text("USA"))),
            "[1.3.6.1.4.1.311.60.2.1.3]: Invalid value: must have 2 to 2 bytes, not 3",
            id="a jurisdiction of three letters",
        ),
        pytest.param(
            rdns(der.set_of()),
            ": Invalid value: must have one attribute in each RDN, not 0",
            id="an empty RDN",
        ),
        pytest.param(
            rdns(
                der.set_of(
                    der.sequence(der.object_identifier(COMMON_NAME), der.text("a")),
                    der.sequence(der.object_identifier(COMMON_NAME), der.text("b")),
                )
            ),
            ": Invalid value: must have one attribute in each RDN, not 2",
            id="an RDN of two common names",
        ),
        pytest.param(
            rdns(
                der.element(
                    0x31,
                    der.sequence(der.object_identifier(COMMON_NAME), der.text("b")),
                    der.sequence(der.object_identifier(COMMON_NAME), der.text("a")),
                )
            ),
            ": Invalid value: must be a Name: Name InvalidSetOrdering",
            id="an RDN that is not sorted",
        ),
        pytest.param(
            rdns(der.sequence(der.sequence(der.object_identifier(COMMON_NAME), der.text("a")))),
            ": Invalid value: must be a Name: Name UnexpectedTag",
            id="an RDN that is no SET",
        ),
        pytest.param(
            rdns(der.set_of(der.sequence(der.object_identifier(COMMON_NAME)))),
            ": Invalid value: must be a Name: Name ShortData",
            id="an attribute without a value",
        ),
        pytest.param(
            rdns(*[name_attribute("2.5.4.10", der.text("Tigera"))] * (MOST_ELEMENTS + 1)),
            ": Too many: 101: must have at most 100 items",
            id="too many RDNs",
        ),
    ],
)
def test_no_subject_is(request_: bytes, message: str) -> None:
    """Strings that readers decode differently, lengths that RFC 5280 does not allow, and RDNs of any other shape."""
    (violation,) = violations_of(request_)
    assert violation.code == "subject.structure"
    assert violation.message.startswith(f"spec.request.subject{message}")


@pytest.mark.parametrize(
    "value",
    [
        der.element(0x13, b"a"),
        der.element(0x0C, b"a"),
        der.element(0x13, b"n" * 64),
        der.element(0x0C, "\N{SNOWMAN}".encode()),
        der.element(0x0C, b"a@b_*&"),
        der.element(0x13, b"A z'()+,-./:=?9"),
    ],
)
def test_a_subject_is(value: bytes) -> None:
    """UTF8String and PrintableString of 1 to 64 bytes, read to the character."""
    assert read(common_name(value)).subject == ((COMMON_NAME, value[2:].decode()),)
    assert violations_of(common_name(value)) == []


def test_an_attribute_without_a_bound_may_be_empty_or_long() -> None:
    """Only common name and country have one; whether the rest is allowed is the policy's to say."""
    for text in ("", "n" * 500):
        request = rdns(name_attribute("2.5.4.10", der.text(text)))
        assert violations_of(request) == []
        assert read(request).subject == (("2.5.4.10", text),)


def test_so_many_rdns_are_read() -> None:
    """100, each of one attribute; whether they are allowed is the policy's to say."""
    assert MOST_ELEMENTS == 100
    request = rdns(*[name_attribute("2.5.4.10", der.text("Tigera"))] * MOST_ELEMENTS)
    assert violations_of(request) == []
    assert len(read(request).subject) == MOST_ELEMENTS


def test_of_too_many_rdns_the_first_are_read() -> None:
    """No more than 100, whether in a row or in one SET."""
    many = [der.sequence(der.object_identifier(COMMON_NAME), der.text(f"{number:03}")) for number in range(150)]
    expected = tuple((COMMON_NAME, f"{number:03}") for number in range(MOST_ELEMENTS))
    assert read(rdns(*[der.set_of(each) for each in many])).subject == expected
    one = read(rdns(der.set_of(*many)))
    assert one.subject == expected
    assert [violation.message for violation in one.violations] == [
        "spec.request.subject: Invalid value: must have one attribute in each RDN, not 150",
        "spec.request.subject.rdn: Too many: 150: must have at most 100 items",
    ]


def attributes(*encoded: bytes) -> bytes:
    """A request with these attributes, in this order."""
    return make_request(attributes=b"".join(encoded))


_OTHER = attribute(CHALLENGE_PASSWORD, der.text("secret"))


@pytest.mark.parametrize(
    ("request_", "messages"),
    [
        pytest.param(
            attributes(REQUESTED, REQUESTED),
            ["[extensionRequest]: Too many: 2: must have at most 1 item"],
            id="the same twice",
        ),
        pytest.param(
            attributes(*sorted([REQUESTED, attribute(EXTENSION_REQUEST, HIDDEN)])),
            ["[extensionRequest]: Too many: 2: must have at most 1 item"],
            id="a CA hidden in a second attribute",
        ),
        pytest.param(
            attributes(*sorted([REQUESTED, attribute(EXTENSION_REQUEST, HIDDEN)], reverse=True)),
            ["[extensionRequest]: Too many: 2: must have at most 1 item"],
            id="the same, not sorted",
        ),
        pytest.param(
            attributes(attribute(EXTENSION_REQUEST, der.sequence(SAN), HIDDEN)),
            ["[extensionRequest]: Invalid value: must have one value, not 2"],
            id="a CA hidden in a second value",
        ),
        pytest.param(
            attributes(der.sequence(der.object_identifier(EXTENSION_REQUEST), der.element(0x31, HIDDEN, der.NULL))),
            ["[0]: Invalid value: must be well-formed: Attribute InvalidSetOrdering"],
            id="values that are not sorted",
        ),
        pytest.param(
            attributes(attribute(EXTENSION_REQUEST)),
            ["[extensionRequest]: Invalid value: must have one value, not 0"],
            id="no value",
        ),
        pytest.param(
            attributes(REQUESTED, _OTHER),
            [f': Unsupported value: "{CHALLENGE_PASSWORD}": supported values: "extensionRequest"'],
            id="a password",
        ),
        pytest.param(
            attributes(attribute("1.3.6.1.4.1.311.2.1.14", HIDDEN), REQUESTED),
            [': Unsupported value: "1.3.6.1.4.1.311.2.1.14": supported values: "extensionRequest"'],
            id="Microsoft's extensionRequest",
        ),
        pytest.param(
            attributes(REQUESTED, attribute("1.2.3")),
            [': Unsupported value: "1.2.3": supported values: "extensionRequest"'],
            id="an unknown one",
        ),
        pytest.param(
            attributes(REQUESTED, der.NULL),
            ["[1]: Invalid value: must be well-formed: Attribute UnexpectedTag"],
            id="NULL",
        ),
        pytest.param(
            attributes(der.sequence(der.object_identifier(EXTENSION_REQUEST)), REQUESTED),
            ["[0]: Invalid value: must be well-formed: Attribute ShortData"],
            id="an attribute without values",
        ),
        pytest.param(
            attributes(der.sequence(der.object_identifier(EXTENSION_REQUEST), der.sequence(HIDDEN)), REQUESTED),
            ["[0]: Invalid value: must be well-formed: Attribute UnexpectedTag"],
            id="an attribute whose values are no SET",
        ),
        pytest.param(
            attributes(der.sequence(der.object_identifier(EXTENSION_REQUEST), der.set_of(HIDDEN), der.NULL), REQUESTED),
            ["[0]: Invalid value: must be well-formed: Attribute ExtraData"],
            id="an attribute with a third element",
        ),
        pytest.param(
            attributes(attribute("2." + "9" * 30, der.NULL), REQUESTED),
            [f': Unsupported value: "2.{"9" * 30}": supported values: "extensionRequest"'],
            id="an identifier with a huge arc",
        ),
        pytest.param(
            attributes(attribute("2." + "9" * 60, der.NULL), REQUESTED),
            ["[0]: Invalid value: must be well-formed: Attribute InvalidValue"],
            id="an identifier with an arc that nobody can count",
        ),
    ],
)
def test_no_attribute_is(request_: bytes, messages: list[str]) -> None:
    """Only one attribute may stand there, an extensionRequest of one value; what hides beside it is named."""
    violations = violations_of(request_)
    assert [violation.code for violation in violations] == ["request.attribute"] * len(messages)
    assert [violation.message for violation in violations] == [f"spec.request.attributes{each}" for each in messages]


def test_of_two_extension_requests_the_first_is_judged() -> None:
    """Whichever that is: the request is refused for the second."""
    other = attribute(EXTENSION_REQUEST, der.sequence(alternative_names(dns_name(b"other"))))
    assert read(attributes(REQUESTED, other)).extensions.dns_names == ("typha-client",)
    assert read(attributes(other, REQUESTED)).extensions.dns_names == ("other",)


def test_of_too_many_attributes_the_first_are_judged() -> None:
    """No more than 100: work and messages are bounded."""
    violations = violations_of(attributes(*[der.NULL] * 150))
    assert violations[0].message == "spec.request.attributes: Too many: 150: must have at most 100 items"
    assert violations[-1].message.startswith("spec.request.attributes[99]: Invalid value: ")
    assert len(violations) == 1 + MOST_ELEMENTS
    assert len(violations_of(attributes(*[der.NULL] * MOST_ELEMENTS))) == MOST_ELEMENTS


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (der.NULL, ": Invalid value: must be a list of extensions: Elements UnexpectedTag"),
        (
            der.set_of(SAN),
            ": Invalid value: must be a list of extensions: Elements UnexpectedTag",
        ),
        (
            der.sequence(b"\x30\x05"),
            ": Invalid value: must be a list of extensions: Elements ShortData",
        ),
        (
            der.sequence(SAN, der.NULL),
            "[1]: Invalid value: must be well-formed: Extension UnexpectedTag",
        ),
        (
            der.sequence(
                der.sequence(der.object_identifier("2.5.29.19"), b"\x01\x01\x00", der.octet_string(b"\x30\x00"))
            ),
            '[0]: Invalid value: must be well-formed: Extension "invalid DER: DEFAULT value was explicitly encoded"',
        ),
        (
            der.sequence(
                der.sequence(der.object_identifier("2.5.29.19"), b"\x01\x01\x01", der.octet_string(b"\x30\x00"))
            ),
            "[0]: Invalid value: must be well-formed: Extension InvalidValue",
        ),
        (
            der.sequence(
                der.sequence(der.object_identifier("2.5.29.19"), der.TRUE, der.TRUE, der.octet_string(b"\x30\x00"))
            ),
            "[0]: Invalid value: must be well-formed: Extension UnexpectedTag",
        ),
        (
            der.sequence(der.sequence(der.object_identifier("2.5.29.19"), der.octet_string(b"\x30\x00"), der.TRUE)),
            "[0]: Invalid value: must be well-formed: Extension ExtraData",
        ),
        (
            der.sequence(der.sequence(der.object_identifier("2.5.29.19"))),
            "[0]: Invalid value: must be well-formed: Extension ShortData",
        ),
        (
            der.sequence(
                der.sequence(der.object_identifier("2.5.29.19"), der.element(0x24, der.octet_string(b"\x30\x00")))
            ),
            "[0]: Invalid value: must be well-formed: Extension UnexpectedTag",
        ),
    ],
)
def test_no_list_of_extensions_is(value: bytes, message: str) -> None:
    """The message says which of the list it is."""
    (violation,) = violations_of(attributes(attribute(EXTENSION_REQUEST, value)))
    assert violation.code == "request.extension"
    assert violation.message == f"spec.request.extensions{message}"


def test_of_too_many_extensions_the_first_are_judged() -> None:
    """No more than 100."""
    violations = violations_of(make_request(extensions=[SAN, *[extension("1.2.3", b"")] * 149]))
    assert violations[0].message == "spec.request.extensions: Too many: 150: must have at most 100 items"
    assert len(violations) == MOST_ELEMENTS
    assert len(violations_of(make_request(extensions=[SAN, *[extension("1.2.3", b"")] * 99]))) == MOST_ELEMENTS - 1


def test_no_attribute_at_all_is_well_formed() -> None:
    """An empty list asks for nothing; without names the policy refuses it."""
    assert violations_of(attributes()) == []


@pytest.mark.parametrize(
    ("info", "what"),
    [
        (der.sequence(der.integer(0), der.sequence(), public_key_info(ec_key())), "CertificationRequestInfo ShortData"),
        (
            der.sequence(der.integer(0), der.sequence(), public_key_info(ec_key()), der.element(0xA1, REQUESTED)),
            "CertificationRequestInfo UnexpectedTag",
        ),
        (
            der.sequence(der.integer(0), der.sequence(), public_key_info(ec_key()), der.element(0x31, REQUESTED)),
            "CertificationRequestInfo UnexpectedTag",
        ),
        (
            der.sequence(
                der.integer(0), der.sequence(), public_key_info(ec_key()), der.explicit(0, REQUESTED), der.NULL
            ),
            "CertificationRequestInfo ExtraData",
        ),
        (
            der.sequence(der.sequence(), public_key_info(ec_key()), der.explicit(0, REQUESTED)),
            "CertificationRequestInfo UnexpectedTag",
        ),
        (
            der.sequence(b"\x02\x00", der.sequence(), public_key_info(ec_key()), der.explicit(0, REQUESTED)),
            "CertificationRequestInfo InvalidValue",
        ),
        (
            der.sequence(b"\x02\x02\x00\x00", der.sequence(), public_key_info(ec_key()), der.explicit(0, REQUESTED)),
            "CertificationRequestInfo InvalidValue",
        ),
        (der.NULL, "CertificationRequestInfo UnexpectedTag"),
    ],
)
def test_no_information_is(info: bytes, what: str) -> None:
    """What is no CertificationRequestInfo is one violation, which says what it is not."""
    (violation,) = violations_of(signed(info))
    assert violation.code == "request.der"
    assert violation.message == f"spec.request: Invalid value: must be exactly one DER CertificationRequest: {what}"


@pytest.mark.parametrize(
    ("encoded", "what"),
    [
        (b"\x30", "ShortData"),
        (b"\x30\x00", "ShortData"),
        (der.NULL, "UnexpectedTag"),
        (HONEST + b"\x00", "ExtraData"),
        (HONEST[:-1], "ShortData"),
        (der.sequence(HONEST[4:], der.NULL), "ExtraData"),
        (der.sequence(HONEST), "ShortData"),
        (b"\x30\x80" + HONEST[4:] + b"\x00\x00", "InvalidLength"),
        (b"\x30\x88" + b"\xff" * 8, "InvalidLength"),
        (b"\x1f\x80" * 20, "InvalidTag"),
    ],
)
def test_no_request_is(encoded: bytes, what: str) -> None:
    """What is no CertificationRequest likewise."""
    answer = parse(pem(encoded))
    assert isinstance(answer, Violation)
    assert answer.code == "request.der"
    assert (
        answer.message
        == f"spec.request: Invalid value: must be exactly one DER CertificationRequest: CertificationRequest {what}"
    )


@pytest.mark.parametrize(
    "modulus_and_more",
    [
        pytest.param(der.sequence(_integer(MODULUS), der.integer(65537), der.NULL), id="a third element"),
        pytest.param(der.sequence(_integer(MODULUS), der.integer(65537)) + b"\x00", id="data after it"),
        pytest.param(
            der.sequence(_integer(MODULUS), bytes.fromhex("020400010001")), id="an exponent with a zero before"
        ),
        pytest.param(
            der.sequence(der.element(0x02, b"\x00\x00" + MODULUS.to_bytes(256, "big")), der.integer(65537)),
            id="a modulus with a zero before",
        ),
        pytest.param(der.sequence(der.element(0x02), der.integer(65537)), id="an empty modulus"),
        pytest.param(der.sequence(_integer(MODULUS)), id="no exponent"),
        pytest.param(der.element(0x31, _integer(MODULUS), der.integer(65537)), id="a SET"),
        pytest.param(der.octet_string(der.sequence(_integer(MODULUS), der.integer(65537))), id="an octet string"),
    ],
)
def test_no_rsa_key_is(modulus_and_more: bytes) -> None:
    """One key has one encoding, which is certified as it stands."""
    algorithm = der.sequence(der.object_identifier("1.2.840.113549.1.1.1"), der.NULL)
    info = der.sequence(algorithm, der.bit_string(modulus_and_more))
    (violation,) = violations_of(make_request(key=rsa_key(), public_key=info))
    assert violation.code == "public_key.type"
    assert "RSAPublicKey" in violation.message


def test_a_weak_key_is_looked_for_last() -> None:
    """The test for a prime modulus costs, so that a request that breaks another rule anyway does not get it."""
    story: dict[str, Any] = {
        "public_key": rsa_public_key_info(prime(2048)),
        "algorithm": RSA_WITH_SHA256,
        "parameters": der.NULL,
        "signature": sign_with_factors(prime(2048)),
    }
    assert codes(judge(request=story)) == {"public_key.weak"}
    assert codes(judge(request={**story, "other_extensions": [extension("1.2.3", b"")]})) == {"request.extension"}


@pytest.mark.parametrize("bits", [2048, 3072, 4096, 8192])
def test_rsa_keys_of_every_size_prove_possession(bits: int) -> None:
    """Signed with the factors of the modulus, the request of each size breaks no rule."""
    request = make_request(
        public_key=rsa_public_key_info(large_modulus(bits)),
        algorithm=RSA_WITH_SHA256,
        parameters=der.NULL,
        signature=sign_with_factors(*large_factors(bits)),
    )
    assert violations_of(request) == []
