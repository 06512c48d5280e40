"""Steps 7 and 9, build and assemble: one TBSCertificate per permit and issuer, and its finished certificate."""

import hashlib
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification
from hypothesis import given, settings
from hypothesis import strategies as st

from csr_signer import der
from csr_signer.ca.algorithm import EVERY_ALGORITHM, SignatureAlgorithm
from csr_signer.ca.issuer import Issuer
from csr_signer.errors import IntegrityError
from csr_signer.issuance.certificate import (
    algorithm_identifier,
    assemble,
    build,
    encoded_time,
    is_for,
    key_identifier,
    serial_number,
    tbs_sha256,
)
from csr_signer.issuance.lint import lint
from csr_signer.policy.decision import Permit
from csr_signer.request.pkcs10 import parse
from csr_signer.request.public_key import examine
from sandbox.calico import der as writer
from tests.unit.function.builders import (
    CLUSTER,
    CREATED,
    CSR_UID,
    Authority,
    authority,
    ec_key,
    make_authority,
    make_issuer,
    make_permit,
    make_request,
    public_key_info,
    rsa_key,
    sign,
)

ALGORITHM = authority().algorithm

EXPECTED = """
3082016da0030201020214
 12aa459dc88a7652125a60de02979b7a520d901c
300a06082a8648ce3d040302
30143112301006035504030c0943616c69636f204341
301e170d3236303331343039323135335a170d3237303331343039323635335a
30173115301306035504030c0c74797068612d636c69656e74
3059301306072a8648ce3d020106082a8648ce3d030107034200
 0465de15fecb7ec3cdfb570fa87ab71ce1f18e89d5976b07057cdbbff5ff85b760
 67d85098b6903bad82beb0c988f79f1f295e9c1285c580b199836120ed1bbf7e
a38199308196
 300c0603551d130101ff04023000
 300e0603551d0f0101ff040403020780
 301d0603551d250416301406082b0601050507030106082b06010505070302
 30170603551d110410300e820c74797068612d636c69656e74
 301d0603551d0e04160414df92147cd8bebbda9a7954e9355720cf025f354a
 301f0603551d23041830168014a754498c1cd3ad0408d80fad924b4a583b688cad
"""
"""The honest TBSCertificate, one field a line: version and serial number, signature algorithm, issuer, validity,
subject, key, and the six extensions."""


def finish(permit: Permit, of: Authority, issuer: Issuer) -> bytes:
    """PEM of the finished certificate."""
    cleared = lint(build(permit, issuer, of.algorithm), permit, issuer, of.algorithm)
    return assemble(cleared, of.sign(cleared.der), issuer, of.algorithm).pem


def test_the_certificate_is_known_to_the_byte() -> None:
    """A change of one byte of what is signed is a decision, and a new version of the template."""
    assert build(make_permit(), make_issuer(), ALGORITHM) == bytes.fromhex(EXPECTED.replace("\n", ""))


def test_the_same_permit_gives_the_same_bytes() -> None:
    """Retries and races sign one TBSCertificate."""
    first, second = (build(make_permit(), make_issuer(), ALGORITHM) for _ in range(2))
    assert first == second


def test_the_serial_number_is_derived() -> None:
    """159 bits of SHA-256 over tag, cluster, uid and the TBSCertificate with serial 0, each with its length."""
    body = bytes.fromhex(EXPECTED.replace("\n", ""))[4:]
    place = body.index(bytes.fromhex("0214"))
    unnumbered = writer.sequence(body[:place], writer.integer(0), body[place + 22 :])
    text = b""
    for part in (b"kms-csr-signer serial number v1", CLUSTER.encode(), CSR_UID.encode(), unnumbered):
        text += len(part).to_bytes(8, "big") + part
    number = int(hashlib.sha256(text).hexdigest(), 16) // 2**97
    assert f"{number:040x}" == "12aa459dc88a7652125a60de02979b7a520d901c"
    assert serial_number(make_permit(), unnumbered) == number


