"""`signerctl ca verify --installation`: whether Calico in the cluster accepts what the function signs."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.unit.signerctl.authorities import certificates, foreign, weak_root, write
from tests.unit.signerctl.stage import SIGNER_NAME, Stage, signerctl
from tests.unit.signerctl.test_ca_verify import findings, the_error, verify_files, write_configuration


@pytest.fixture
def root(stage: Stage, tmp_path: Path) -> Path:
    """The issuing CA."""
    return stage.create(tmp_path / "ca.pem")


def installation(*found: x509.Certificate, **changes: Any) -> dict[str, Any]:
    """The Installation as kubectl prints it; a change of None leaves a field out."""
    text = b"".join(each.public_bytes(Encoding.PEM) for each in found)
    management = {
        "caCert": base64.b64encode(text).decode(),
        "signerName": SIGNER_NAME,
        "keyAlgorithm": "ECDSAWithCurve256",
        "signatureAlgorithm": "ECDSAWithSHA256",
        **changes,
    }
    return {
        "apiVersion": "operator.tigera.io/v1",
        "kind": "Installation",
        "metadata": {"name": "default", "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 3},
        "spec": {
            "variant": "Calico",
            "certificateManagement": {key: value for key, value in management.items() if value is not None},
        },
        "status": {"mtu": 1440},
    }


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
def test_an_installation_that_fits_is_told_so(stage: Stage, root: Path, dump: Any, shape: Any) -> None:
    """Signer name, algorithms and caCert, each with what was found."""
    document = shape(installation(*certificates(root)))
    result = compared(stage, root, document, "--signer-name", SIGNER_NAME, dump=dump)
    assert result.exit_code == 0, result.output
    assert findings(result, "warning") == []
    told = [(check, message) for check, message in findings(result, "ok") if check.startswith("installation")]
    assert told == [
        ("installation signer", f"signerName is '{SIGNER_NAME}', as the function's"),
        ("installation algorithms", "ECDSAWithCurve256 with ECDSAWithSHA256 go together"),
        ("installation caCert", 'Calico accepts what the function signs, by "CN=Calico CA 2026"'),
    ]


def test_a_folded_ca_cert_is_read_as_go_does(stage: Stage, root: Path) -> None:
    """Line ends within base64 mean nothing."""
    document = installation(*certificates(root))
    text: str = document["spec"]["certificateManagement"]["caCert"]
    folded = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    document["spec"]["certificateManagement"]["caCert"] = folded
    assert compared(stage, root, document).exit_code == 0


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another signer": ({"signerName": "example.com/other"}, "signerName: got 'example.com/other'"),
    "an EC key with the default signature": (
        {"signatureAlgorithm": None},
        'keyAlgorithm ECDSAWithCurve256 with signatureAlgorithm "SHA256WithRSA": pods cannot create a request',
    ),
    "the default key with an ECDSA signature": ({"keyAlgorithm": None}, "RSAWithSize2048 with signatureAlgorithm"),
    "a key that Calico does not know": (
        {"keyAlgorithm": "RSAWithSize1024"},
        'keyAlgorithm: Unsupported value: "RSAWithSize1024"',
    ),
    "PEM itself": ({"caCert": "-----BEGIN CERTIFICATE-----\n"}, "Invalid value: PEM: must be base64"),
    "no base64": ({"caCert": "!!!"}, "must be base64"),
    "base64 of something else": ({"caCert": "aGVsbG8="}, "must be PEM certificates"),
    "no caCert": ({"caCert": None}, "caCert: Invalid value: nothing: must be a string"),
    "no signer name": ({"signerName": None}, "signerName: Invalid value: nothing"),
    "a list for a name": ({"signerName": ["a"]}, "signerName: Invalid value: a list: must be a string"),
}


@pytest.mark.parametrize(("changes", "said"), WRONG.values(), ids=WRONG)
def test_what_calico_would_stumble_over_is_an_error(
    stage: Stage, root: Path, changes: dict[str, Any], said: str
) -> None:
    """One thing wrong, one error."""
    document = installation(*certificates(root), **changes)
    assert said in the_error(compared(stage, root, document, "--signer-name", SIGNER_NAME))


def test_the_operators_defaults_go_together(stage: Stage, root: Path) -> None:
    """Both algorithms left out are RSA 2048 with SHA-256."""
    document = installation(*certificates(root), keyAlgorithm=None, signatureAlgorithm=None)
    assert compared(stage, root, document).exit_code == 0


def test_slow_keys_are_warned_of(stage: Stage, root: Path) -> None:
    """RSA 4096 works, sometimes."""
    document = installation(*certificates(root), keyAlgorithm="RSAWithSize4096", signatureAlgorithm="SHA256WithRSA")
    result = compared(stage, root, document)
    assert result.exit_code == 0
    assert "rarely finishes within Calico's 90 seconds" in findings(result, "warning")[0][1]


def test_a_cluster_that_does_not_trust_the_ca_is_an_error(stage: Stage, root: Path) -> None:
    """The mistake that splits a cluster in a rotation: the function switched, caCert did not."""
    said = the_error(compared(stage, root, installation(foreign("Old"))))
    assert said == (
        "installation caCert: Calico would refuse what the function signs: caCert: Invalid value: must hold"
        ' "CN=Calico CA 2026" or its issuer; otherwise relying parties refuse the certificates'
    )


def test_an_anchor_with_a_key_that_can_be_broken_is_an_error(stage: Stage, root: Path, tmp_path: Path) -> None:
    """In the cluster's caCert as in the configured trust bundle, however right the CA that signs is."""
    weak = '"CN=Weak": its key must be RSA of 2048 bits or more'
    assert weak in the_error(compared(stage, root, installation(*certificates(root), weak_root())))
    trust = write(tmp_path / "trust.pem", *certificates(root), weak_root())
    assert weak in the_error(verify_files(stage, root, trust, "--json"))


