"""`signerctl ca verify` reports every check; a violation that the function or Calico would refuse is an error."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from sandbox.kms import Fault
from tests.unit.signerctl.authorities import Corporate, certificates, foreign, write
from tests.unit.signerctl.function import root_of
from tests.unit.signerctl.stage import SIGNER_NAME, Stage, signerctl

OTHER_SIGNER = "example.com/other"


@pytest.fixture
def root(stage: Stage, tmp_path: Path) -> Path:
    """The issuing CA, which is its own trust bundle."""
    return stage.create(tmp_path / "ca.pem")


def verify_files(
    stage: Stage,
    certificate: Path,
    trust_bundle: Path | None = None,
    *more: str | Path,
    key: str | None = None,
    stdin: str | None = None,
) -> Result:
    """Runs the command without a configuration document."""
    files: list[str | Path] = ["--certificate", certificate, "--trust-bundle", trust_bundle or certificate]
    return stage.run("verify", *files, "--key-version", key or stage.key(), *more, stdin=stdin)


def write_configuration(stage: Stage, path: Path, *signers: dict[str, Any], clusters: int = 1) -> Path:
    """Writes a configuration document with these signers; each overrides the defaults."""
    names = [f"cluster-{number}" for number in range(clusters)]
    document = {
        "clusters": {
            name: {
                "source": f"//container.googleapis.com/projects/p/locations/l/clusters/{name}",
                "server": "https://example.gke.goog",
                "authentication": {"google_id_token": {"audience": "https://prod.example.com"}},
                "shared_trust_domain": True,
            }
            for name in names
        },
        "signers": [
            {
                "cluster": names[0],
                "signer_name": SIGNER_NAME,
                "profile": {"name": "calico", "release": "3.31"},
                "issuer": {"key_version": stage.key(), "certificate": "ca.pem", "trust_bundle": "ca.pem"},
                **signer,
            }
            for signer in signers
        ],
        "kms": {"unsafe_plaintext_endpoint": stage.server.endpoint},
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def results(result: Result, level: str) -> list[tuple[str, str]]:
    """Returns the checks and messages of one level."""
    assert result.exit_code == (1 if '"level": "error"' in result.stdout else 0), result.output
    rows = json.loads(result.stdout)["items"]
    return [(row["check"], row["message"]) for row in rows if row["level"] == level]


def the_error(result: Result) -> str:
    """Returns the check and the message of the only error."""
    ((check, message),) = results(result, "error")
    return f"{check}: {message}"


def test_matching_files_pass_every_check(stage: Stage, root: Path) -> None:
    """The output has one result each for chain, key and dates, and the exit status is 0."""
    result = verify_files(stage, root)
    assert result.exit_code == 0
    assert [line.split()[:2] for line in result.stdout.splitlines()[1:-1]] == [
        ["ok", "chain"],
        ["ok", "key"],
        ["ok", "dates"],
    ]
    assert result.stdout.splitlines()[-1] == "errors: 0, warnings: 0"
    assert f"{stage.key()} is enabled, EC_SIGN_P256_SHA256 with sha256, HSM" in result.stdout


def test_the_chain_is_shown_from_the_issuing_ca_to_the_anchor(
    stage: Stage, corporate: Corporate, tmp_path: Path
) -> None:
    """The result names each CA and its issuer."""
    request = tmp_path / "ca.csr"
    stage.done("request", "--key-version", stage.key(), "--common-name", "Issuing", "--out", request)
    chain = write(tmp_path / "chain.pem", corporate.answer(request), corporate.intermediate)
    trust = write(tmp_path / "trust.pem", corporate.root)
    assert results(verify_files(stage, chain, trust, "--json"), "ok")[0] == (
        "chain",
        '"CN=Issuing" issued by "CN=Corporate CA" issued by "CN=Corporate root"; the last is the trust anchor',
    )


def test_a_file_that_the_function_would_refuse_is_an_error(stage: Stage, root: Path, tmp_path: Path) -> None:
    """The messages are the function's own: no certificate, a wrong anchor, a leaf as CA, a wrong path length."""
    text = tmp_path / "text.pem"
    text.write_text("hello", encoding="utf-8")
    other = write(tmp_path / "other.pem", foreign("Other"))
    leaf = write(tmp_path / "leaf.pem", foreign("Leaf", ca=False))
    wide = stage.create(tmp_path / "wide.pem", "--path-length", "1", name="Wide")
    for certificate, trust_bundle, said in (
        (text, root, "must be PEM certificates"),
        (root, text, "must be PEM certificates"),
        (root, other, 'must hold "CN=Calico CA 2026" or its issuer'),
        (leaf, leaf, "must have basic constraints CA:TRUE"),
        (wide, wide, "path length is 1, must be 0"),
    ):
        assert said in the_error(verify_files(stage, certificate, trust_bundle, "--json"))


