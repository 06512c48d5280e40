"""Requested extensions: what they ask for is read to the bit; what cannot be read is refused, and asks for nothing."""

from ipaddress import ip_address

import pytest
from cryptography.x509 import ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from csr_signer.der import Extension
from csr_signer.request.extensions import EXTENDED_KEY_USAGES, KEY_USAGE_BITS, MOST_NAMES, RequestedExtensions, read
from csr_signer.violation import LONGEST_QUOTE
from sandbox.calico import der
from tests.unit.function.builders import (
    BASIC_CONSTRAINTS,
    CLIENT_AUTH,
    EXTENDED_KEY_USAGE,
    KEY_USAGE,
    SERVER_AUTH,
    SUBJECT_ALTERNATIVE_NAME,
    dns_name,
)

SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
NOTHING = RequestedExtensions()


def made(number: str, value: bytes, *, critical: bool = False) -> Extension:
    """One extension."""
    return Extension(extn_id=ObjectIdentifier(number), critical=critical, extn_value=value)


def names(*encoded: bytes) -> Extension:
    """A subjectAltName of encoded names."""
    return made(SUBJECT_ALTERNATIVE_NAME, der.sequence(*encoded))


def accepted(*extensions: Extension) -> RequestedExtensions:
    """What extensions ask for that break no rule."""
    requested, violations = read(extensions)
    assert violations == ()
    return requested


def test_no_extension_asks_for_nothing() -> None:
    """Every field is empty."""
    assert accepted() == NOTHING
    assert (NOTHING.dns_names, NOTHING.ip_addresses, NOTHING.ca) == ((), (), False)
    assert (NOTHING.key_usages, NOTHING.extended_key_usages) == ((), ())


@pytest.mark.parametrize("critical", [False, True])
def test_each_extension_is_read(critical: bool) -> None:  # noqa: FBT001 - a column
    """All five at once, in any order, critical or not."""
    requested = accepted(
        made(SUBJECT_KEY_IDENTIFIER, der.octet_string(bytes(20)), critical=critical),
        made(EXTENDED_KEY_USAGE, der.sequence(der.object_identifier(SERVER_AUTH)), critical=critical),
        made(KEY_USAGE, der.named_bits(0), critical=critical),
        made(BASIC_CONSTRAINTS, der.sequence(der.TRUE), critical=critical),
        made(SUBJECT_ALTERNATIVE_NAME, der.sequence(dns_name(b"a"), der.implicit(7, bytes(4))), critical=critical),
    )
    assert requested == RequestedExtensions(
        dns_names=("a",),
        ip_addresses=(ip_address("0.0.0.0"),),  # noqa: S104 - an address that is read
        ca=True,
        key_usages=("digital signature",),
        extended_key_usages=("server auth",),
    )


