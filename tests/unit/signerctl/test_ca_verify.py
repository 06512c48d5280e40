"""`signerctl ca verify`: every finding is named, and what the function or Calico would refuse is an error."""

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
    """A document of the function with these signers; each may change what the first of them is."""
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


def findings(result: Result, level: str) -> list[tuple[str, str]]:
    """Checks and messages of one level."""
    assert result.exit_code == (1 if '"level": "error"' in result.stdout else 0), result.output
    rows = json.loads(result.stdout)["findings"]
    return [(row["check"], row["message"]) for row in rows if row["level"] == level]


def the_error(result: Result) -> str:
    """The message of the only error, and of its check."""
    ((check, message),) = findings(result, "error")
    return f"{check}: {message}"


def test_files_that_fit_are_told_so(stage: Stage, root: Path) -> None:
    """Chain, key and dates, each with what was found; exit status 0."""
    result = verify_files(stage, root)
    assert result.exit_code == 0
    assert [line.split()[:2] for line in result.stdout.splitlines()[1:-1]] == [
        ["ok", "chain"],
        ["ok", "key"],
        ["ok", "dates"],
    ]
    assert result.stdout.splitlines()[-1] == "errors: 0, warnings: 0"
    assert f"{stage.key()} is enabled, EC_SIGN_P256_SHA256 with sha256, HSM" in result.stdout


def test_a_chain_below_a_corporate_root_is_told_from_below(stage: Stage, corporate: Corporate, tmp_path: Path) -> None:
    """The way from the issuing CA to the anchor."""
    request = tmp_path / "ca.csr"
    stage.done("request", "--key-version", stage.key(), "--common-name", "Issuing", "--out", request)
    chain = write(tmp_path / "chain.pem", corporate.answer(request), corporate.intermediate)
    trust = write(tmp_path / "trust.pem", corporate.root)
    assert findings(verify_files(stage, chain, trust, "--json"), "ok")[0] == (
        "chain",
        '"CN=Issuing" issued by "CN=Corporate CA" issued by "CN=Corporate root"; the last is the trust anchor',
    )


def test_a_file_that_the_function_would_refuse_is_an_error(stage: Stage, root: Path, tmp_path: Path) -> None:
    """With the function's own words: no certificate, a wrong anchor, a CA that is none, a key beside it."""
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


def test_a_key_that_is_not_the_certificates_is_an_error(stage: Stage, root: Path) -> None:
    """The most common mistake: the certificate of one version, the name of another."""
    said = the_error(verify_files(stage, root, None, "--json", key=stage.key(number=2)))
    assert said.startswith("key: key version ")
    assert 'its public key must be that of the CA certificate "CN=Calico CA 2026"' in said


def test_a_key_that_is_not_enabled_is_an_error(stage: Stage, root: Path) -> None:
    """GetPublicKey answers for enabled versions alone."""
    stage.server.faults.add(Fault(method="GetPublicKey", status="FAILED_PRECONDITION", times=0))
    assert f"key: key version {stage.key()}" in the_error(verify_files(stage, root, None, "--json"))


def test_a_key_that_is_protected_too_weakly_is_an_error(stage: Stage, tmp_path: Path) -> None:
    """The floor that is asked for is the floor of the check."""
    key = stage.key(protection_level="SOFTWARE")
    software = stage.create(tmp_path / "ca.pem", "--protection-level", "SOFTWARE", key=key)
    assert "protection level is SOFTWARE" in the_error(verify_files(stage, software, None, "--json", key=key))
    accepted = verify_files(stage, software, None, "--protection-level", "SOFTWARE", key=key)
    assert accepted.exit_code == 0


def test_a_raw_key_needs_its_hash(stage: Stage, tmp_path: Path) -> None:
    """As in the function's configuration."""
    key = stage.key("RSA_SIGN_RAW_PKCS1_2048")
    raw = stage.create(tmp_path / "ca.pem", "--signature-hash", "SHA384", key=key)
    assert "signature_hash" in the_error(verify_files(stage, raw, None, "--json", key=key))
    assert verify_files(stage, raw, None, "--signature-hash", "SHA384", key=key).exit_code == 0


