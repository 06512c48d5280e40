"""Step 4, parse: any bytes give a value, and nothing of a request that can change goes by unseen."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csr_signer.pkcs10 import (
    EXTENDED_KEY_USAGES,
    KEY_USAGE_BITS,
    LARGEST_REQUEST,
    MOST_NAMES,
    CertificationRequest,
    RequestedExtensions,
    parse,
)
from csr_signer.violation import Violation
from sandbox.calico import der
from tests.function.builders import (
    ADDRESS,
    EXTENSION_REQUEST,
    KEY_USAGE,
    SERVER_AUTH,
    SUBJECT,
    Case,
    attribute,
    ec_key,
    extension,
    make_request,
    make_request_der,
    pem,
    public_key_info,
    rsa_key,
)
from tests.function.tables import NAME_CASES, PEM_CASES, REQUEST_CASES

HONEST = make_request()
HONEST_DER = make_request_der()


def read(request: bytes) -> CertificationRequest:
    """A request that can be read."""
    value = parse(request)
    assert isinstance(value, CertificationRequest), value
    return value


def test_the_clients_request_is_read_in_full() -> None:
    """Subject, names, usages and key of Calico's request come out as they went in, and it breaks no rule."""
    request = read(HONEST)
    assert request.subject == (*SUBJECT, ("2.5.4.3", "typha-client"))
    assert request.common_names == ("typha-client",)
    assert request.extensions.dns_names == ("typha-client",)
    assert [str(address) for address in request.extensions.ip_addresses] == [ADDRESS]
    assert not request.extensions.ca
    assert request.extensions.key_usages == ("digital signature", "key encipherment", "key agreement")
    assert request.extensions.extended_key_usages == ("server auth", "client auth")
    assert request.public_key is not None
    assert request.public_key.subject_public_key_info == public_key_info(ec_key())
    assert request.violations == ()


@pytest.mark.parametrize("row", PEM_CASES, ids=str)
def test_nothing_is_read_of(row: Case) -> None:
    """What is no request gives one violation, which says which layer is wrong."""
    text = row.request if isinstance(row.request, bytes) else make_request(**row.request or {})
    violation = parse(text)
    assert isinstance(violation, Violation)
    assert {violation.code} == row.breaks


@pytest.mark.parametrize("row", [*REQUEST_CASES, *NAME_CASES], ids=str)
def test_all_else_is_read_and_judged(row: Case) -> None:
    """Whatever rule a readable request breaks, it is a value with violations and not the end of judging."""
    assert not isinstance(row.request, bytes)
    assert isinstance(parse(make_request(**row.request or {})), CertificationRequest)


def test_the_size_is_that_of_the_text() -> None:
    """16 KiB are read, one byte more is not."""
    assert parse(b"-" * LARGEST_REQUEST) == parse(b"-")
    oversized = parse(b"-" * (LARGEST_REQUEST + 1))
    assert isinstance(oversized, Violation)
    assert oversized.code == "request.size"


def test_the_largest_honest_request_fits() -> None:
    """A request with a hundred names of full length by the largest key is below the limit of 16 KiB."""
    names = [f"{number:03}-{'n' * 59}" for number in range(MOST_NAMES)]
    assert read(make_request(dns_names=names, addresses=(), key=rsa_key(4096))).violations == ()


@pytest.mark.parametrize("bit", range(len(KEY_USAGE_BITS)), ids=KEY_USAGE_BITS)
def test_each_bit_of_key_usage_has_its_name(bit: int) -> None:
    """Every bit is reported as Kubernetes spells it; decipher only and encipher only go with key agreement."""
    bits = sorted({bit, 4} if bit > 6 else {bit})
    request = read(make_request(key_usage=bits))
    assert request.extensions.key_usages == tuple(KEY_USAGE_BITS[each] for each in bits)
    assert request.violations == ()


def test_no_bit_of_key_usage_is_no_usage() -> None:
    """An empty bit string asks for nothing."""
    request = read(make_request(key_usage=None, further_extensions=[extension(KEY_USAGE, bytes.fromhex("030100"))]))
    assert request.extensions.key_usages == ()


@pytest.mark.parametrize("number", [*EXTENDED_KEY_USAGES, "1.2.840.113549.1.9.16.3.4"])
def test_key_purposes_are_named_or_numbered(number: str) -> None:
    """Known key purposes are spelled as Kubernetes spells them, others keep their number."""
    request = read(make_request(extended_key_usage=(number,)))
    assert request.extensions.extended_key_usages == (EXTENDED_KEY_USAGES.get(number, number),)


def test_an_extension_that_cannot_be_read_asks_for_nothing() -> None:
    """Its violation stands for it: no half of it is judged."""
    broken = extension(KEY_USAGE, der.integer(1))
    request = read(make_request(attributes=attribute(EXTENSION_REQUEST, der.sequence(broken))))
    assert request.extensions == RequestedExtensions()
    assert "request.extension" in {violation.code for violation in request.violations}