def test_names_keep_their_order_and_their_repetitions() -> None:
    """Names as they stand, so that a repeated one is seen."""
    requested = accepted(names(dns_name(b"b"), der.implicit(7, bytes(15) + b"\x01"), dns_name(b"a"), dns_name(b"b")))
    assert requested.dns_names == ("b", "a", "b")
    assert requested.ip_addresses == (ip_address("::1"),)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        pytest.param(dns_name(b""), r'82]: Invalid value: "', id="an empty DNS name"),
        pytest.param(dns_name(b"a\x00b"), r'82]: Invalid value: "a\x00b', id="NUL"),
        pytest.param(dns_name(b"a\n"), r'82]: Invalid value: "a\n', id="a control character"),
        pytest.param(dns_name(b"\x7f"), r'82]: Invalid value: "\x7f', id="DEL"),
        pytest.param(dns_name(b"\xc3\xa9"), r'82]: Invalid value: "\xc3\xa9', id="UTF-8"),
        pytest.param(dns_name(b"\x80"), r'82]: Invalid value: "\x80', id="a byte above ASCII"),
        pytest.param(dns_name(b"n" * 64), r'82]: Invalid value: "nnn', id="a label of 64 characters"),
        pytest.param(dns_name(b"a." + b"n" * 64 + b".a"), r'82]: Invalid value: "a.n', id="such a label among others"),
        pytest.param(dns_name(b"n." * 127), r'82]: Invalid value: "n.n.', id="a name of 254 characters"),
        *(
            pytest.param(
                der.implicit(7, bytes(size)),
                ('87]: Invalid value: "' + r"\x00" * size)[:130],
                id=f"an address of {size} bytes",
            )
            for size in (0, 1, 3, 5, 8, 15, 17, 32)
        ),
        pytest.param(der.implicit(0, b"a"), "80]: ", id="otherName"),
        pytest.param(der.implicit(1, b"a"), "81]: ", id="rfc822Name"),
        pytest.param(der.implicit(3, b"a"), "83]: ", id="x400Address"),
        pytest.param(der.element(0xA4, der.sequence()), "a4]: ", id="directoryName"),
        pytest.param(der.implicit(5, b"a"), "85]: ", id="ediPartyName"),
        pytest.param(der.implicit(6, b"a"), "86]: ", id="URI"),
        pytest.param(der.implicit(8, b"a"), "88]: ", id="registeredID"),
        pytest.param(der.implicit(9, b"a"), "89]: ", id="a kind that is none"),
        pytest.param(der.implicit(6, b"abcd"), "86]: ", id="a URI of four bytes"),
        pytest.param(der.implicit(8, bytes(16)), "88]: ", id="a registeredID of sixteen bytes"),
        pytest.param(der.element(0xA2, der.ia5_text("a")), "a2]: ", id="a constructed DNS name"),
        pytest.param(der.element(0xA7, der.octet_string(bytes(4))), "a7]: ", id="a constructed address"),
        pytest.param(der.element(0x42, b"a"), "42]: ", id="a DNS name of another class"),
        pytest.param(der.element(0x02, b"\x01"), "02]: ", id="an INTEGER, whose number is the DNS name's"),
        pytest.param(der.element(0x16, b"a"), "16]: ", id="an IA5String without its tag"),
        pytest.param(b"\x9f\x1f\x01a", "9f1f]: ", id="a tag of two bytes"),
    ],
)
def test_no_name_is(name: bytes, shown: str) -> None:
    """What is neither printable ASCII nor an address is shown with its tag; the names beside it are still judged."""
    requested, violations = read([names(dns_name(b"a"), name, dns_name(b"b"))])
    assert requested == RequestedExtensions(dns_names=("a", "b"))
    (violation,) = violations
    assert violation.code == "san.type"
    assert f"spec.request.subjectAltName[{shown}" in violation.message


def test_a_name_is_shown_bounded() -> None:
    """However long it is."""
    _, (violation,) = read([names(der.implicit(6, b"\xff" * 5000))])
    assert len(violation.message) < LONGEST_QUOTE + 200


@pytest.mark.parametrize("name", [b"n" * 63, b"a." + b"n" * 63 + b".a", b"n." * 126 + b"n", b"*", b"a b", b"."])
def test_a_name_is(name: bytes) -> None:
    """Printable ASCII of at most 253 characters, 63 per label; whether it is the requester's is the policy's to say."""
    assert accepted(names(dns_name(name))).dns_names == (name.decode(),)


def test_the_limit_is_a_hundred() -> None:
    """Calico asks for five names, and nobody for a hundred."""
    assert MOST_NAMES == 100


@pytest.mark.parametrize(("count", "problem"), [(0, "Required value"), (MOST_NAMES + 1, "Too many: 101")])
def test_so_many_names_are_refused(count: int, problem: str) -> None:
    """None, and more than 100: of those a hundred are judged."""
    requested, (violation,) = read([names(*[dns_name(b"%d" % number) for number in range(count)])])
    assert violation.code == "san.type"
    assert violation.message.startswith(f"spec.request.subjectAltName: {problem}: must have at ")
    assert requested.dns_names == tuple(map(str, range(min(count, MOST_NAMES))))


@pytest.mark.parametrize("count", [1, MOST_NAMES])
def test_so_many_names_are_read(count: int) -> None:
    """1 to 100."""
    assert len(accepted(names(*[dns_name(b"a")] * count)).dns_names) == count


@pytest.mark.parametrize("bit", range(len(KEY_USAGE_BITS)), ids=KEY_USAGE_BITS)
def test_each_bit_of_key_usage_has_its_name(bit: int) -> None:
    """Every bit is reported as Kubernetes spells it."""
    assert accepted(made(KEY_USAGE, der.named_bits(bit))).key_usages == (KEY_USAGE_BITS[bit],)


def test_all_bits_of_key_usage() -> None:
    """In their order."""
    assert accepted(made(KEY_USAGE, der.named_bits(*range(9)))).key_usages == KEY_USAGE_BITS


@pytest.mark.parametrize(
    ("encoded", "usages"),
    [
        ("030100", ()),
        ("03020780", ("digital signature",)),
        ("030200a0", ("digital signature", "key encipherment")),
        ("030307a000", ("digital signature", "key encipherment")),
        ("03030700" + "80", ("decipher only",)),
    ],
)
def test_zero_bits_at_the_end_say_nothing(encoded: str, usages: tuple[str, ...]) -> None:
    """GnuTLS writes all nine bits; a bit that is not set is no usage, written or not."""
    assert accepted(made(KEY_USAGE, bytes.fromhex(encoded))).key_usages == usages


