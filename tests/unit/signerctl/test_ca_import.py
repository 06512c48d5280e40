"""`signerctl ca import` checks a corporate CA's answer before the function loads it."""

import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID

from csr_signer.ca import issuer
from csr_signer.ca.issuer import KmsPublicKey
from sandbox.kms import Fault
from tests.unit.signerctl.authorities import Corporate, ca_certificate, certificates, write
from tests.unit.signerctl.stage import Stage, openssl


@pytest.fixture
def request_file(stage: Stage, tmp_path: Path) -> Path:
    """The request to the corporate CA."""
    out = tmp_path / "ca.csr"
    stage.done("request", "--key-version", stage.key(), "--common-name", "Calico CA 2026", "--out", out)
    return out


def run_import(stage: Stage, folder: Path, *answer: Path, key: str | None = None, force: bool = False) -> Result:
    """Runs the command as an operator does."""
    outputs: list[str | Path] = [
        "--out-certificate",
        folder / "issuing.pem",
        "--out-trust-bundle",
        folder / "trust.pem",
    ]
    return stage.run("import", "--key-version", key or stage.key(), *outputs, *(["--force"] if force else []), *answer)


def outputs(folder: Path) -> list[str]:
    """Returns the names of the output files that exist."""
    return sorted(path.name for path in folder.iterdir() if path.name in ("issuing.pem", "trust.pem"))


@pytest.mark.parametrize("seed", range(4))
def test_an_answer_in_any_order_becomes_two_files(
    stage: Stage, corporate: Corporate, request_file: Path, tmp_path: Path, seed: int
) -> None:
    """The command orders the chain and drops duplicates, and the function loads the result."""
    found = [corporate.answer(request_file), corporate.intermediate, corporate.root, corporate.intermediate]
    random.Random(seed).shuffle(found)  # noqa: S311 - an order, no secret
    result = run_import(stage, tmp_path, write(tmp_path / "answer.pem", *found))
    assert result.exit_code == 0, result.output
    assert "warning" not in result.stderr
    chain, trust = certificates(tmp_path / "issuing.pem"), certificates(tmp_path / "trust.pem")
    assert chain[1:] == [corporate.intermediate]
    assert trust == [corporate.root]
    loaded = issuer.load(
        key_version=stage.key(),
        certificate=(tmp_path / "issuing.pem").read_bytes(),
        trust_bundle=(tmp_path / "trust.pem").read_bytes(),
        protection_level="HSM",
    )
    answer = stage.client.get_public_key(name=stage.key())
    issuer.confirm(
        loaded, KmsPublicKey(pem=answer.pem.encode(), algorithm="EC_SIGN_P256_SHA256", protection_level="HSM")
    )
    checked = openssl(
        "verify", "-x509_strict", "-CAfile", tmp_path / "trust.pem", "-untrusted", tmp_path / "issuing.pem",
        tmp_path / "issuing.pem",
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr


def test_the_intermediate_that_is_valid_longest_is_chosen(
    stage: Stage, corporate: Corporate, request_file: Path, tmp_path: Path
) -> None:
    """A bundle may hold renewed intermediates. Leaves end when the chain ends, so the longest validity is best."""
    shorter = corporate.renewed((-1, 1900))
    found = [
        shorter,
        corporate.answer(request_file),
        corporate.intermediate,
        corporate.root,
        corporate.renewed((-200, 5)),
    ]
    result = run_import(stage, tmp_path, write(tmp_path / "answer.pem", *found))
    assert result.exit_code == 0, result.output
    assert certificates(tmp_path / "issuing.pem")[1:] == [corporate.intermediate]
    assert result.stderr.count("ANSWER: skipped") == 2


@pytest.mark.parametrize("seed", range(4))
def test_the_chain_to_the_given_root_is_chosen(stage: Stage, request_file: Path, tmp_path: Path, seed: int) -> None:
    """The answer holds two certificates of one intermediate, but only one root; the wrong one is valid longer."""
    old, new, below, between = (ec.generate_private_key(ec.SECP256R1()) for _ in range(4))
    root = ca_certificate("Old root", old, "Old root", old, path_length=None, days=(-100, 2000))
    by_old = ca_certificate("Corporate CA", below, "Old root", old, path_length=1, days=(-100, 1500))
    by_new = ca_certificate("Corporate CA", below, "New root", new, path_length=1, days=(-100, 2900))
    # A longer chain without a root, and a loop.
    farther = ca_certificate("New root", new, "Farther", between, path_length=2, days=(-100, 2900))
    around = ca_certificate("Farther", between, "New root", new, path_length=2, days=(-100, 2900))
    asked = x509.load_pem_x509_csr(request_file.read_bytes())
    answer = ca_certificate("Calico CA 2026", asked.public_key(), "Corporate CA", below)
    found = [by_new, farther, around, by_old, root, answer]
    random.Random(seed).shuffle(found)  # noqa: S311 - an order, no secret
    result = run_import(stage, tmp_path, write(tmp_path / "answer.pem", *found))
    assert result.exit_code == 0, result.output
    assert certificates(tmp_path / "issuing.pem") == [answer, by_old]
    assert certificates(tmp_path / "trust.pem") == [root]


@pytest.mark.parametrize("seed", range(4))
def test_a_longer_chain_is_chosen_if_the_short_one_is_expired(
    stage: Stage, request_file: Path, tmp_path: Path, seed: int
) -> None:
    """As when AddTrust's root expired in 2020: a new root had cross-signed the old CA, with the same name and key."""
    old, new = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ended = ca_certificate("Old root", old, "Old root", old, path_length=None, days=(-1000, -10))
    crossed = ca_certificate("Old root", old, "New root", new, path_length=1, days=(-100, 1500))
    root = ca_certificate("New root", new, "New root", new, path_length=None, days=(-100, 2000))
    asked = x509.load_pem_x509_csr(request_file.read_bytes())
    answer = ca_certificate("Calico CA 2026", asked.public_key(), "Old root", old)
    found = [ended, crossed, root, answer]
    random.Random(seed).shuffle(found)  # noqa: S311 - an order, no secret
    result = run_import(stage, tmp_path, write(tmp_path / "answer.pem", *found))
    assert result.exit_code == 0, result.output
    assert certificates(tmp_path / "issuing.pem") == [answer, crossed]
    assert certificates(tmp_path / "trust.pem") == [root]


FORMS = {
    "DER": lambda found: [each.public_bytes(Encoding.DER) for each in found],
    "PKCS #7 in PEM": lambda found: [pkcs7.serialize_certificates(found, Encoding.PEM)],
    "PKCS #7 in DER": lambda found: [pkcs7.serialize_certificates(found, Encoding.DER)],
    "PEM with text around": lambda found: [
        b"subject=whatever\n"
        + b"".join(each.public_bytes(Encoding.PEM) for each in found)
        + b"\nregards, the CA team\n"
    ],
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_an_answer_is_read_in_every_format_that_cas_use(
    stage: Stage, corporate: Corporate, request_file: Path, tmp_path: Path, form: Any
) -> None:
    """The command reads DER, PKCS #7, and PEM with text around it."""
    found = [corporate.answer(request_file), corporate.intermediate, corporate.root]
    paths = []
    for number, content in enumerate(form(found)):
        paths.append(tmp_path / f"answer-{number}")
        paths[-1].write_bytes(content)
    result = run_import(stage, tmp_path, *paths)
    assert result.exit_code == 0, result.output
    assert outputs(tmp_path) == ["issuing.pem", "trust.pem"]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no CA": ({"ca": False}, "must have basic constraints CA:TRUE"),
    "path length 1": ({"path_length": 1}, "path length is 1, must be 0"),
    "no path length": ({"path_length": None}, "path length is None, must be 0"),
    "no keyCertSign": ({"key_cert_sign": False}, "its key usage must have keyCertSign"),
    "for servers only": (
        {"purposes": x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])},
        "its extended key usage must have clientAuth",
    ),
    "expired": ({"days": (-20, -10)}, "must be valid now"),
    "not yet valid": ({"days": (10, 20)}, "must be valid now"),
}