def test_no_second_value_of_an_extension_is_read() -> None:
    """Of a repeated extension the first stands, and the request is refused."""
    request = read(make_request(further_extensions=[extension("2.5.29.19", der.sequence(der.TRUE), critical=True)]))
    assert not request.extensions.ca
    assert {violation.code for violation in request.violations} == {"request.extension", "request.disagreement"}


def test_extensions_of_a_second_attribute_are_not_read() -> None:
    """Go would join both attributes and pyca shows the first alone: the first is read, and the request is refused."""
    first = attribute(EXTENSION_REQUEST, der.sequence(extension(KEY_USAGE, der.named_bits(0), critical=True)))
    second = attribute(EXTENSION_REQUEST, der.sequence(extension("2.5.29.19", der.sequence(der.TRUE), critical=True)))
    request = read(make_request(attributes=b"".join(sorted([first, second]))))
    assert {violation.code for violation in request.violations} == {"request.attribute"}


def test_a_request_whose_attributes_are_in_no_order_is_no_der() -> None:
    """X.690 §11.6: the elements of a SET OF are sorted."""
    both = sorted(
        [
            attribute(EXTENSION_REQUEST, der.sequence(extension(KEY_USAGE, der.named_bits(0)))),
            attribute("1.2.840.113549.1.9.7", der.element(0x0C, b"secret")),
        ]
    )
    violation = parse(make_request(attributes=b"".join(reversed(both))))
    assert isinstance(violation, Violation)
    assert violation.code == "request.der"


@settings(max_examples=150)
@given(st.binary(max_size=400))
def test_any_text_gives_an_answer(text: bytes) -> None:
    """Bytes of any kind are a value or a violation, never an exception."""
    assert isinstance(parse(text), CertificationRequest | Violation)


@settings(max_examples=150)
@given(st.binary(max_size=400))
def test_any_block_gives_an_answer(encoded: bytes) -> None:
    """So are bytes of any kind inside a PEM block."""
    assert isinstance(parse(pem(encoded)), CertificationRequest | Violation)


@settings(max_examples=300)
@given(
    values=st.lists(st.binary(max_size=40), min_size=1, max_size=3),
    tags=st.lists(st.integers(min_value=0, max_value=255), min_size=3, max_size=3),
    number=st.sampled_from(["2.5.29.17", "2.5.29.15", "2.5.29.19", "2.5.29.37", "1.2.3"]),
)
def test_any_extension_gives_an_answer(values: list[bytes], tags: list[int], number: str) -> None:
    """An extension of any content, well-formed or not, in a request that is right otherwise."""
    content = b"".join(der.element(tag, value) for tag, value in zip(tags, values, strict=False))
    for value in (content, der.sequence(content), der.sequence(der.sequence(content))):
        assert isinstance(parse(make_request(further_extensions=[extension(number, value)])), CertificationRequest)


def test_no_bit_can_change_unseen() -> None:
    """Each single bit of the DER that differs is a violation."""
    for place in range(len(HONEST_DER)):
        for bit in range(8):
            changed = HONEST_DER[:place] + bytes([HONEST_DER[place] ^ 1 << bit]) + HONEST_DER[place + 1 :]
            answer = parse(pem(changed))
            assert isinstance(answer, Violation) or answer.violations, (place, bit)


@settings(max_examples=200)
@given(place=st.integers(min_value=0, max_value=len(HONEST_DER) - 1), value=st.integers(min_value=0, max_value=255))
def test_no_byte_can_change_unseen(place: int, value: int) -> None:
    """Any single byte of the DER that differs is a violation: the signature covers what the two parsers do not."""
    changed = bytearray(HONEST_DER)
    changed[place] = value
    answer = parse(pem(bytes(changed)))
    if bytes(changed) == HONEST_DER:
        assert answer == parse(HONEST)
    else:
        assert isinstance(answer, Violation) or answer.violations


@settings(max_examples=200)
@given(place=st.integers(min_value=0, max_value=len(HONEST) - 1), value=st.integers(min_value=0, max_value=255))
def test_no_character_can_change_unseen(place: int, value: int) -> None:
    """Nor can any character of the PEM text, but for the line end after it."""
    changed = bytearray(HONEST)
    changed[place] = value
    answer = parse(bytes(changed))
    if isinstance(answer, CertificationRequest) and not answer.violations:
        assert answer == parse(HONEST)
        assert bytes(changed) == HONEST


@settings(max_examples=100)
@given(names=st.lists(st.text(st.characters(codec="ascii"), min_size=1, max_size=30), min_size=1, max_size=8))
def test_what_is_read_is_what_was_written(names: list[str]) -> None:
    """Re-encoding the names that were read gives the request again; a name that cannot be printed is refused."""
    request = read(make_request(dns_names=names, addresses=(), extended_key_usage=(SERVER_AUTH,)))
    if all(name.isprintable() for name in names):
        again = make_request(dns_names=request.extensions.dns_names, addresses=(), extended_key_usage=(SERVER_AUTH,))
        assert again == make_request(dns_names=names, addresses=(), extended_key_usage=(SERVER_AUTH,))
        assert request.violations == ()
    else:
        assert "san.type" in {violation.code for violation in request.violations}