def test_a_key_version_of_another_certificate_is_an_error(stage: Stage, root: Path) -> None:
    """The most common mistake: the certificate of one key version with the name of another."""
    said = the_error(verify_files(stage, root, None, "--json", key=stage.key(number=2)))
    assert said.startswith("key: key version ")
    assert 'its public key must be that of the CA certificate "CN=Calico CA 2026"' in said


def test_a_key_that_is_not_enabled_is_an_error(stage: Stage, root: Path) -> None:
    """GetPublicKey answers only for enabled key versions."""
    stage.server.faults.add(Fault(method="GetPublicKey", status="FAILED_PRECONDITION", times=0))
    assert f"key: key version {stage.key()}" in the_error(verify_files(stage, root, None, "--json"))


def test_a_key_with_too_low_a_protection_level_is_an_error(stage: Stage, tmp_path: Path) -> None:
    """The check requires the level of --protection-level."""
    key = stage.key(protection_level="SOFTWARE")
    software = stage.create(tmp_path / "ca.pem", "--protection-level", "SOFTWARE", key=key)
    assert "protection level is SOFTWARE" in the_error(verify_files(stage, software, None, "--json", key=key))
    accepted = verify_files(stage, software, None, "--protection-level", "SOFTWARE", key=key)
    assert accepted.exit_code == 0


def test_a_raw_key_needs_its_hash(stage: Stage, tmp_path: Path) -> None:
    """--signature-hash is required, as in the function's configuration."""
    key = stage.key("RSA_SIGN_RAW_PKCS1_2048")
    raw = stage.create(tmp_path / "ca.pem", "--signature-hash", "SHA384", key=key)
    assert "signature_hash" in the_error(verify_files(stage, raw, None, "--json", key=key))
    assert verify_files(stage, raw, None, "--signature-hash", "SHA384", key=key).exit_code == 0