@pytest.mark.parametrize("number", [*EXTENDED_KEY_USAGES, "1.2.840.113549.1.9.16.3.4"])
def test_key_purposes_are_named_or_numbered(number: str) -> None:
    """Known key purposes are spelled as Kubernetes spells them, others keep their number."""
    requested = accepted(made(EXTENDED_KEY_USAGE, der.sequence(der.object_identifier(number))))
    assert requested.extended_key_usages == (EXTENDED_KEY_USAGES.get(number, number),)


@pytest.mark.parametrize(
    ("content", "ca"),
    [
        pytest.param(b"", False, id="nothing"),
        pytest.param(der.TRUE, True, id="CA:TRUE"),
        pytest.param(der.integer(0), True, id="a path length without CA:TRUE"),
        pytest.param(der.TRUE + der.integer(3), True, id="CA:TRUE with a path length"),
    ],
)
def test_basic_constraints_ask_for_a_ca(content: bytes, ca: bool) -> None:  # noqa: FBT001 - a column
    """A path length is a CA's, whatever the boolean says."""
    assert accepted(made(BASIC_CONSTRAINTS, der.sequence(content))).ca is ca


@pytest.mark.parametrize(
    ("number", "value"),
    [
        *(
            pytest.param(number, value, id=f"{name} that is {what}")
            for number, name in (
                (SUBJECT_ALTERNATIVE_NAME, "a subjectAltName"),
                (BASIC_CONSTRAINTS, "a basicConstraints"),
                (KEY_USAGE, "a keyUsage"),
                (EXTENDED_KEY_USAGE, "an extendedKeyUsage"),
                (SUBJECT_KEY_IDENTIFIER, "a subjectKeyIdentifier"),
            )
            for what, value in (
                ("empty", b""),
                ("an INTEGER", der.integer(1)),
                ("NULL", der.NULL),
                ("a SET", der.element(0x31, der.NULL)),
                ("no DER", b"\x30\x80\x00\x00"),
                ("half", b"\x30\x05\x00"),
                ("a tag", b"\x30"),
            )
        ),
        pytest.param(SUBJECT_ALTERNATIVE_NAME, der.sequence(dns_name(b"a")) + b"\x00", id="names and more"),
        pytest.param(SUBJECT_ALTERNATIVE_NAME, der.sequence(b"\x82\x81\x01a"), id="a name with a long length"),
        pytest.param(SUBJECT_ALTERNATIVE_NAME, der.sequence(b"\x82\x02a"), id="half a name"),
        pytest.param(SUBJECT_ALTERNATIVE_NAME, b"\x30\x81\x03\x82\x01a", id="names with a long length"),
        pytest.param(BASIC_CONSTRAINTS, der.sequence(b"\x01\x01\x00"), id="CA:FALSE written out"),
        pytest.param(BASIC_CONSTRAINTS, der.sequence(b"\x01\x01\x01"), id="TRUE that is not FF"),
        pytest.param(BASIC_CONSTRAINTS, der.sequence(b"\x01\x02\xff\xff"), id="a boolean of two bytes"),
        pytest.param(BASIC_CONSTRAINTS, der.sequence(der.integer(0), der.TRUE), id="the other way round"),
        pytest.param(BASIC_CONSTRAINTS, der.sequence(der.TRUE, der.TRUE), id="CA:TRUE twice"),
        pytest.param(BASIC_CONSTRAINTS, der.sequence(der.TRUE, b"\x02\x02\x00\x00"), id="a path length that is padded"),
        pytest.param(BASIC_CONSTRAINTS, der.sequence(der.TRUE) + b"\x00", id="constraints and more"),
        pytest.param(KEY_USAGE, bytes.fromhex("03030680" + "40"), id="ten bits"),
        pytest.param(KEY_USAGE, bytes.fromhex("0304008000" + "00"), id="24 bits of which one is set"),
        pytest.param(KEY_USAGE, bytes.fromhex("03020781"), id="unused bits that are set"),
        pytest.param(KEY_USAGE, bytes.fromhex("03020880"), id="eight unused bits"),
        pytest.param(KEY_USAGE, bytes.fromhex("030101"), id="unused bits of nothing"),
        pytest.param(KEY_USAGE, bytes.fromhex("0300"), id="no bit string"),
        pytest.param(KEY_USAGE, der.named_bits(0) + b"\x00", id="usages and more"),
        pytest.param(KEY_USAGE, bytes.fromhex("230403020780"), id="a bit string of bit strings"),
        pytest.param(EXTENDED_KEY_USAGE, der.sequence(), id="no key purpose"),
        pytest.param(EXTENDED_KEY_USAGE, der.sequence(der.integer(1)), id="a key purpose that is none"),
        pytest.param(EXTENDED_KEY_USAGE, der.sequence(b"\x06\x01\x80"), id="half a key purpose"),
        pytest.param(EXTENDED_KEY_USAGE, der.sequence(b"\x06\x00"), id="an empty key purpose"),
        pytest.param(SUBJECT_KEY_IDENTIFIER, b"\x24\x02\x04\x00", id="an octet string of octet strings"),
        pytest.param(SUBJECT_KEY_IDENTIFIER, der.octet_string(bytes(20)) + b"\x00", id="an identifier and more"),
    ],
)
def test_malformed_is(number: str, value: bytes) -> None:
    """One violation names the extension; it asks for nothing, and the others are read."""
    other = EXTENDED_KEY_USAGE if number == SUBJECT_ALTERNATIVE_NAME else SUBJECT_ALTERNATIVE_NAME
    purpose = der.sequence(der.object_identifier(CLIENT_AUTH))
    beside = made(other, purpose if other == EXTENDED_KEY_USAGE else der.sequence(dns_name(b"a")))
    requested, (violation,) = read([made(number, value), beside])
    assert violation.code == "request.extension"
    assert violation.message.startswith(f"spec.request.extensions[{number}]: Invalid value: must be well-formed: ")
    assert requested == accepted(beside)


