"""The requests that cost the most: as large as they may be, each of a kind that makes some reader work.

`scripts/bench judge` measures them, and a test bounds the memory that they take. They were found by thinking and by
measuring; whoever finds a worse one adds it here.
"""

from collections.abc import Callable, Iterator
from functools import cache
from itertools import count, repeat
from typing import Final

from csr_signer.request.pkcs10 import BEGIN, END, LARGEST_REQUEST
from sandbox.calico import der
from tests.unit.function.builders import (
    COMMON_NAME,
    EXTENSION_REQUEST,
    RSA_WITH_SHA256,
    alternative_names,
    attribute,
    basic_constraints,
    close_primes_modulus,
    dns_name,
    ec_key,
    extension,
    large_factors,
    large_modulus,
    make_request,
    make_request_der,
    name_attribute,
    pem,
    rsa_public_key_info,
    rsa_request,
)
from tests.unit.function.requests.malformed import nested

ROOM: Final = LARGEST_REQUEST // 65 * 48 - 48
"""Bytes of DER that fit into a request: 48 are a line of 65 characters."""


def full(elements: Iterator[bytes], request: Callable[[list[bytes]], bytes]) -> bytes:
    """A request of as many of these elements as fit."""
    room = ROOM - len(request([])) - 40
    chosen: list[bytes] = []
    for element in elements:
        room -= len(element)
        if room < 0:
            break
        chosen.append(element)
    return pem(request(chosen))


def asking(*extensions: bytes) -> bytes:
    """DER of a request for these extensions alone."""
    return make_request_der(extensions=extensions)


def rsa(modulus: int) -> bytes:
    """A request by an RSA key, with a signature that is none."""
    size = (modulus.bit_length() + 7) // 8
    return make_request(
        public_key=rsa_public_key_info(modulus),
        algorithm=RSA_WITH_SHA256,
        parameters=der.NULL,
        signature=lambda _: bytes(size - 1) + b"\x01",
    )


def honest(bits: int) -> bytes:
    """An honest request by an RSA key of that size."""
    return make_request(**rsa_request(*large_factors(bits)))


HONEST: Final[dict[str, Callable[[], bytes]]] = {
    "P-256": make_request,
    "P-384": lambda: make_request(key=ec_key("P-384")),
    "P-521": lambda: make_request(key=ec_key("P-521")),
    "RSA-2048": lambda: honest(2048),
    "RSA-3072": lambda: honest(3072),
    "RSA-4096": lambda: honest(4096),
    "RSA-8192": lambda: honest(8192),
}
"""Honest requests, to compare with."""


def _names(size: int) -> Iterator[bytes]:
    return repeat(dns_name(b"n" * size))


def _common_names(value: Callable[[int], bytes]) -> Iterator[bytes]:
    return (name_attribute(COMMON_NAME, value(number)) for number in count())


def _many_names(names: list[bytes]) -> bytes:
    return asking(alternative_names(*names))


def _many_rdns(rdns: list[bytes]) -> bytes:
    return make_request_der(common_name=None, subject=(), rdns=rdns)


def _many_extensions(extensions: list[bytes]) -> bytes:
    return asking(*extensions)


def _many_attributes(attributes: list[bytes]) -> bytes:
    return make_request_der(attributes=b"".join(attributes))


def _everything(purposes: list[bytes]) -> bytes:
    """Whatever breaks no rule of form, so that both parsers read all of it, and every rule of the policy."""
    names = [dns_name(b"n" * 20 + b"%d" % number) for number in range(50)]
    names += [der.implicit(7, bytes([127, 0, 0, number])) for number in range(50)]
    return make_request_der(
        common_name=None,
        subject=(),
        rdns=[name_attribute(COMMON_NAME, der.text(f"system:{number}")) for number in range(100)],
        extensions=[
            alternative_names(*names),
            basic_constraints(der.TRUE),
            extension("2.5.29.15", der.named_bits(*range(9))),
            extension("2.5.29.37", der.sequence(*purposes)),
        ],
    )


def _purposes() -> Iterator[bytes]:
    return (der.object_identifier(f"1.2.{number}") for number in count())


_HUGE: Final = der.element(0x06, b"\x2a" + (b"\xff" * 17 + b"\x7f") * 3 + b"\x2a" * 8)
"""An object identifier of 63 bytes, the most that are read, whose arcs have 37 digits."""

