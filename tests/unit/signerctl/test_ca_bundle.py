"""`signerctl ca bundle` prints a patch that works, or refuses."""

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
    """Runs the command as an operator does; it needs no KMS."""
    named = [argument for file in files for argument in ("--certificate", file)]
    return signerctl("ca", "bundle", *named, "--signer-name", SIGNER_NAME, *more)


def management(result: Result) -> dict[str, Any]:
    """Returns `certificateManagement` of the printed patch."""
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


def test_the_printed_patch_parses_to_the_same_values(old: Path, new: Path) -> None:
    """PyYAML and our own parser both return the certificates in order, the signerName and a pair of algorithms."""
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


def test_an_unknown_algorithm_is_refused_with_the_allowed_ones(old: Path) -> None:
    """The error names the option, the value, and what the tigera operator knows."""
    result = bundle(old, more=("--key-algorithm", "WRONG"))
    allowed = ", ".join(map(repr, PAIRS))
    assert result.exit_code == 2
    assert f"--key-algorithm: Invalid value: 'WRONG' is not one of {allowed}" in " ".join(result.stderr.split())


@pytest.mark.parametrize("key_algorithm", PAIRS)
@pytest.mark.parametrize("signature_algorithm", SIGNATURE_ALGORITHMS)
def test_only_matching_algorithms_are_printed(old: Path, key_algorithm: str, signature_algorithm: str) -> None:
    """A pair that does not match is a usage error, because no pod could create a CSR."""
    result = bundle(old, more=("--key-algorithm", key_algorithm, "--signature-algorithm", signature_algorithm))
    if key_algorithm.startswith("ECDSA") == signature_algorithm.startswith("ECDSA"):
        found = management(result)
        assert (found["keyAlgorithm"], found["signatureAlgorithm"]) == (key_algorithm, signature_algorithm)
        assert ("90 seconds" in result.stderr) == (key_algorithm in ("RSAWithSize4096", "RSAWithSize8192"))
    else:
        assert result.exit_code == 2
        assert result.stdout == ""
        assert "signatureAlgorithm: Unsupported value" in " ".join(result.stderr.split())


def test_a_certificate_in_two_files_is_printed_once(old: Path, new: Path, tmp_path: Path) -> None:
    """The function refuses a bundle that holds a certificate twice."""
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
    assert "the file exists; --force overwrites it" in second.stderr
    assert bundle(new, more=("--out-trust-bundle", out, "--force")).exit_code == 0
    assert out.read_bytes() == new.read_bytes()


def test_both_roots_of_a_rotation_are_accepted(old: Path, new: Path) -> None:
    """A bundle may hold two roots with different names and keys; there is no warning."""
    result = bundle(new, old)
    assert result.exit_code == 0
    assert result.stderr == ""


REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "a leaf": ([{"ca": False}], "must have basic constraints CA:TRUE"),
    "two CAs of one name": ([{"name": "Same"}, {"name": "Same"}], "two CAs with different keys have this name"),
    "the operator's name": ([{"name": "tigera-operator-signer@1"}], "a common name that starts with tigera-operator-"),
}


@pytest.mark.parametrize(("made", "said"), REFUSED.values(), ids=REFUSED)
def test_a_bundle_that_cannot_work_is_refused(tmp_path: Path, made: list[dict[str, Any]], said: str) -> None:
    """The command prints no patch that an operator could apply."""
    result = bundle(write(tmp_path / "ca.pem", *(foreign(**each) for each in made)))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert said in result.stderr


@pytest.mark.parametrize("place", ["first", "second"])
def test_an_anchor_with_a_weak_key_is_refused(old: Path, tmp_path: Path, place: str) -> None:
    """Anywhere in the bundle: an attacker who breaks the key could sign certificates that every component trusts."""
    weak = write(tmp_path / "weak.pem", weak_root())
    result = bundle(*((weak, old) if place == "first" else (old, weak)))
    assert (result.exit_code, result.stdout) == (1, "")
    assert '"CN=Weak": its key must be RSA of 2048 bits or more' in result.stderr


def test_a_bundle_never_overwrites_its_own_input(old: Path) -> None:
    """--force does not allow it either."""
    kept = old.read_bytes()
    result = bundle(old, more=("--out-trust-bundle", old, "--force"))
    assert (result.exit_code, result.stdout, old.read_bytes()) == (1, "", kept)
    assert "the same file as an output and an input" in result.stderr


def test_a_possible_mistake_is_a_warning(corporate: Corporate, tmp_path: Path) -> None:
    """An anchor that is not self-signed causes a warning."""
    result = bundle(write(tmp_path / "ca.pem", corporate.intermediate))
    assert result.exit_code == 0
    (line,) = result.stderr.splitlines()
    assert line.startswith('warning: "CN=Corporate CA": not self-signed')


@pytest.mark.parametrize("place", ["only", "first", "second"])
@pytest.mark.parametrize(
    ("days", "remedy"),
    [
        ((-20, -10), "drop it from the files if it is the old root of a rotation"),
        ((10, 20), "check this machine's clock, or wait until the CA is valid"),
    ],
    ids=["expired", "not yet valid"],
)
def test_a_ca_that_is_not_valid_now_is_refused(
    old: Path, tmp_path: Path, place: str, days: tuple[int, int], remedy: str
) -> None:
    """Peers refuse its certificates: the error names the CA, its dates and what to do, and no patch is printed."""
    ca = foreign("Other", days=days)
    path = write(tmp_path / "other.pem", ca)
    result = bundle(*{"only": (path,), "first": (path, old), "second": (old, path)}[place])
    assert (result.exit_code, result.stdout) == (1, "")
    dates = f"valid from {ca.not_valid_before_utc:%Y-%m-%d} to {ca.not_valid_after_utc:%Y-%m-%d}: must be valid now"
    assert f'error: "CN=Other": Invalid value: {dates}' in result.stderr
    assert remedy in result.stderr
    assert "Calico CA 2026" not in result.stderr


def test_a_certificate_without_readable_names_is_refused(corporate: Corporate, tmp_path: Path) -> None:
    """Both subject and issuer must be readable."""
    for name, odd in ((b"Corporate CA", b"Corporate \xff\xfe"), (b"Corporate root", b"Corporate ro\xff\xfe")):
        encoded = corporate.intermediate.public_bytes(Encoding.DER).replace(name, odd)
        (tmp_path / "odd.der").write_bytes(encoded)
        result = bundle(tmp_path / "odd.der")
        assert result.exit_code == 1
        assert "must have a readable subject and issuer" in result.stderr


WRONG = {
    "no domain": ("calico", "DOMAIN/NAME"),
    "no dot": ("example/calico", "a dot in DOMAIN"),
    "Kubernetes' own": ("kubernetes.io/kube-apiserver-client", "Kubernetes' own"),
    "below Kubernetes' own": ("foo.k8s.io/x", "Kubernetes' own"),
}


@pytest.mark.parametrize(("name", "said"), WRONG.values(), ids=WRONG)
def test_a_signer_name_that_the_function_could_not_serve_is_refused(old: Path, name: str, said: str) -> None:
    """The command refuses the names that the function's configuration refuses."""
    result = bundle(old, more=("--signer-name", name))
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_first_ca_without_common_name_is_refused(tmp_path: Path) -> None:
    """Calico tells CAs apart by the common name of the first one."""
    key = ec.generate_private_key(ec.SECP256R1())
    result = bundle(write(tmp_path / "ca.pem", ca_certificate(None, key, None, key)))
    assert result.exit_code == 1
    assert "Required value: a common name" in result.stderr