@pytest.mark.parametrize(
    "change",
    [
        {"csr_uid": "00000000-0000-0000-0000-000000000000"},
        {"cluster": "other"},
        {"not_after": CREATED + timedelta(days=1)},
        {"public_key": examine(public_key_info(ec_key(number=99)))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_input_changes_the_serial_number(change: dict[str, Any]) -> None:
    """Two CSRs, two clusters, or two contents never share a serial number."""
    numbers = {
        der.decode(der.TBSCertificate, build(permit, make_issuer(), ALGORITHM)).serial_number
        for permit in (make_permit(), make_permit(**change))
    }
    assert len(numbers) == 2


def test_lengths_keep_the_inputs_of_a_serial_number_apart() -> None:
    """Moving a character from the cluster to the uid gives another number."""
    one = serial_number(make_permit(cluster="ab", csr_uid="c"), b"")
    other = serial_number(make_permit(cluster="a", csr_uid="bc"), b"")
    assert one != other


@settings(max_examples=50)
@given(uid=st.text(max_size=40), content=st.binary(max_size=40))
def test_serial_numbers_are_positive_and_short(uid: str, content: bytes) -> None:
    """RFC 5280 §4.1.2.2: positive, at most 20 octets."""
    number = serial_number(make_permit(csr_uid=uid), content)
    assert 0 < number < 2**159
    assert len(der.encode(number)) <= 22


@pytest.mark.parametrize(
    ("moment", "encoded"),
    [
        (datetime(1950, 1, 1, tzinfo=UTC), b"\x17\x0d500101000000Z"),
        (datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC), b"\x17\x0d260314092653Z"),
        (datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), b"\x17\x0d491231235959Z"),
        (datetime(2050, 1, 1, tzinfo=UTC), b"\x18\x0f20500101000000Z"),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), b"\x18\x0f99991231235959Z"),
        (datetime(2050, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))), b"\x17\x0d491231233000Z"),
    ],
    ids=lambda value: value.isoformat() if isinstance(value, datetime) else "",
)
def test_times_are_utctime_through_2049(moment: datetime, encoded: bytes) -> None:
    """RFC 5280 §4.1.2.5, whatever time zone the moment was given in."""
    assert der.encode(encoded_time(moment)) == encoded


def test_addresses_stand_behind_the_names() -> None:
    """SAN holds the permit's DNS names, then its addresses, and nothing else."""
    permit = make_permit(
        dns_names=("calico-api", "calico-api.calico-system.svc"),
        ip_addresses=(ip_address("10.0.0.5"), ip_address("2001:db8::5")),
    )
    extensions = der.decode(der.TBSCertificate, build(permit, make_issuer(), ALGORITHM)).extensions
    assert extensions[3].extn_value == writer.sequence(
        writer.implicit(2, b"calico-api"),
        writer.implicit(2, b"calico-api.calico-system.svc"),
        writer.implicit(7, bytes([10, 0, 0, 5])),
        writer.implicit(7, ip_address("2001:db8::5").packed),
    )


@pytest.mark.parametrize(
    ("key", "bits"), [(rsa_key(), (0, 2)), (ec_key(), (0,)), (ec_key("P-521"), (0,))], ids=["RSA", "P-256", "P-521"]
)
def test_only_an_rsa_key_may_encipher_keys(key: Any, bits: tuple[int, ...]) -> None:
    """Key usage follows from the kind of key; what was requested is no input."""
    permit = make_permit(public_key=examine(public_key_info(key)))
    usage = der.decode(der.TBSCertificate, build(permit, make_issuer(), ALGORITHM)).extensions[1]
    assert (usage.critical, usage.extn_value) == (True, writer.named_bits(*bits))


@pytest.mark.parametrize("algorithm", EVERY_ALGORITHM, ids=lambda each: f"{each.name}-{each.digest.name}")
def test_parameters_of_signature_algorithms(algorithm: SignatureAlgorithm) -> None:
    """NULL for RSA (RFC 4055 §5), absent for ECDSA (RFC 5758 §3.2)."""
    number = writer.object_identifier(algorithm.identifier.dotted_string)
    parameters = writer.NULL if algorithm.name.startswith("RSA") else b""
    assert der.encode(algorithm_identifier(algorithm)) == writer.sequence(number, parameters)