def test_no_credentials_are_a_finding(
    root: Path, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could be looked at is told nevertheless."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
    files: list[str | Path] = ["--certificate", root, "--trust-bundle", root, "--key-version", stage.key()]
    result = signerctl("ca", "verify", *files, "--json")
    assert "no credentials" in the_error(result)
    assert [check for check, _ in findings(result, "ok")] == ["chain", "dates"]


DATES = {
    "ended": ((-100, -1), "error", "the function cannot issue certificates"),
    "not begun": ((2, 3000), "error", "is not valid before"),
    "too short for a whole lifetime": ((-10, 300), "error", "certificates get less than their 365 days"),
    "ends soon": ((-10, 400), "warning", "rotate the issuing CA"),
    "far away": ((-10, 4000), "ok", "every CA of the chain is valid until"),
}


@pytest.mark.parametrize(("days", "level", "said"), DATES.values(), ids=DATES)
def test_what_ends_is_told_as_the_function_logs_it(
    stage: Stage, tmp_path: Path, days: tuple[int, int], level: str, said: str
) -> None:
    """The same severities: an error once certificates are cut short, a warning before."""
    now = datetime.now(UTC)
    ca = root_of(stage, tmp_path / "ca.pem", now + timedelta(days=days[0]), now + timedelta(days=days[1]))
    found = findings(verify_files(stage, ca, None, "--json"), level)
    assert any(check == "dates" and said in message for check, message in found), found


def test_the_lifetime_of_the_configuration_decides_what_ends_too_soon(stage: Stage, tmp_path: Path) -> None:
    """A CA of 200 days is long enough for certificates of 90, and not for those of a year."""
    now = datetime.now(UTC)
    root_of(stage, tmp_path / "ca.pem", now - timedelta(days=1), now + timedelta(days=200))
    short, long = (
        write_configuration(stage, tmp_path / f"{lifetime}.yaml", {"lifetime": lifetime})
        for lifetime in ("90d", "365d")
    )
    assert signerctl("ca", "verify", "--configuration", short).exit_code == 0
    said = the_error(signerctl("ca", "verify", "--configuration", long, "--json"))
    assert "certificates get less than their 365 days" in said


def test_a_trust_bundle_that_may_be_a_mistake_is_warned_of(
    stage: Stage, corporate: Corporate, root: Path, tmp_path: Path
) -> None:
    """The signing CA not first, an anchor that is not self-signed, one that has ended; two CAs of one name."""
    ended = foreign("Ended", days=(-20, -10))
    trust = write(tmp_path / "trust.pem", corporate.intermediate, ended, *certificates(root))
    result = verify_files(stage, root, trust, "--json")
    assert result.exit_code == 0
    messages = [message for check, message in findings(result, "warning") if check == "trust bundle"]
    assert [message.split(": ")[0].split(" is first")[0] for message in messages] == [
        '"CN=Corporate CA"',
        '"CN=Ended"',
        '"CN=Corporate CA"',
    ]
    assert "is not self-signed" in messages[0]
    assert 'is first, but must be the CA that signs now, "CN=Calico CA 2026"' in messages[2]
    twins = write(tmp_path / "twins.pem", *certificates(root), foreign("Calico CA 2026"))
    assert "two CAs with different keys have this name" in the_error(verify_files(stage, root, twins, "--json"))


@pytest.mark.usefixtures("root")
def test_a_configuration_is_verified_signer_by_signer(stage: Stage, tmp_path: Path) -> None:
    """Everything that the document names, as the function loads it; --cluster takes some of it."""
    other = {"cluster": "cluster-1", "signer_name": OTHER_SIGNER}
    document = write_configuration(stage, tmp_path / "configuration.yaml", {}, other, clusters=2)
    result = signerctl("ca", "verify", "--configuration", document, "--json")
    about = [row["about"] for row in json.loads(result.stdout)["findings"]]
    assert result.exit_code == 0, result.output
    assert list(dict.fromkeys(about)) == [f"cluster-0 {SIGNER_NAME}", f"cluster-1 {OTHER_SIGNER}"]
    one = signerctl("ca", "verify", "--configuration", document, "--cluster", "cluster-1", "--json")
    assert {row["about"] for row in json.loads(one.stdout)["findings"]} == {f"cluster-1 {OTHER_SIGNER}"}
    none = signerctl("ca", "verify", "--configuration", document, "--cluster", "elsewhere", "--json")
    assert "Not found: 'elsewhere': supported values: cluster-0, cluster-1" in the_error(none)


@pytest.mark.usefixtures("root")
def test_a_configuration_that_does_not_load_is_an_error(stage: Stage, tmp_path: Path) -> None:
    """With the function's own words."""
    document = write_configuration(stage, tmp_path / "configuration.yaml", {"profile": {"name": "absent"}})
    assert "profile.name: Not found" in the_error(signerctl("ca", "verify", "--configuration", document, "--json"))
    (tmp_path / "garbage.yaml").write_bytes(b"\x00{")
    garbage = signerctl("ca", "verify", "--configuration", tmp_path / "garbage.yaml", "--json")
    assert the_error(garbage).startswith("read: garbage.yaml")


def test_a_ca_that_may_not_certify_the_profiles_names_is_an_error(stage: Stage, tmp_path: Path) -> None:
    """Name constraints that leave out a name of the profile: peers would refuse the certificate."""
    stage.create(tmp_path / "ca.pem", "--permit-dns", "typha-client")
    document = write_configuration(stage, tmp_path / "configuration.yaml", {})
    said = the_error(signerctl("ca", "verify", "--configuration", document, "--json"))
    assert "name constraints do not permit" in said
    assert "typha-server" in said


USAGE = {
    "nothing at all": ([], "Required value: --certificate, --trust-bundle, --key-version"),
    "a certificate alone": (["--certificate", "{file}"], "Required value: --trust-bundle, --key-version"),
    "both ways at once": (["--configuration", "{file}", "--certificate", "{file}"], "--configuration names"),
    "a signer name beside a configuration": (
        ["--configuration", "{file}", "--signer-name", SIGNER_NAME],
        "--configuration names",
    ),
    "a file that is absent": (["--configuration", "{file}.absent"], "does not exist"),
}


@pytest.mark.parametrize(("options", "said"), USAGE.values(), ids=USAGE)
def test_options_that_do_not_go_together_are_a_usage_error(root: Path, options: list[str], said: str) -> None:
    """What is missing, or too much, is named."""
    result = signerctl("ca", "verify", *(option.format(file=root) for option in options))
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