WORST: Final[dict[str, Callable[[], bytes]]] = {
    "names of one character": lambda: full(_names(1), _many_names),
    "empty names": lambda: full(_names(0), _many_names),
    "foreign names of two long labels": lambda: full(
        (dns_name(b"%050d.%050d" % (number, number)) for number in range(100)), _many_names
    ),
    "a hundred names of another kind": lambda: pem(_many_names([der.implicit(1, b"\xff" * 100)] * 100)),
    "directory names": lambda: full(
        repeat(der.element(0xA4, der.sequence(name_attribute(COMMON_NAME, der.text("n"))))), _many_names
    ),
    "addresses": lambda: full((der.implicit(7, number.to_bytes(4, "big")) for number in count()), _many_names),
    "addresses of no size": lambda: full(repeat(der.implicit(7, bytes(3))), _many_names),
    "common names": lambda: full(_common_names(lambda number: der.text(str(number))), _many_rdns),
    "empty common names": lambda: full(_common_names(lambda _: der.text("")), _many_rdns),
    "common names of no text": lambda: full(_common_names(lambda _: der.integer(0)), _many_rdns),
    "a name of the largest size": lambda: pem(_many_rdns([name_attribute("2.5.4.10", der.text("\U0001f511" * 2900))])),
    "one RDN of many attributes": lambda: full(
        (der.sequence(der.object_identifier(COMMON_NAME), der.text(f"{number:05}")) for number in count()),
        lambda attributes: _many_rdns([der.set_of(*attributes)]),
    ),
    "empty RDNs": lambda: full(repeat(der.set_of()), _many_rdns),
    "unknown extensions": lambda: full((extension(f"1.2.{number}", b"") for number in count()), _many_extensions),
    "one extension again and again": lambda: full(repeat(extension("2.5.29.19", der.sequence())), _many_extensions),
    "extensions that are none": lambda: full(repeat(der.NULL), _many_extensions),
    "attributes that are none": lambda: full(repeat(der.NULL), _many_attributes),
    "unknown attributes": lambda: full(repeat(attribute("1.2")), _many_attributes),
    "extensionRequest attributes": lambda: full(repeat(attribute(EXTENSION_REQUEST)), _many_attributes),
    "values of an extensionRequest": lambda: full(
        repeat(der.NULL), lambda values: _many_attributes([attribute(EXTENSION_REQUEST, *values)])
    ),
    "key purposes": lambda: full(_purposes(), lambda purposes: asking(extension("2.5.29.37", der.sequence(*purposes)))),
    "key purposes of the largest size": lambda: full(
        repeat(_HUGE), lambda purposes: asking(extension("2.5.29.37", der.sequence(*purposes)))
    ),
    "everything that is well-formed": lambda: full(_purposes(), _everything),
    "a subject of sequences in sequences": lambda: pem(_many_rdns([nested(2900)])),
    "an extension of sequences in sequences": lambda: pem(asking(extension("2.5.29.17", nested(2900)))),
    "a large version": lambda: pem(make_request_der(version=1 << 80_000)),
    "a large path length": lambda: pem(asking(basic_constraints(der.TRUE, der.integer(1 << 80_000)))),
    "a large exponent": lambda: make_request(public_key=rsa_public_key_info(large_modulus(8192), (1 << 70_000) | 1)),
    "a modulus of 40,000 bits": lambda: rsa((1 << 40_000) | 1),
    "RSA-8192 with a small factor": lambda: rsa(5 * large_modulus(8190)),
    "RSA-8192 that is even": lambda: rsa(2 * large_modulus(8191)),
    "RSA-8192 with few bits": lambda: rsa((1 << 8191) | 3),
    "RSA-8192 with a signature that is none": lambda: rsa(large_modulus(8192)),
    "RSA-8192 with foreign names": lambda: make_request(**rsa_request(*large_factors(8192)), dns_names=("google.com",)),
    "RSA-2048 of close primes": lambda: rsa(close_primes_modulus()),
    "lines of one character": lambda: b"\n".join([BEGIN, *[b"A"] * 8000, END]),
    "a block that never ends": lambda: BEGIN + b"\n" + (b"A" * 76 + b"\n") * 211,
    "a line that never ends": lambda: BEGIN + b"\n" + b"A" * 16000,
    "nothing but beginnings": lambda: (BEGIN + b"\n") * 450,
    "nothing but dashes": lambda: b"-" * LARGEST_REQUEST,
}
"""By what they are made of."""


@cache
def worst(name: str) -> bytes:
    """One of them."""
    request = WORST[name]()
    assert len(request) <= LARGEST_REQUEST, (name, len(request))
    return request