def test_key_identifiers_are_of_rfc_7093() -> None:
    """Method 1: the leftmost 160 bits of SHA-256 over the key's bits."""
    assert key_identifier(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a3"


def authority_of(algorithm: SignatureAlgorithm) -> Authority:
    """A CA whose key version has this algorithm."""
    curves = {"secp256r1": "P-256", "secp384r1": "P-384"}
    is_rsa = algorithm.key not in curves
    key = rsa_key(int(algorithm.key.removeprefix("RSA-"))) if is_rsa else ec_key(curves[algorithm.key], 11)
    return replace(make_authority(key=key), algorithm=algorithm)


@pytest.mark.parametrize("key", [ec_key(), rsa_key(8192)], ids=["P-256", "RSA"])
@pytest.mark.parametrize("algorithm", EVERY_ALGORITHM, ids=lambda each: f"{each.name}-{each.digest.name}")
def test_a_finished_certificate_is_verified_by_openssl_and_pyca(
    algorithm: SignatureAlgorithm, key: Any, tmp_path: Path
) -> None:
    """Any leaf key under any CA key: strict OpenSSL for both purposes and the host name, and pyca's verifiers."""
    of = authority_of(algorithm)
    permit = make_permit(
        public_key=examine(public_key_info(key)),
        dns_names=("calico-api", "calico-api.calico-system.svc"),
        common_name="calico-api",
    )
    leaf = finish(permit, of, make_issuer(of))
    (tmp_path / "ca.pem").write_bytes(of.pem)
    (tmp_path / "leaf.pem").write_bytes(leaf)
    moment = CREATED + timedelta(days=1)
    for purpose in ("sslserver", "sslclient"):
        done = subprocess.run(
            [
                *("openssl", "verify", "-x509_strict", "-purpose", purpose, "-attime", str(int(moment.timestamp()))),
                *("-verify_hostname", "calico-api.calico-system.svc", "-CAfile", "ca.pem", "leaf.pem"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout.strip()) == (0, "leaf.pem: OK"), done.stderr
    certificate = x509.load_pem_x509_certificate(leaf)
    policy = verification.PolicyBuilder().store(verification.Store([of.certificate])).time(moment)
    server = policy.build_server_verifier(x509.DNSName("calico-api.calico-system.svc"))
    assert server.verify(certificate, []) == [certificate, of.certificate]
    assert policy.build_client_verifier().verify(certificate, []).chain == [certificate, of.certificate]


def test_the_chain_follows_the_leaf_without_its_root() -> None:
    """PEM: the leaf, the issuing CA, what is above it; a self-signed root is the relying party's to have."""
    root = make_authority(common_name="Root", key=ec_key(number=21), path_length=None)
    issuing = make_authority(common_name="Issuing", key=ec_key(number=22), above=root)
    issuer = make_issuer(issuing, chain=[root])
    permit = make_permit()
    chain = x509.load_pem_x509_certificates(finish(permit, issuing, issuer))
    assert [certificate.subject.rfc4514_string() for certificate in chain] == ["CN=typha-client", "CN=Issuing"]
    assert chain[0].issuer == chain[1].subject


def test_an_issued_certificate_is_named_by_its_hashes() -> None:
    """SHA-256 of the leaf's DER, and of its TBSCertificate as records name it."""
    permit, issuer = make_permit(), make_issuer()
    cleared = lint(build(permit, issuer, ALGORITHM), permit, issuer, ALGORITHM)
    issued = assemble(cleared, authority().sign(cleared.der), issuer, ALGORITHM)
    leaf = x509.load_pem_x509_certificate(issued.pem)
    assert issued.sha256 == hashlib.sha256(leaf.public_bytes(Encoding.DER)).hexdigest()
    assert tbs_sha256(leaf) == cleared.sha256 == hashlib.sha256(cleared.der).hexdigest()
    assert leaf.tbs_certificate_bytes == cleared.der


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(lambda data: sign(ec_key(number=99), data), id="of another key"),
        pytest.param(lambda data: authority().sign(data + b"!"), id="over other bytes"),
        pytest.param(lambda data: authority().sign(data) + b"\x00", id="with data after it"),
        pytest.param(lambda _: b"", id="that is empty"),
        pytest.param(lambda _: b"garbage", id="that is no signature"),
    ],
)
def test_no_certificate_has_a_signature(signature: Any) -> None:
    """What KMS answered is verified with the pinned CA key before it is anything."""
    permit, issuer = make_permit(), make_issuer()
    cleared = lint(build(permit, issuer, ALGORITHM), permit, issuer, ALGORITHM)
    with pytest.raises(IntegrityError, match="does not verify"):
        assemble(cleared, signature(cleared.der), issuer, ALGORITHM)


@pytest.mark.parametrize("uid", ["other-0", "other-1"], ids=["that sort before", "that sort after"])
def test_no_certificate_holds_other_bytes_than_those_cleared(uid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pyca reads back another certificate than was assembled, even one of our CA, nothing is issued."""
    permit, issuer = make_permit(), make_issuer()
    cleared = lint(build(permit, issuer, ALGORITHM), permit, issuer, ALGORITHM)
    other = x509.load_pem_x509_certificate(finish(make_permit(csr_uid=uid), authority(), issuer))
    assert (other.tbs_certificate_bytes < cleared.der) == (uid == "other-0")
    monkeypatch.setattr(x509, "load_der_x509_certificate", lambda _: other)
    with pytest.raises(IntegrityError, match="must contain the linted TBSCertificate"):
        assemble(cleared, authority().sign(cleared.der), issuer, ALGORITHM)


def test_a_certificate_is_for_the_request_whose_key_it_holds() -> None:
    """What already stands in a CSR is compared with the request's key; a request without one has no certificate."""
    own = x509.load_pem_x509_certificate(finish(make_permit(), authority(), make_issuer()))
    other = make_permit(public_key=examine(public_key_info(ec_key(number=99))))
    foreign = x509.load_pem_x509_certificate(finish(other, authority(), make_issuer()))
    request = parse(make_request())
    assert is_for(own, request)
    assert not is_for(foreign, request)
    assert not is_for(own, parse(b"garbage"))
    assert not is_for(own, parse(make_request(public_key=public_key_info(ec_key("P-224")))))
