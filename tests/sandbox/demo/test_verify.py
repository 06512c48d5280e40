"""The demo's look at certificates: a wrong one is found, whatever is wrong with it."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.calico.components import components
from sandbox.calico.fleet import QUICK, Submission, managements, plan
from sandbox.calico.keys import generate
from sandbox.demo.verify import violations
from sandbox.pki import Authority

_NAME = "node-certs:calico-node-abcde"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A CA whose certificate is in ca.pem."""
    made = Authority.create("demo CA")
    (tmp_path / "ca.pem").write_bytes(made.certificate_pem)
    return made


@pytest.fixture
def submission() -> Submission:
    """A request of a calico-node pod."""
    member = plan(1, components=components("3.31"), managements=managements("example.com/calico", algorithms=QUICK))[0]
    return Submission(member=member, name=_NAME, uid="u", key=generate("ECDSAWithCurve256"), submitted=0.0)


def _certificate(
    authority: Authority,
    submission: Submission,
    *,
    common_name: str = "typha-client",
    dns_name: str = "typha-client",
    usages: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
) -> bytes:
    now = dt.datetime.now(dt.UTC)
    public_key = submission.key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(authority.certificate.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(dns_name)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
    )
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _violation(tmp_path: Path, submission: Submission, certificate: bytes) -> str:
    return violations([(submission, certificate)], tmp_path / "ca.pem", tmp_path / "certificates")[_NAME]


def test_right_certificate(tmp_path: Path, authority: Authority, submission: Submission) -> None:
    """A certificate of the CA for the request's key and names is right."""
    assert _violation(tmp_path, submission, _certificate(authority, submission)) == ""


def test_another_authority(tmp_path: Path, authority: Authority, submission: Submission) -> None:
    """A CA of the same name with another key: openssl does not verify it."""
    stranger = Authority.create("demo CA")
    assert "openssl" in _violation(tmp_path, submission, _certificate(stranger, submission))


def test_one_bad_among_good(tmp_path: Path, authority: Authority, submission: Submission) -> None:
    """Of several certificates only the bad one is complained about."""
    other = Submission(
        member=submission.member, name="other", uid="v", key=generate("ECDSAWithCurve256"), submitted=0.0
    )
    bad = _certificate(Authority.create("demo CA"), other)
    found = violations(
        [(submission, _certificate(authority, submission)), (other, bad)],
        tmp_path / "ca.pem",
        tmp_path / "certificates",
    )
    assert found[_NAME] == ""
    assert "openssl" in found["other"]


def test_wrong_key(tmp_path: Path, authority: Authority, submission: Submission) -> None:
    """A certificate for another key is of no use to the requester."""
    other = Submission(member=submission.member, name=_NAME, uid="v", key=generate("ECDSAWithCurve256"), submitted=0.0)
    assert "another key" in _violation(tmp_path, submission, _certificate(authority, other))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"common_name": "typha-server"}, "subject"),
        ({"dns_name": "typha-server"}, "DNS names"),
        ({"usages": (ExtendedKeyUsageOID.CLIENT_AUTH,)}, "openssl"),
    ],
)
def test_wrong_content(
    tmp_path: Path, authority: Authority, submission: Submission, changes: dict[str, str], words: str
) -> None:
    """Names that were not asked for, or a certificate that is for clients alone."""
    certificate = _certificate(authority, submission, **changes)  # type: ignore[arg-type]  # the table's types differ
    assert words in _violation(tmp_path, submission, certificate)