@pytest.mark.parametrize(("changes", "said"), WRONG.values(), ids=WRONG)
def test_an_answer_that_the_function_would_refuse_is_refused(
    stage: Stage, corporate: Corporate, request_file: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    """The operator sees the violation when importing the answer, not when the function starts."""
    found = [corporate.answer(request_file, **changes), corporate.intermediate, corporate.root]
    result = run_import(stage, tmp_path, write(tmp_path / "answer.pem", *found))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
    assert outputs(tmp_path) == []


def test_a_missing_certificate_is_named(stage: Stage, corporate: Corporate, request_file: Path, tmp_path: Path) -> None:
    """The message names the subject of the missing intermediate or root."""
    answer = corporate.answer(request_file)
    without_root = run_import(stage, tmp_path, write(tmp_path / "1.pem", answer, corporate.intermediate))
    assert without_root.exit_code == 1
    assert 'ANSWER: Required value: the certificate "CN=Corporate root"' in without_root.stderr
    alone = run_import(stage, tmp_path, write(tmp_path / "2.pem", corporate.root, answer))
    assert alone.exit_code == 1
    assert 'ANSWER: Required value: the certificate "CN=Corporate CA"' in alone.stderr
    assert outputs(tmp_path) == []


def test_a_certificate_without_readable_names_is_refused(
    stage: Stage, corporate: Corporate, request_file: Path, tmp_path: Path
) -> None:
    """The command cannot find its place in a chain."""
    odd = corporate.answer(request_file).public_bytes(Encoding.DER).replace(b"Corporate CA", b"Corporate \xff\xfe")
    (tmp_path / "odd.der").write_bytes(odd)
    result = run_import(stage, tmp_path, tmp_path / "odd.der")
    assert result.exit_code == 1
    assert '"CN=Calico CA 2026": Invalid value: must have a readable subject and issuer' in result.stderr


def test_an_answer_for_another_key_is_refused(
    stage: Stage, corporate: Corporate, request_file: Path, tmp_path: Path
) -> None:
    """The certificate must hold the key of --key-version."""
    found = [corporate.answer(request_file), corporate.intermediate, corporate.root]
    result = run_import(stage, tmp_path, write(tmp_path / "answer.pem", *found), key=stage.key(number=2))
    assert result.exit_code == 1
    assert "must include a certificate with the key of" in result.stderr
    assert "CN=Corporate CA" in result.stderr


def test_a_root_from_create_is_refused(stage: Stage, tmp_path: Path) -> None:
    """The message says that such a root needs no import."""
    result = run_import(stage, tmp_path, stage.create(tmp_path / "ca.pem"))
    assert result.exit_code == 1
    assert "must not be self-signed: a root from `ca create` needs no import" in result.stderr


def test_two_answers_for_one_key_are_refused(
    stage: Stage, corporate: Corporate, request_file: Path, tmp_path: Path
) -> None:
    """The command does not guess which of them the operator means."""
    found = [corporate.answer(request_file), corporate.answer(request_file), corporate.intermediate, corporate.root]
    result = run_import(stage, tmp_path, write(tmp_path / "answer.pem", *found))
    assert result.exit_code == 1
    assert "Too many: 2 certificates with the key of" in result.stderr


def test_unusual_answers_cause_warnings(stage: Stage, corporate: Corporate, request_file: Path, tmp_path: Path) -> None:
    """An unrelated certificate, no extended key usage and a near end each cause a warning; both files are written."""
    stranger = stage.create(tmp_path / "stranger.pem", key=stage.key(number=3), name="Stranger")
    answer = corporate.answer(request_file, purposes=None, days=(-1, 100))
    chain = write(tmp_path / "answer.pem", answer, corporate.intermediate, corporate.root)
    result = run_import(stage, tmp_path, chain, stranger)
    assert result.exit_code == 0, result.output
    assert 'warning: ANSWER: skipped "CN=Stranger"' in result.stderr
    assert "warning: the corporate CA did not grant the requested extended key usage" in result.stderr
    assert "rotate the issuing CA" in result.stderr
    assert certificates(tmp_path / "issuing.pem") == [answer, corporate.intermediate]


def test_no_file_is_written_if_one_exists(
    stage: Stage, corporate: Corporate, request_file: Path, tmp_path: Path
) -> None:
    """The command writes both files or none, unless --force is given."""
    answer = write(tmp_path / "answer.pem", corporate.answer(request_file), corporate.intermediate, corporate.root)
    (tmp_path / "trust.pem").write_text("in use", encoding="utf-8")
    result = run_import(stage, tmp_path, answer)
    assert result.exit_code == 1
    assert "trust.pem: Forbidden: the file exists; --force overwrites it" in result.stderr
    assert outputs(tmp_path) == ["trust.pem"]
    assert run_import(stage, tmp_path, answer, force=True).exit_code == 0
    assert certificates(tmp_path / "trust.pem") == [corporate.root]


def test_the_outputs_must_be_two_files(stage: Stage, corporate: Corporate, request_file: Path, tmp_path: Path) -> None:
    """Otherwise the trust bundle would overwrite the certificate."""
    answer = write(tmp_path / "answer.pem", corporate.answer(request_file), corporate.intermediate, corporate.root)
    out = tmp_path / "both.pem"
    result = stage.run(
        "import", "--key-version", stage.key(), "--out-certificate", out, "--out-trust-bundle", out, answer
    )
    assert result.exit_code == 1
    assert "the same file as two outputs" in result.stderr


def test_force_does_not_overwrite_the_answer(
    stage: Stage, corporate: Corporate, request_file: Path, tmp_path: Path
) -> None:
    """The corporate CA's file stays as it is."""
    found = (corporate.answer(request_file), corporate.intermediate, corporate.root)
    answer = write(tmp_path / "issuing.pem", *found)
    result = run_import(stage, tmp_path, answer, force=True)
    assert result.exit_code == 1
    assert "the same file as an output and an input" in result.stderr
    assert certificates(answer) == list(found)


def test_a_private_key_in_the_answer_is_refused(
    stage: Stage, corporate: Corporate, request_file: Path, tmp_path: Path
) -> None:
    """A CA's key belongs into KMS, so the operator must learn that a file holds one."""
    answer = write(tmp_path / "answer.pem", corporate.answer(request_file), corporate.intermediate, corporate.root)
    key = ec.generate_private_key(ec.SECP256R1())
    with answer.open("ab") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    result = run_import(stage, tmp_path, answer)
    assert result.exit_code == 1
    assert "Forbidden: a private key" in result.stderr


def test_a_disabled_key_version_is_refused(
    stage: Stage, corporate: Corporate, request_file: Path, tmp_path: Path
) -> None:
    """Without the public key from KMS, the command writes nothing."""
    answer = write(tmp_path / "answer.pem", corporate.answer(request_file), corporate.intermediate, corporate.root)
    stage.server.faults.add(Fault(method="GetPublicKey", status="FAILED_PRECONDITION", times=0))
    result = run_import(stage, tmp_path, answer)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: key version {stage.key()}")
    assert outputs(tmp_path) == []
