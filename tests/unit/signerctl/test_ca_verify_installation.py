"""`signerctl ca verify --installation` finds out whether the cluster's Calico accepts the function's certificates."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from tests.unit.signerctl.authorities import certificates, foreign, weak_root, write
from tests.unit.signerctl.installations import installation
from tests.unit.signerctl.stage import SIGNER_NAME, Stage, signerctl
from tests.unit.signerctl.test_ca_verify import results, the_error, verify_files, write_configuration


@pytest.fixture
def root(stage: Stage, tmp_path: Path) -> Path:
    """The issuing CA."""
    return stage.create(tmp_path / "ca.pem")


def compared(stage: Stage, root: Path, document: Any, *more: str | Path, dump: Any = yaml.safe_dump) -> Result:
    """Runs the command on an Installation from standard input."""
    return verify_files(stage, root, None, "--installation", "-", "--json", *more, stdin=dump(document))


FORMS = {
    "YAML": (yaml.safe_dump, lambda found: found),
    "JSON": (json.dumps, lambda found: found),
    "a list of one": (yaml.safe_dump, lambda found: {"apiVersion": "v1", "kind": "List", "items": [found]}),
    "what bundle prints": (yaml.safe_dump, lambda found: {"spec": found["spec"]}),
}


@pytest.mark.parametrize(("dump", "shape"), FORMS.values(), ids=FORMS)
def test_a_matching_installation_passes_every_check(stage: Stage, root: Path, dump: Any, shape: Any) -> None:
    """The output has one result each for signerName, algorithms and caCert."""
    document = shape(installation(*certificates(root)))
    result = compared(stage, root, document, "--signer-name", SIGNER_NAME, dump=dump)
    assert result.exit_code == 0, result.output
    assert results(result, "warning") == []
    passed = [(check, message) for check, message in results(result, "ok") if check.startswith("installation")]
    assert passed == [
        ("installation signer", f'signerName is "{SIGNER_NAME}", as in the function\'s configuration'),
        ("installation algorithms", "ECDSAWithCurve256 matches ECDSAWithSHA256"),
        ("installation caCert", 'Calico accepts the function\'s certificates through "CN=Calico CA 2026"'),
    ]


def test_line_ends_in_ca_cert_are_ignored(stage: Stage, root: Path) -> None:
    """Go ignores line ends in base64 too."""
    document = installation(*certificates(root))
    text: str = document["spec"]["certificateManagement"]["caCert"]
    folded = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    document["spec"]["certificateManagement"]["caCert"] = folded
    assert compared(stage, root, document).exit_code == 0


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another signer": ({"signerName": "example.com/other"}, 'signerName: Invalid value: "example.com/other"'),
    "an EC key with the default signature": (
        {"signatureAlgorithm": None},
        'signatureAlgorithm: Unsupported value: "SHA256WithRSA": supported values: "ECDSAWithSHA256", ',
    ),
    "the default key with an ECDSA signature": ({"keyAlgorithm": None}, 'because keyAlgorithm is "RSAWithSize2048"'),
    "a key that Calico does not know": (
        {"keyAlgorithm": "RSAWithSize1024"},
        'keyAlgorithm: Unsupported value: "RSAWithSize1024"',
    ),
    "plain PEM": ({"caCert": "-----BEGIN CERTIFICATE-----\n"}, "Invalid value: PEM: must be the PEM in base64"),
    "no base64": ({"caCert": "!!!"}, "must be base64"),
    "base64 of something else": ({"caCert": "aGVsbG8="}, "must be PEM certificates"),
    "no caCert": ({"caCert": None}, "caCert: Required value: must be a string"),
    "no signer name": ({"signerName": None}, "signerName: Required value: must be a string"),
    "a list for a name": ({"signerName": ["a"]}, "signerName: Invalid value: a list: must be a string"),
}


@pytest.mark.parametrize(("changes", "said"), WRONG.values(), ids=WRONG)
def test_a_value_that_breaks_calico_is_an_error(stage: Stage, root: Path, changes: dict[str, Any], said: str) -> None:
    """One fault in the Installation causes one error."""
    document = installation(*certificates(root), **changes)
    assert said in the_error(compared(stage, root, document, "--signer-name", SIGNER_NAME))


def test_the_operators_default_algorithms_match(stage: Stage, root: Path) -> None:
    """Without either algorithm, the operator uses RSA 2048 with SHA-256."""
    document = installation(*certificates(root), keyAlgorithm=None, signatureAlgorithm=None)
    assert compared(stage, root, document).exit_code == 0


def test_a_slow_key_algorithm_is_a_warning(stage: Stage, root: Path) -> None:
    """Pods with RSA 4096 sometimes exceed Calico's time limit."""
    document = installation(*certificates(root), keyAlgorithm="RSAWithSize4096", signatureAlgorithm="SHA256WithRSA")
    result = compared(stage, root, document)
    assert result.exit_code == 0
    assert "init containers rarely generate such a key in Calico's 90 seconds" in results(result, "warning")[0][1]


def test_a_cluster_that_does_not_trust_the_ca_is_an_error(stage: Stage, root: Path) -> None:
    """This mistake splits a cluster in a rotation: the function already signs with the new CA, but caCert is old."""
    said = the_error(compared(stage, root, installation(foreign("Old"))))
    assert said == (
        "installation caCert: Calico would refuse the function's certificates: caCert: Invalid value: must hold"
        ' "CN=Calico CA 2026" or its issuer; otherwise relying parties refuse the certificates'
    )


