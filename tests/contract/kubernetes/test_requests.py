"""What a new CertificateSigningRequest must and need not be."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import CertificateSigningRequestBuilder, Name

from sandbox.api import csr_path
from tests.contract.kubernetes.support import Target, causes, encoded, real_only, refusal, request_pem, unique

PEM = request_pem()
DER = base64.b64decode(b"".join(PEM.splitlines()[1:-1]))
LABEL_63 = "a" * 63


def _pem(der: bytes, label: bytes = b"CERTIFICATE REQUEST", headers: bytes = b"") -> bytes:
    return b"-----BEGIN %b-----\n%b%b-----END %b-----\n" % (label, headers, base64.encodebytes(der), label)


def _signed(key: Any, algorithm: hashes.SHA256 | hashes.SHA224) -> bytes:
    return (
        CertificateSigningRequestBuilder()
        .subject_name(Name([]))
        .sign(key, algorithm)
        .public_bytes(serialization.Encoding.PEM)
    )


REFUSED_REQUESTS = {
    "empty": b"",
    "no PEM": b"garbage",
    "another label": _pem(DER, b"CERTIFICATE"),
    "the old label NEW CERTIFICATE REQUEST": _pem(DER, b"NEW CERTIFICATE REQUEST"),
    "another block first": _pem(b"x", b"OTHER") + PEM,
    "no request inside": _pem(b"no request"),
    "a byte behind the request": _pem(DER + b"\0"),
    "a changed signature": _pem(DER[:-1] + bytes([DER[-1] ^ 1])),
    "text on the line of BEGIN": b"x" + PEM,
    "no END": PEM.partition(b"-----END")[0],
    "a curve that Go does not know": _signed(ec.generate_private_key(ec.SECP256K1()), hashes.SHA256()),
    "a hash that Go does not accept": _signed(ec.generate_private_key(ec.SECP256R1()), hashes.SHA224()),
}
ACCEPTED_REQUESTS = {
    "text before and behind": b"hello\n" + PEM + b"world",
    "text with dashes before": b"-----BEGIN nothing\n-----END\n" + PEM,
    "an unfinished block before": b"-----BEGIN OTHER-----\n" + PEM,
    "900 kB of text before": b"x" * 900_000 + b"\n" + PEM,
    "two requests": PEM + PEM,
    "another block behind": PEM + _pem(b"x", b"OTHER"),
    "PEM headers": _pem(DER, headers=b"Proc-Type: 4\n\n"),
    "no line end behind END": PEM.rstrip(b"\n"),
    "Windows line ends": PEM.replace(b"\n", b"\r\n"),
    "an RSA key of 1024 bits": _signed(rsa.generate_private_key(65537, 1024), hashes.SHA256()),  # noqa: S505 - the point
}


@real_only
@pytest.mark.parametrize("request_bytes", REFUSED_REQUESTS.values(), ids=REFUSED_REQUESTS)
def test_a_request_is_refused(target: Target, request_bytes: bytes) -> None:
    """The first PEM block must be a CERTIFICATE REQUEST that its own key signed."""
    refused = refusal(lambda: target.create_csr(request=encoded(request_bytes)))
    assert causes(refused) == {("spec.request", "FieldValueInvalid")}


@pytest.mark.parametrize("request_bytes", ACCEPTED_REQUESTS.values(), ids=ACCEPTED_REQUESTS)
def test_a_request_is_accepted_as_it_is(target: Target, request_bytes: bytes) -> None:
    """The API server is generous: a signer must be strict itself. The bytes are stored as they came."""
    made = target.create_csr(request=encoded(request_bytes))
    assert base64.b64decode(made["spec"]["request"]) == request_bytes


REFUSED_SPECS: dict[str, tuple[dict[str, Any], set[tuple[str, str]]]] = {
    "no usages": ({"usages": []}, {("spec.usages", "FieldValueRequired")}),
    "usages absent": ({"usages": None}, {("spec.usages", "FieldValueRequired")}),
    "unknown usage": ({"usages": ["client auth", "x"]}, {("spec.usages[1]", "FieldValueNotSupported")}),
    "usage twice": ({"usages": ["any", "any"]}, {("spec.usages[1]", "FieldValueDuplicate")}),
    "no signer": ({"signerName": None}, {("spec.signerName", "FieldValueRequired")}),
    "zero seconds": ({"expirationSeconds": 0}, {("spec.expirationSeconds", "FieldValueInvalid")}),
    "599 seconds": ({"expirationSeconds": 599}, {("spec.expirationSeconds", "FieldValueInvalid")}),
    "two violations": (
        {"usages": [], "expirationSeconds": -1},
        {("spec.usages", "FieldValueRequired"), ("spec.expirationSeconds", "FieldValueInvalid")},
    ),
}


@real_only
@pytest.mark.parametrize(("changes", "expected"), REFUSED_SPECS.values(), ids=REFUSED_SPECS)
def test_a_spec_is_refused(target: Target, changes: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    """Every violation is named with its field."""
    assert causes(refusal(lambda: target.create_csr(**changes))) == expected


@pytest.mark.parametrize(
    "signer_name",
    [
        *("a.b/c", "example.com/a.b-c", f"example.com/{'a' * 253}"),
        f"{'.'.join([LABEL_63] * 3)}.{'a' * 61}/x",
        f"a.b/{'.'.join([LABEL_63] * 3)}",
    ],
)
def test_a_signer_name_is_accepted(target: Target, signer_name: str) -> None:
    """Long and short names of the right form pass."""
    assert target.create_csr(signerName=signer_name)["spec"]["signerName"] == signer_name


def test_600_seconds_are_accepted(target: Target) -> None:
    """The shortest wish is ten minutes; without a wish the field is absent."""
    assert target.create_csr(expirationSeconds=600)["spec"]["expirationSeconds"] == 600
    assert "expirationSeconds" not in target.create_csr()["spec"]


@real_only
@pytest.mark.parametrize(
    "changes",
    [
        {"usages": "any"},
        {"expirationSeconds": "600"},
        {"expirationSeconds": 600.5},
        {"expirationSeconds": 2**31},
        {"request": "***"},
        {"request": 1},
        {"signerName": ["x"]},
    ],
    ids=str,
)
def test_a_wrong_type_is_a_bad_request(target: Target, changes: dict[str, Any]) -> None:
    """What does not have the types of the kind is 400, not 422."""
    assert refusal(lambda: target.create_csr(**changes)).reason == "BadRequest"


@pytest.mark.parametrize(
    "name", ["node-certs:pod", "x\ny", "nul\0", "Ü", "A B", "*", "..x", "?x#y", "a\\b", "n" * 2000], ids=repr
)
def test_a_name_is_accepted(target: Target, name: str) -> None:
    """Names are free beyond what would break a path, and are found again when they are quoted."""
    name += unique()
    made = target.create_csr(name)
    assert made["metadata"]["name"] == name
    assert target.api.get(csr_path(name))["metadata"]["uid"] == made["metadata"]["uid"]


@pytest.mark.parametrize("name", [".", "..", "a/b", "a%b", "..%2f"])
def test_a_name_that_is_no_path_segment_is_refused(target: Target, name: str) -> None:
    """Dots alone, slashes and percent signs never become names."""
    assert causes(refusal(lambda: target.create_csr(name))) == {("metadata.name", "FieldValueInvalid")}


def test_a_new_csr_has_no_status_and_its_own_identity(target: Target) -> None:
    """Conditions, uid and creationTimestamp of the body are dropped: nobody creates an approved CSR."""
    forged = {"uid": "forged", "creationTimestamp": "2001-01-01T00:00:00Z", "deletionTimestamp": "2001-01-01T00:00:00Z"}
    status = {"conditions": [{"type": "Approved", "status": "True"}], "certificate": encoded(b"x")}
    made = target.create_csr(metadata=forged, status=status)
    assert made["status"] == {}
    assert made["metadata"]["uid"] != "forged"
    assert not made["metadata"]["creationTimestamp"].startswith("2001")
    assert "deletionTimestamp" not in made["metadata"]


@real_only
def test_unknown_fields_are_dropped(target: Target) -> None:
    """A field that the kind does not have is neither refused nor stored."""
    made = target.create_csr(status={"x": 1}, nonsense={"a": 1})
    assert "nonsense" not in made["spec"]
    assert made["status"] == {}


@real_only
def test_half_a_surrogate_pair_becomes_a_replacement_character(target: Target) -> None:
    """What is not Unicode is stored as U+FFFD, so that every reader can encode it."""
    name = unique()
    assert target.create_csr(name + "\ud800")["metadata"]["name"] == name + "�"


@real_only
def test_an_object_beyond_what_etcd_takes_is_refused(target: Target) -> None:
    """About 2 MiB is the end, with a status that no client expects: 500."""
    big = b"x" * (2 << 20) + b"\n" + PEM
    assert refusal(lambda: target.create_csr(request=encoded(big))).status == 500