@pytest.mark.parametrize(
    ("number", "values"),
    [
        (SUBJECT_ALTERNATIVE_NAME, [der.sequence(dns_name(b"a")), der.sequence(dns_name(b"b"))]),
        (BASIC_CONSTRAINTS, [der.sequence(), der.sequence(der.TRUE)]),
        (KEY_USAGE, [der.named_bits(0), der.named_bits(5)]),
        (EXTENDED_KEY_USAGE, [der.sequence(der.object_identifier(each)) for each in (SERVER_AUTH, CLIENT_AUTH)]),
        (SUBJECT_KEY_IDENTIFIER, [der.octet_string(b"a"), der.octet_string(b"b")]),
    ],
)
def test_a_duplicate_extension_is_refused(number: str, values: list[bytes]) -> None:
    """Parsers choose one or the other: this one judges the first, and refuses the request for the second."""
    first, second = (made(number, value) for value in values)
    requested, (violation,) = read([first, second])
    assert requested == accepted(first)
    assert violation.code == "request.extension"
    assert violation.message == f'spec.request.extensions: Duplicate value: "{number}"'


def test_one_that_is_malformed_may_not_stand_again_either() -> None:
    """The second is not read in place of a first that could not be."""
    requested, violations = read([made(KEY_USAGE, b""), made(KEY_USAGE, der.named_bits(5))])
    assert requested == NOTHING
    assert [violation.code for violation in violations] == ["request.extension"] * 2


@pytest.mark.parametrize("number", ["2.5.29.30", "2.5.29.32", "1.3.6.1.5.5.7.1.24", "1.2.3", "2.5.29.18"])
def test_no_other_extension_is_allowed(number: str) -> None:
    """Its number is named, beside those that are allowed."""
    requested, (violation,) = read([made(number, der.sequence())])
    assert requested == NOTHING
    assert violation.code == "request.extension"
    assert violation.message == (
        f'spec.request.extensions: Unsupported value: "{number}": supported values: "subjectAltName",'
        ' "basicConstraints", "keyUsage", "extendedKeyUsage", "subjectKeyIdentifier"'
    )


@given(
    st.lists(
        st.tuples(
            st.sampled_from([SUBJECT_ALTERNATIVE_NAME, BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, "1.2.3"]),
            st.binary(max_size=30) | st.binary(max_size=30).map(der.sequence),
            st.booleans(),
        ),
        max_size=6,
    )
)
def test_any_extensions_give_an_answer(parts: list[tuple[str, bytes, bool]]) -> None:
    """Of any content, never an exception; and without a violation there is none that was not read."""
    extensions = [made(number, value, critical=critical) for number, value, critical in parts]
    requested, violations = read(extensions)
    if not violations:
        assert len({number for number, *_ in parts}) == len(parts)
        assert (requested != NOTHING) >= any(
            number in (SUBJECT_ALTERNATIVE_NAME, EXTENDED_KEY_USAGE) for number, *_ in parts
        )
