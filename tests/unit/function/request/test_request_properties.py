"""Any bytes give an answer, in bounded memory, with bounded messages; what is permitted was asked for, and allowed."""

import tracemalloc
from ipaddress import ip_address
from random import Random
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given, settings
from hypothesis import strategies as st

from csr_signer.policy.decision import Deferral, Permit, Refusal
from csr_signer.request.pkcs10 import CertificationRequest, parse
from csr_signer.violation import LONGEST_TEXT, Violation, describe
from sandbox.calico import der
from tests.unit.function.builders import (
    PrivateKey,
    ec_key,
    extension,
    judge,
    make_request,
    make_request_der,
    pem,
    rsa_key,
    sign,
)
from tests.unit.function.der_trees import Tree, change
from tests.unit.function.worst import HONEST, WORST, worst

MOST_MEMORY: Final = 4 << 20
"""Bytes that parsing a request of 16 KiB may take at its peak; 1.7 MiB are measured, for base64 in lines of one
character. Only what Python allocates is seen; the libraries' own is a small multiple of the request."""
LONGEST_MESSAGE: Final = 512


def violations_of(answer: CertificationRequest | Violation) -> tuple[Violation, ...]:
    """Every rule that a request breaks; each message is printable ASCII and bounded, whatever stands in the request."""
    violations = (answer,) if isinstance(answer, Violation) else answer.violations
    for violation in violations:
        assert violation.message.isascii()
        assert violation.message.isprintable()
        assert len(violation.message) <= LONGEST_MESSAGE
    assert len(describe(violations)) < LONGEST_TEXT + 40
    return violations


def mutated(random: Random, *, changes: int, signed: bool, key: PrivateKey) -> bytes:
    """DER of the honest request with some things changed, and signed again or not."""
    request = Tree.read(make_request_der(key=key))
    place = request.part(0) if signed else request
    for _ in range(changes):
        change(place, random)
    if not signed:
        return request.write()
    info = request.part(0).write()
    return der.sequence(info, request.part(1).write(), der.bit_string(sign(key, info)))


keys: Final = st.sampled_from([ec_key(), ec_key(), ec_key("P-521"), rsa_key()])


@settings(max_examples=60)
@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
@example(b"")
def test_any_text_gives_an_answer(text: bytes) -> None:
    """Bytes of any kind are a value or a violation, never an exception, and the same again."""
    assert violations_of(parse(text))
    assert parse(text) == parse(text)


@settings(max_examples=60)
@given(st.binary(min_size=1, max_size=400))
def test_any_block_gives_an_answer(encoded: bytes) -> None:
    """So are bytes of any kind inside a PEM block."""
    assert violations_of(parse(pem(encoded)))


def elements(depth: int = 4) -> st.SearchStrategy[bytes]:
    """DER of any shape."""
    leaf = st.builds(der.element, st.integers(min_value=0, max_value=255), st.binary(max_size=8))
    return st.recursive(
        leaf,
        lambda inner: st.builds(
            lambda tag, parts: der.element(tag, *parts),
            st.sampled_from([0x30, 0x31, 0xA0, 0xA3, 0x04, 0x03]),
            st.lists(inner, max_size=depth),
        ),
        max_leaves=20,
    )


@settings(max_examples=60)
@given(elements())
def test_any_tree_gives_an_answer(encoded: bytes) -> None:
    """So is DER of any shape in place of a request."""
    assert violations_of(parse(pem(encoded)))


@settings(max_examples=60)
@given(version=elements(), subject=elements(), key=elements(), attributes=st.lists(elements(), max_size=3))
def test_any_information_gives_an_answer(version: bytes, subject: bytes, key: bytes, attributes: list[bytes]) -> None:
    """So is DER of any shape in place of a request's parts."""
    info = der.sequence(version, subject, key, der.explicit(0, *attributes))
    algorithm = Tree.read(make_request_der()).part(1).write()
    assert violations_of(parse(pem(der.sequence(info, algorithm, der.bit_string(sign(ec_key(), info))))))


@settings(max_examples=60)
@given(
    content=elements(),
    number=st.sampled_from(["2.5.29.17", "2.5.29.15", "2.5.29.19", "2.5.29.37", "2.5.29.14", "1.2.3"]),
)
def test_any_extension_gives_an_answer(content: bytes, number: str) -> None:
    """An extension of any content, well-formed or not, alone in a request that is right otherwise."""
    for value in (content, content[:-1], der.sequence(content)):
        answer = parse(make_request(extensions=[extension(number, value)]))
        assert isinstance(answer, CertificationRequest)
        violations_of(answer)


