"""`signerctl ca bundle`: what goes into an Installation says what was meant, and is refused where it cannot work."""

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from signerctl.installation import PAIRS, SIGNATURE_ALGORITHMS, parse
from tests.unit.signerctl.authorities import Corporate, ca_certificate, certificates, foreign, weak_root, write
from tests.unit.signerctl.stage import SIGNER_NAME, Stage, signerctl


def bundle(*files: Path, more: tuple[str | Path, ...] = ()) -> Result:
    """Runs the command as an operator does; without KMS."""
    named = [argument for file in files for argument in ("--certificate", file)]
    return signerctl("ca", "bundle", *named, "--signer-name", SIGNER_NAME, *more)


def management(result: Result) -> dict[str, Any]:
    """What the snippet says."""
    assert result.exit_code == 0, result.output
    content = yaml.safe_load(result.stdout)
    assert list(content) == ["spec"]
    assert list(content["spec"]) == ["certificateManagement"]
    found: dict[str, Any] = content["spec"]["certificateManagement"]
    return found


@pytest.fixture
def old(stage: Stage, tmp_path: Path) -> Path:
    """The CA that signs."""
    return stage.create(tmp_path / "old.pem")


@pytest.fixture
def new(stage: Stage, tmp_path: Path) -> Path:
    """The CA that will sign."""
    return stage.create(tmp_path / "new.pem", key=stage.key(number=2), name="Calico CA 2027")


def test_the_snippet_round_trips(old: Path, new: Path) -> None:
    """YAML and our own reader give back certificates in their order, the signer name and a pair of algorithms."""
    result = bundle(old, new)
    found = management(result)
    assert base64.b64decode(found["caCert"], validate=True) == old.read_bytes() + new.read_bytes()
    assert found == {
        "caCert": found["caCert"],
        "signerName": SIGNER_NAME,
        "keyAlgorithm": "ECDSAWithCurve256",
        "signatureAlgorithm": "ECDSAWithSHA256",
    }
    read = parse(result.stdout.encode())
    assert (read.ca_cert, read.signer_name) == (old.read_bytes() + new.read_bytes(), SIGNER_NAME)
    assert (read.key_algorithm, read.signature_algorithm) == ("ECDSAWithCurve256", "ECDSAWithSHA256")
    assert "BEGIN" not in result.stdout


@pytest.mark.parametrize("key_algorithm", PAIRS)
@pytest.mark.parametrize("signature_algorithm", SIGNATURE_ALGORITHMS)
def test_algorithms_are_a_pair_that_works(old: Path, key_algorithm: str, signature_algorithm: str) -> None:
    """Every pair that fits is printed; every other is a usage error, because no pod would ever ask."""
    result = bundle(old, more=("--key-algorithm", key_algorithm, "--signature-algorithm", signature_algorithm))
    if key_algorithm.startswith("ECDSA") == signature_algorithm.startswith("ECDSA"):
        found = management(result)
        assert (found["keyAlgorithm"], found["signatureAlgorithm"]) == (key_algorithm, signature_algorithm)
        assert ("90 seconds" in result.stderr) == (key_algorithm in ("RSAWithSize4096", "RSAWithSize8192"))
    else:
        assert result.exit_code == 2
        assert result.stdout == ""
        assert "pods cannot create a request" in " ".join(result.stderr.split())


def test_a_certificate_in_two_files_stands_once(old: Path, new: Path, tmp_path: Path) -> None:
    """The function refuses a bundle that names one twice."""
    both = write(tmp_path / "both.pem", *certificates(old), *certificates(new))
    assert base64.b64decode(management(bundle(new, both))["caCert"]) == new.read_bytes() + old.read_bytes()


def test_the_functions_trust_bundle_is_written_too(old: Path, new: Path, tmp_path: Path) -> None:
    """The same certificates in the same order; an existing file is kept unless forced."""
    out = tmp_path / "trust.pem"
    first = bundle(old, new, more=("--out-trust-bundle", out))
    assert base64.b64decode(management(first)["caCert"]) == out.read_bytes()
    second = bundle(new, more=("--out-trust-bundle", out))
    assert second.exit_code == 1
    assert second.stdout == ""
    assert "exists; --force overwrites it" in second.stderr
    assert bundle(new, more=("--out-trust-bundle", out, "--force")).exit_code == 0
    assert out.read_bytes() == new.read_bytes()