def test_an_anchor_with_a_weak_key_is_an_error(stage: Stage, root: Path, tmp_path: Path) -> None:
    """Both in caCert and in the configured trust bundle, even if the signing CA is valid."""
    weak = '"CN=Weak": its key must be RSA of 2048 bits or more'
    assert weak in the_error(compared(stage, root, installation(*certificates(root), weak_root())))
    trust = write(tmp_path / "trust.pem", *certificates(root), weak_root())
    assert weak in the_error(verify_files(stage, root, trust, "--json"))


def test_differences_between_the_bundles_are_warnings(stage: Stage, root: Path, tmp_path: Path) -> None:
    """One CA is only in caCert, one only in the configuration, and the wrong CA is first."""
    extra, planned = foreign("Extra"), foreign("Planned")
    trust = write(tmp_path / "trust.pem", *certificates(root), planned)
    document = yaml.safe_dump(installation(extra, *certificates(root)))
    result = verify_files(stage, root, trust, "--installation", "-", "--json", stdin=document)
    assert result.exit_code == 0
    assert [message.split(":")[0] for _, message in results(result, "warning")] == [
        '"CN=Extra" is first',
        '"CN=Extra" is in caCert, but not in the configured trust bundle',
        '"CN=Planned" is in the configured trust bundle, but not in caCert',
    ]


def test_a_ca_cert_with_a_private_key_is_an_error(stage: Stage, root: Path) -> None:
    """Many users may read an Installation, so it must not hold a secret."""
    text = root.read_bytes() + b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    document = installation(caCert=base64.b64encode(text).decode())
    assert "holds a private key" in the_error(compared(stage, root, document))


def test_the_installation_is_compared_with_the_signer_of_its_name(stage: Stage, root: Path, tmp_path: Path) -> None:
    """If signers of several clusters have the name, --cluster must choose one."""
    signers: tuple[dict[str, str], ...] = (
        {"signer_name": "example.com/other"},
        {},
        {"cluster": "cluster-1"},
    )
    document = write_configuration(stage, tmp_path / "configuration.yaml", *signers, clusters=2)
    text = yaml.safe_dump(installation(*certificates(root)))

    def run(*more: str, text: str = text) -> Result:
        return signerctl(
            "ca", "verify", "--configuration", document, "--installation", "-", "--json", *more, stdin=text
        )

    assert "choose one of its signers with --cluster" in the_error(run())
    chosen = run("--cluster", "cluster-0")
    assert chosen.exit_code == 0, chosen.output
    message = f'signerName is "{SIGNER_NAME}", as in the function\'s configuration'
    assert ("installation signer", message) in results(chosen, "ok")
    foreign_name = yaml.safe_dump(installation(*certificates(root), signerName="example.com/unknown"))
    assert "must be the signerName of a signer: cluster-0 example.com/other, " in the_error(
        run("--cluster", "cluster-0", text=foreign_name)
    )


def test_an_unreadable_issuer_is_the_only_error(stage: Stage, root: Path, tmp_path: Path) -> None:
    """Without an issuer, the command parses the Installation but compares nothing."""
    text = tmp_path / "text.pem"
    text.write_text("hello", encoding="utf-8")
    document = yaml.safe_dump(installation(*certificates(root)))
    result = verify_files(stage, text, None, "--installation", "-", "--json", stdin=document)
    assert "must be PEM certificates" in the_error(result)


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 9)
)
"""A few hundred bytes that expand to a thousand million strings."""
GARBAGE = {
    "nothing": ("", "installation: Required value"),
    "a scalar": ("hello", 'installation: Invalid value: "hello": must be an Installation'),
    "another kind": ("kind: Pod", 'kind: Unsupported value: "Pod"'),
    "no spec": ("kind: Installation", "spec: Required value"),
    "no certificateManagement": ("spec: {variant: Calico}", "spec.certificateManagement: Required value"),
    "null": ("spec: {certificateManagement: }", "spec.certificateManagement: Required value"),
    "two Installations": ("items: [{}, {}]", "items: Invalid value: 2 items: must be one"),
    "an odd item": ("items: [1]", 'items[0]: Invalid value: "1": must be an Installation'),
    "no YAML": ("{", "must be YAML"),
    "a control character": ("\x00", "must be YAML"),
    "a key that is no text": ("? [a]\n: b", "must be YAML"),
    "several documents": ("a: 1\n---\nb: 2", "must be YAML"),
    "a deep document": ("[" * 1100, "must be YAML"),
    "itself": ("&a {spec: *a}", "Forbidden: YAML aliases"),
    "gigabytes": (BOMB, "Forbidden: YAML aliases"),
    "a mapping for a kind": ("kind: {a: b}", "kind: Unsupported value: a dict"),
}


@pytest.mark.parametrize(("text", "said"), GARBAGE.values(), ids=GARBAGE)
def test_input_that_is_not_an_installation_is_an_error(stage: Stage, root: Path, text: str, said: str) -> None:
    """The one error names the path, the value and the rule."""
    result = verify_files(stage, root, None, "--installation", "-", "--json", stdin=text)
    assert said in the_error(result)