@settings(max_examples=100)
@given(random=st.randoms(), changes=st.integers(min_value=1, max_value=4), signed=st.booleans(), key=keys)
def test_any_change_gives_an_answer(
    random: Random,
    changes: int,
    signed: bool,  # noqa: FBT001 - drawn
    key: PrivateKey,
) -> None:
    """So is an honest request with anything changed in its structure; the decision on it is one of three."""
    text = pem(mutated(random, changes=changes, signed=signed, key=key))
    answer = parse(text)
    broken = violations_of(answer)
    decision = judge(request=text)
    assert isinstance(decision, Permit | Refusal | Deferral)
    if broken:
        assert isinstance(decision, Refusal)
        assert set(broken) <= set(decision.violations)


@settings(max_examples=100)
@given(random=st.randoms(), changes=st.integers(min_value=0, max_value=2), signed=st.booleans(), key=keys)
def test_a_permit_has_only_requested_and_allowed_names(
    random: Random,
    changes: int,
    signed: bool,  # noqa: FBT001 - drawn
    key: PrivateKey,
) -> None:
    """Names and key of a permit are the request's, as another parser reads it, and the component's.

    NOTE: most changes end in a refusal, which is no failure here; `test_an_honest_request_is_permitted` sees that not
    all of them do.
    """
    encoded = mutated(random, changes=changes, signed=signed, key=key)
    permit = judge(request=pem(encoded))
    if isinstance(permit, Permit):
        assert_asked_for(permit, encoded)


def assert_asked_for(permit: Permit, encoded: bytes) -> None:
    """Whether everything in a permit was asked for, and is what the component of these tests may have."""
    asked = x509.load_der_x509_csr(encoded)
    names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    commons = [each.value for each in asked.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    assert [permit.common_name] == commons == ["typha-client"]
    assert list(permit.dns_names) == names.get_values_for_type(x509.DNSName) == ["typha-client"]
    assert len(list(names)) <= 2
    assert permit.ip_addresses == ()
    assert permit.extended_key_usage == ("serverAuth", "clientAuth")
    info = asked.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert permit.public_key.subject_public_key_info == info
    assert info in encoded
    assert asked.is_signature_valid


@pytest.mark.parametrize("key", [ec_key(), ec_key("P-384"), ec_key("P-521"), rsa_key()])
def test_an_honest_request_is_permitted(key: PrivateKey) -> None:
    """What the property above is about."""
    encoded = make_request_der(key=key)
    permit = judge(request=pem(encoded))
    assert isinstance(permit, Permit)
    assert_asked_for(permit, encoded)


_LABELS: Final = st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), min_size=1, max_size=20)


@settings(max_examples=50)
@given(
    names=st.lists(_LABELS, min_size=1, max_size=6),
    addresses=st.lists(st.ip_addresses().map(str), max_size=4),
    common_name=st.text(min_size=1, max_size=16).filter(lambda text: len(text.encode()) <= 64),
)
def test_parsing_and_encoding_round_trip(names: list[str], addresses: list[str], common_name: str) -> None:
    """Parsed names equal the written ones, and encoding them again gives the same bytes."""
    story = {"names": names, "addresses": addresses, "common_name": common_name}
    written = make_request(dns_names=names, addresses=addresses, common_name=common_name)
    request = parse(written)
    assert isinstance(request, CertificationRequest), story
    assert request.violations == ()
    assert request.common_names == (common_name,)
    assert request.extensions.ip_addresses == tuple(map(ip_address, addresses))
    again = make_request(
        dns_names=request.extensions.dns_names,
        addresses=list(map(str, request.extensions.ip_addresses)),
        common_name=request.common_names[0],
    )
    assert again == written


@pytest.mark.parametrize("name", WORST)
def test_the_worst_is_refused(name: str) -> None:
    """None of the requests that are made to cost is permitted; the refusal is bounded."""
    violations_of(parse(worst(name)))
    decision = judge(request=worst(name))
    assert isinstance(decision, Refusal)
    assert len(describe(decision.violations)) < LONGEST_TEXT + 40


@pytest.mark.parametrize("name", HONEST)
def test_the_honest_are_permitted(name: str) -> None:
    """Those that the costly are compared with."""
    assert isinstance(judge(request=HONEST[name]()), Permit)


@pytest.mark.parametrize("name", [*HONEST, *WORST])
def test_memory_is_bounded(name: str) -> None:
    """Whatever stands in 16 KiB: reading it takes no more than a few MiB at its peak."""
    request = HONEST[name]() if name in HONEST else worst(name)
    parse(request)  # what is imported and cached once is no part of it
    tracemalloc.start()
    try:
        parse(request)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MOST_MEMORY
