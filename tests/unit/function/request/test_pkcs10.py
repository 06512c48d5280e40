"""Step 4, parse: any bytes give a value, and nothing of a request that can change goes by unseen."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from csr_signer.request.extensions import MOST_NAMES, RequestedExtensions
from csr_signer.request.pkcs10 import LARGEST_REQUEST, CertificationRequest, parse
from csr_signer.violation import Violation
from sandbox.calico import der
from tests.unit.function.builders import (
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
    sign,
)
from tests.unit.function.tables import NAME_CASES, PEM_CASES, REQUEST_CASES

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
def test_malformed_input_gives_one_violation(row: Case) -> None:
    """The violation names the malformed layer."""
    text = row.request if isinstance(row.request, bytes) else make_request(**row.request or {})
    violation = parse(text)
    assert isinstance(violation, Violation)
    assert {violation.code} == row.breaks


@pytest.mark.parametrize("row", [*REQUEST_CASES, *NAME_CASES], ids=str)
def test_all_else_is_read_and_judged(row: Case) -> None:
    """Whatever rule a readable request breaks, it is a value with violations and not the end of judging."""
    assert not isinstance(row.request, bytes)
    assert isinstance(parse(make_request(**row.request or {})), CertificationRequest)


BEGIN = "-----BEGIN CERTIFICATE REQUEST-----"
END = "-----END CERTIFICATE REQUEST-----"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param(lambda _: b"", f"it does not begin with {BEGIN}", id="nothing"),
        pytest.param(lambda text: b"\n" + text, f"it does not begin with {BEGIN}", id="an empty line before"),
        pytest.param(lambda text: b"\xef\xbb\xbf" + text, f"it does not begin with {BEGIN}", id="a byte order mark"),
        pytest.param(lambda text: text[1:], f"it does not begin with {BEGIN}", id="four dashes"),
        pytest.param(lambda text: text + b"x", f"it does not end with {END}", id="a byte after"),
        pytest.param(lambda text: text[:-2], f"it does not end with {END}", id="four dashes at the end"),
        pytest.param(lambda text: text * 2, "it has more than one block", id="two blocks"),
        pytest.param(
            lambda text: text.replace(b"\n-----END", b"\n-----BEGIN X-----\n-----END"),
            "it has more than one block",
            id="another begins",
        ),
        *(
            pytest.param(change, "it is not lines of base64, each of 1 to 76 characters", id=name)
            for name, change in (
                ("no line", lambda _: f"{BEGIN}\n{END}\n".encode()),
                ("an empty line", lambda text: text.replace(b"\n", b"\n\n", 1)),
                ("a header", lambda text: text.replace(b"\n", b"\nA: b\n\n", 1)),
                ("a space at a line's end", lambda text: text.replace(b"\n", b" \n", 1)),
                ("a tab", lambda text: text.replace(b"\nM", b"\n\t", 1)),
                ("a lone carriage return", lambda text: text.replace(b"\n", b"\r", 1)),
                ("two carriage returns", lambda text: text.replace(b"\n", b"\r\r\n", 1)),
                ("two line ends after", lambda text: text + b"\n"),
                ("one line", lambda text: lines(text, len(text))),
                ("a line of 77", lambda text: lines(text, 77)),
                ("the alphabet of URLs", lambda text: text.replace(b"+", b"-").replace(b"/", b"_")),
                ("NUL", lambda text: text.replace(b"\nM", b"\n\x00", 1)),
            )
        ),
        *(
            pytest.param(change, "it is not base64", id=name)
            for name, change in (
                ("a character too few", lambda text: text.replace(b"\nM", b"\n", 1)),
                ("padding within", lambda text: text.replace(b"\nMI", b"\nM=", 1)),
                ("padding too much", lambda text: text.replace(b"\n-----END", b"==\n-----END")),
            )
        ),
    ],
)
def test_no_block_is(change: Callable[[bytes], bytes], problem: str) -> None:
    """Each says what is wrong, and what is allowed."""
    violation = parse(change(HONEST))
    assert isinstance(violation, Violation)
    assert violation.code == "request.pem"
    assert violation.message == (
        "spec.request: Invalid value: must be exactly one PEM block CERTIFICATE REQUEST with nothing around it:"
        f" {problem}"
    )


def lines(text: bytes, size: int) -> bytes:
    """The same block in lines of another length."""
    body = b"".join(text.splitlines()[1:-1])
    cut = [body[start : start + size] for start in range(0, len(body), size)]
    return b"\n".join([BEGIN.encode(), *cut, END.encode()])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text[:-1], id="no line end after it"),
        pytest.param(lambda text: text.replace(b"\n", b"\r\n"), id="the line ends of Windows"),
        pytest.param(lambda text: lines(text, 76), id="lines of 76, as MIME has them"),
        pytest.param(lambda text: lines(text, 1), id="lines of one character"),
    ],
)
def test_a_block_is(change: Callable[[bytes], bytes]) -> None:
    """Line ends and lengths of lines that change nothing: the request is the same."""
    assert change(HONEST) != HONEST
    assert parse(change(HONEST)) == parse(HONEST)


@pytest.mark.parametrize("spare", range(1, 4))
def test_base64_has_one_way_to_say_it(spare: int) -> None:
    """Bits after the last byte mean nothing, and two texts would be one request."""
    encoded = next(
        made for made in (make_request_der(common_name="n" * size) for size in range(1, 40)) if len(made) % 3 == 2
    )
    text = pem(encoded)
    end = text.index(b"=")
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet.index(text[end - 1])
    assert last % 4 == 0
    assert isinstance(parse(text), CertificationRequest)
    violation = parse(text[: end - 1] + alphabet[last + spare : last + spare + 1] + text[end:])
    assert isinstance(violation, Violation)
    assert violation.message.endswith(": its base64 has non-zero padding bits")


def test_base64_has_one_way_to_say_it_in_any_order() -> None:
    """Also where what means nothing comes before the right character in ASCII: `/` before `w`, which both end in 11."""
    right, wrong = (f"{BEGIN}\n{body}\n{END}\n".encode() for body in ("Aw==", "A/=="))
    assert wrong < right
    for text, code in ((right, "request.der"), (wrong, "request.pem")):
        violation = parse(text)
        assert isinstance(violation, Violation)
        assert violation.code == code


def test_the_size_is_that_of_the_text() -> None:
    """16 KiB are read, one byte more is not."""
    assert LARGEST_REQUEST == 16384
    assert parse(b"-" * LARGEST_REQUEST) == parse(b"-")
    oversized = parse(b"-" * (LARGEST_REQUEST + 1))
    assert oversized == Violation(code="request.size", message="spec.request: Too long: must have at most 16384 bytes")


def test_the_largest_honest_request_fits() -> None:
    """A request with a hundred names of full length by the largest key is below the limit of 16 KiB."""
    names = [f"{number:03}-{'n' * 59}" for number in range(MOST_NAMES)]
    assert read(make_request(dns_names=names, addresses=(), key=rsa_key(4096))).violations == ()


def test_an_extension_that_cannot_be_read_asks_for_nothing() -> None:
    """Its violation stands for it: no half of it is judged."""
    broken = extension(KEY_USAGE, der.integer(1))
    request = read(make_request(attributes=attribute(EXTENSION_REQUEST, der.sequence(broken))))
    assert request.extensions == RequestedExtensions()
    assert "request.extension" in {violation.code for violation in request.violations}


def test_no_second_value_of_an_extension_is_read() -> None:
    """Of a repeated extension the first stands, and the request is refused."""
    request = read(make_request(other_extensions=[extension("2.5.29.19", der.sequence(der.TRUE), critical=True)]))
    assert not request.extensions.ca
    assert {violation.code for violation in request.violations} == {"request.extension"}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"common_name": "typha-server"}, id="another subject"),
        pytest.param({"dns_names": ("typha-server",)}, id="other names"),
        pytest.param({"authority": True}, id="a CA"),
        pytest.param({"key_usage": (5,)}, id="another usage"),
        pytest.param({"extended_key_usage": (SERVER_AUTH,)}, id="another key purpose"),
        pytest.param({"key": ec_key(number=2)}, id="another key"),
        pytest.param({"authority": None}, id="the same, which was signed otherwise"),
        pytest.param({"signature": lambda data: sign(ec_key(), data, hashes.SHA512())}, id="another signature"),
    ],
)
def test_a_request_that_two_parsers_read_differently_is_refused(
    other: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second parser reads another request from the same bytes, so the intended one is unknown."""
    seen = x509.load_der_x509_csr(make_request_der(**other))
    monkeypatch.setattr(x509, "load_der_x509_csr", lambda _: seen)
    (violation,) = read(HONEST).violations
    assert violation.code == "request.disagreement"


def test_a_second_parser_that_sees_the_same_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    """The requests above differ in what was changed, and in nothing else."""
    seen = x509.load_der_x509_csr(HONEST_DER)
    monkeypatch.setattr(x509, "load_der_x509_csr", lambda _: seen)
    assert read(HONEST).violations == ()


def test_a_second_parser_that_fails_disagrees() -> None:
    """Pyca knows no key usage of encipher only without key agreement (RFC 5280 §4.2.1.3 leaves its meaning open)."""
    request = read(make_request(key_usage=(7,)))
    assert request.extensions.key_usages == ("encipher only",)
    assert [violation.code for violation in request.violations] == ["request.disagreement"]