def test_missing_credentials_are_one_error(
    root: Path, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command still reports the checks that need no KMS."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
    files: list[str | Path] = ["--certificate", root, "--trust-bundle", root, "--key-version", stage.key()]
    result = signerctl("ca", "verify", *files, "--json")
    assert "no credentials" in the_error(result)
    assert [check for check, _ in results(result, "ok")] == ["chain", "dates"]


DATES = {
    "expired": ((-100, -1), "error", "the function cannot issue certificates"),
    "not yet valid": ((2, 3000), "error", "is not valid before"),
    "too short for a whole lifetime": ((-10, 300), "error", "certificates get less than their 365 days"),
    "expires soon": ((-10, 400), "warning", "rotate the issuing CA"),
    "expires later": ((-10, 4000), "ok", "every CA of the chain is valid until"),
}


@pytest.mark.parametrize(("days", "level", "said"), DATES.values(), ids=DATES)
def test_expiry_has_the_level_that_the_function_logs(
    stage: Stage, tmp_path: Path, days: tuple[int, int], level: str, said: str
) -> None:
    """It is an error if the CA's end shortens certificates, and a warning before that."""
    now = datetime.now(UTC)
    ca = root_of(stage, tmp_path / "ca.pem", now + timedelta(days=days[0]), now + timedelta(days=days[1]))
    found = results(verify_files(stage, ca, None, "--json"), level)
    assert any(check == "dates" and said in message for check, message in found), found


def test_the_configured_lifetime_decides_whether_a_ca_expires_too_soon(stage: Stage, tmp_path: Path) -> None:
    """A CA of 200 days is long enough for certificates of 90 days, but not for those of a year."""
    now = datetime.now(UTC)
    root_of(stage, tmp_path / "ca.pem", now - timedelta(days=1), now + timedelta(days=200))
    short, long = (
        write_configuration(stage, tmp_path / f"{lifetime}.yaml", {"lifetime": lifetime})
        for lifetime in ("90d", "365d")
    )
    assert signerctl("ca", "verify", "--configuration", short).exit_code == 0
    said = the_error(signerctl("ca", "verify", "--configuration", long, "--json"))
    assert "certificates get less than their 365 days" in said


def test_possible_mistakes_in_a_trust_bundle_are_warnings(
    stage: Stage, corporate: Corporate, root: Path, tmp_path: Path
) -> None:
    """A wrong first CA, an anchor that is not self-signed and an expired one; two CAs of one name are an error."""
    ended = foreign("Ended", days=(-20, -10))
    trust = write(tmp_path / "trust.pem", corporate.intermediate, ended, *certificates(root))
    result = verify_files(stage, root, trust, "--json")
    assert result.exit_code == 0
    messages = [message for check, message in results(result, "warning") if check == "trust bundle"]
    assert [message.split(": ")[0].split(" is first")[0] for message in messages] == [
        '"CN=Corporate CA"',
        '"CN=Ended"',
        '"CN=Corporate CA"',
    ]
    assert "not self-signed: should be the root" in messages[0]
    assert 'is first: should be "CN=Calico CA 2026"' in messages[2]
    twins = write(tmp_path / "twins.pem", *certificates(root), foreign("Calico CA 2026"))
    assert "two CAs with different keys have this name" in the_error(verify_files(stage, root, twins, "--json"))


@pytest.mark.usefixtures("root")
def test_a_release_that_the_profile_does_not_know_is_a_warning(stage: Stage, tmp_path: Path) -> None:
    """The check succeeds, and its result names both releases."""
    newer = {"profile": {"name": "calico", "release": "3.34"}}
    document = write_configuration(stage, tmp_path / "configuration.yaml", newer)
    result = signerctl("ca", "verify", "--configuration", document, "--json")
    assert result.exit_code == 0
    (found,) = [each for each in json.loads(result.stdout)["items"] if each["check"] == "profile"]
    assert found["level"] == "warning"
    assert '"3.34" is newer than "3.33"' in found["message"]


@pytest.mark.usefixtures("root")
def test_every_signer_of_a_configuration_is_checked(stage: Stage, tmp_path: Path) -> None:
    """--cluster limits the checks to the signers of one cluster."""
    other = {"cluster": "cluster-1", "signer_name": OTHER_SIGNER}
    document = write_configuration(stage, tmp_path / "configuration.yaml", {}, other, clusters=2)
    result = signerctl("ca", "verify", "--configuration", document, "--json")
    about = [row["about"] for row in json.loads(result.stdout)["items"]]
    assert result.exit_code == 0, result.output
    assert list(dict.fromkeys(about)) == [f"cluster-0 {SIGNER_NAME}", f"cluster-1 {OTHER_SIGNER}"]
    one = signerctl("ca", "verify", "--configuration", document, "--cluster", "cluster-1", "--json")
    assert {row["about"] for row in json.loads(one.stdout)["items"]} == {f"cluster-1 {OTHER_SIGNER}"}
    none = signerctl("ca", "verify", "--configuration", document, "--cluster", "elsewhere", "--json")
    assert '--cluster: Not found: "elsewhere": ' in the_error(none)
    assert 'has ["cluster-0", "cluster-1"]' in the_error(none)


@pytest.mark.usefixtures("root")
def test_a_configuration_that_does_not_load_is_an_error(stage: Stage, tmp_path: Path) -> None:
    """The message is the function's own."""
    document = write_configuration(stage, tmp_path / "configuration.yaml", {"profile": {"name": "absent"}})
    assert "profile.name: Not found" in the_error(signerctl("ca", "verify", "--configuration", document, "--json"))
    (tmp_path / "garbage.yaml").write_bytes(b"\x00{")
    garbage = signerctl("ca", "verify", "--configuration", tmp_path / "garbage.yaml", "--json")
    assert the_error(garbage).startswith("read: garbage.yaml")


def test_name_constraints_without_a_name_of_the_profile_are_an_error(stage: Stage, tmp_path: Path) -> None:
    """Otherwise peers would refuse the certificate."""
    stage.create(tmp_path / "ca.pem", "--permit-dns", "typha-client")
    document = write_configuration(stage, tmp_path / "configuration.yaml", {})
    said = the_error(signerctl("ca", "verify", "--configuration", document, "--json"))
    assert "name constraints do not permit" in said
    assert "typha-server" in said


USAGE = {
    "no option": ([], "--certificate, --trust-bundle, --key-version: Required value"),
    "only a certificate": (["--certificate", "{file}"], "--trust-bundle, --key-version: Required value"),
    "configuration and certificate": (
        ["--configuration", "{file}", "--certificate", "{file}"],
        "--configuration: Forbidden: together with",
    ),
    "configuration and signer name": (
        ["--configuration", "{file}", "--signer-name", SIGNER_NAME],
        "--configuration: Forbidden: together with",
    ),
    "a file that is absent": (["--configuration", "{file}.absent"], "does not exist"),
}


@pytest.mark.parametrize(("options", "said"), USAGE.values(), ids=USAGE)
def test_missing_and_conflicting_options_are_usage_errors(root: Path, options: list[str], said: str) -> None:
    """The message names the missing or conflicting options."""
    result = signerctl("ca", "verify", *(option.format(file=root) for option in options))
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