def test_both_roots_of_a_rotation_are_accepted(old: Path, new: Path) -> None:
    """Two roots with different names and keys stand in one bundle without a word."""
    result = bundle(new, old)
    assert result.exit_code == 0
    assert result.stderr == ""


REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "a leaf": ([{"ca": False}], "must have basic constraints CA:TRUE"),
    "two CAs of one name": ([{"name": "Same"}, {"name": "Same"}], "two CAs with different keys have this name"),
    "the operator's name": ([{"name": "tigera-operator-signer@1"}], "starts with tigera-operator-signer"),
}


@pytest.mark.parametrize(("made", "said"), REFUSED.values(), ids=REFUSED)
def test_a_bundle_that_cannot_work_is_refused(tmp_path: Path, made: list[dict[str, Any]], said: str) -> None:
    """Nothing is printed that somebody could paste."""
    result = bundle(write(tmp_path / "ca.pem", *(foreign(**each) for each in made)))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert said in result.stderr


@pytest.mark.parametrize("place", ["first", "second"])
def test_an_anchor_with_a_key_that_can_be_broken_is_refused(old: Path, tmp_path: Path, place: str) -> None:
    """Wherever it stands: every component would trust whatever the one who breaks it certifies."""
    weak = write(tmp_path / "weak.pem", weak_root())
    result = bundle(*((weak, old) if place == "first" else (old, weak)))
    assert (result.exit_code, result.stdout) == (1, "")
    assert '"CN=Weak": its key must be RSA of 2048 bits or more' in result.stderr


def test_a_bundle_is_not_written_over_what_it_is_made_of(old: Path) -> None:
    """Not even forced."""
    kept = old.read_bytes()
    result = bundle(old, more=("--out-trust-bundle", old, "--force"))
    assert (result.exit_code, result.stdout, old.read_bytes()) == (1, "", kept)
    assert "given for an output and an input" in result.stderr


def test_what_may_be_meant_is_warned_of(corporate: Corporate, tmp_path: Path) -> None:
    """An anchor that is not self-signed, a CA that has ended."""
    ended = foreign("Ended", days=(-20, -10))
    result = bundle(write(tmp_path / "ca.pem", corporate.intermediate, ended))
    assert result.exit_code == 0
    first, second = result.stderr.splitlines()
    assert first.startswith('warning: "CN=Corporate CA": is not self-signed')
    assert second.startswith('warning: "CN=Ended": is valid from')


def test_a_certificate_without_readable_names_is_refused(corporate: Corporate, tmp_path: Path) -> None:
    """Subject or issuer."""
    for name, odd in ((b"Corporate CA", b"Corporate \xff\xfe"), (b"Corporate root", b"Corporate ro\xff\xfe")):
        encoded = corporate.intermediate.public_bytes(Encoding.DER).replace(name, odd)
        (tmp_path / "odd.der").write_bytes(encoded)
        result = bundle(tmp_path / "odd.der")
        assert result.exit_code == 1
        assert "its names cannot be read" in result.stderr


WRONG = {
    "no domain": ("calico", "DOMAIN/NAME"),
    "no dot": ("example/calico", "a dot in DOMAIN"),
    "Kubernetes' own": ("kubernetes.io/kube-apiserver-client", "Kubernetes' own"),
    "below Kubernetes' own": ("foo.k8s.io/x", "Kubernetes' own"),
}


@pytest.mark.parametrize(("name", "said"), WRONG.values(), ids=WRONG)
def test_a_signer_name_that_the_function_could_not_serve_is_refused(old: Path, name: str, said: str) -> None:
    """As its configuration would."""
    result = bundle(old, more=("--signer-name", name))
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_first_ca_without_common_name_is_refused(tmp_path: Path) -> None:
    """Calico tells CAs apart by it."""
    key = ec.generate_private_key(ec.SECP256R1())
    result = bundle(write(tmp_path / "ca.pem", ca_certificate(None, key, None, key)))
    assert result.exit_code == 1
    assert "has no common name" in result.stderr