def test_bundles_that_differ_are_warned_of(stage: Stage, root: Path, tmp_path: Path) -> None:
    """Trusted in the cluster alone, in the configuration alone, and another CA first."""
    extra, planned = foreign("Extra"), foreign("Planned")
    trust = write(tmp_path / "trust.pem", *certificates(root), planned)
    document = yaml.safe_dump(installation(extra, *certificates(root)))
    result = verify_files(stage, root, trust, "--installation", "-", "--json", stdin=document)
    assert result.exit_code == 0
    assert [message.split(":")[0] for _, message in findings(result, "warning")] == [
        '"CN=Extra" is first, but must be the CA that signs now, "CN=Calico CA 2026"',
        '"CN=Extra" is in caCert, but not in the configured trust bundle',
        '"CN=Planned" is in the configured trust bundle, but not in caCert',
    ]


def test_a_ca_cert_with_a_private_key_is_an_error(stage: Stage, root: Path) -> None:
    """A secret in an Installation, which many may read."""
    text = root.read_bytes() + b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    document = installation(caCert=base64.b64encode(text).decode())
    assert "holds a private key" in the_error(compared(stage, root, document))


def test_the_signer_that_the_cluster_asks_is_compared(stage: Stage, root: Path, tmp_path: Path) -> None:
    """Of several signers the one of that name; where several clusters have it, --cluster must choose."""
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

    assert "several signers serve it, choose one with --cluster" in the_error(run())
    chosen = run("--cluster", "cluster-0")
    assert chosen.exit_code == 0, chosen.output
    assert ("installation signer", f"signerName is '{SIGNER_NAME}', as the function's") in findings(chosen, "ok")
    foreign_name = yaml.safe_dump(installation(*certificates(root), signerName="example.com/nobody"))
    assert "no signer serves it: cluster-0 example.com/other, " in the_error(
        run("--cluster", "cluster-0", text=foreign_name)
    )


def test_without_an_issuer_there_is_nothing_to_compare(stage: Stage, root: Path, tmp_path: Path) -> None:
    """The one error is that of the files; the Installation is read all the same."""
    text = tmp_path / "text.pem"
    text.write_text("hello", encoding="utf-8")
    document = yaml.safe_dump(installation(*certificates(root)))
    result = verify_files(stage, text, None, "--installation", "-", "--json", stdin=document)
    assert "must be PEM certificates" in the_error(result)


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 9)
)
"""A few hundred bytes that stand for a thousand million texts."""
GARBAGE = {
    "nothing": ("", "the document is absent"),
    "a scalar": ("hello", "the document is no mapping"),
    "another kind": ("kind: Pod", 'kind: Unsupported value: "Pod"'),
    "no spec": ("kind: Installation", "spec is absent"),
    "no certificateManagement": ("spec: {variant: Calico}", "spec.certificateManagement is absent"),
    "null": ("spec: {certificateManagement: }", "spec.certificateManagement is absent"),
    "two Installations": ("items: [{}, {}]", "a list of 2 items"),
    "an odd item": ("items: [1]", "the item is no mapping"),
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
def test_what_is_no_installation_is_an_error(stage: Stage, root: Path, text: str, said: str) -> None:
    """One finding that says what was got and what is wanted."""
    result = verify_files(stage, root, None, "--installation", "-", "--json", stdin=text)
    assert said in the_error(result)
