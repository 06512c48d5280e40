"""What `signerctl key-pairs` prints, and what it refuses; tests/key_pairs runs it on a real API server."""

from __future__ import annotations

import base64
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sandbox.api import CSRS
from tests.unit.signerctl.answers import Answers, answering
from tests.unit.signerctl.key_pairs.test_need import CA, pod
from tests.unit.signerctl.key_pairs.test_provision import UID, signed
from tests.unit.signerctl.stage import logged, signerctl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

PODS = "GET /api/v1/namespaces/calico-system/pods"
INSTALLATION = "GET /apis/operator.tigera.io/v1/installations/default"
SIGNER = ("--signer", "csr-signer.example.com/calico", "--release", "3.33")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Answers]:
    """An API server with Goldmane's pod and no Secret."""
    with answering() as answers:
        answers.kubeconfig(tmp_path)
        answers.prepared |= {PODS: (200, {"items": [pod()]})}
        (tmp_path / "ca.pem").write_bytes(CA.public_bytes(Encoding.PEM))
        yield answers


def run(folder: Path, *arguments: str) -> Result:
    """Runs the command with the CA that the components trust."""
    kubeconfig, trust = folder / "answers.kubeconfig", folder / "ca.pem"
    return signerctl("key-pairs", "--kubeconfig", kubeconfig, "--trust-bundle", trust, *arguments)


def states(result: Result) -> dict[str, Any]:
    """The states by component."""
    return {each["component"]: each["state"] for each in json.loads(result.stdout)["items"]}


def test_a_dry_run_shows_every_key_pair_and_writes_nothing(api: Answers, tmp_path: Path) -> None:
    """Of the release, in the order of the profile."""
    found = states(run(tmp_path, *SIGNER, "--dry-run", "-o", "json"))
    others = ("whisker", "whisker-backend", "guardian", "calico-webhooks")
    assert found == {"goldmane": "missing", **dict.fromkeys(others, "absent")}
    assert {method for method, _, _, _ in api.received} == {"GET"}


def test_a_component_that_is_named_must_be_there(api: Answers, tmp_path: Path) -> None:
    """Without names, not every cluster has every component."""
    assert run(tmp_path, *SIGNER, "--dry-run").exit_code == 0
    result = run(tmp_path, *SIGNER, "--dry-run", "whisker")
    assert result.exit_code == 1
    assert "error: whisker: no pending or running pod of service account calico-system/whisker" in result.stderr


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "an unknown component": (
        (*SIGNER, "felix"),
        'COMPONENT: Unsupported value: "felix": supported values: "calico-webhooks", "goldmane", "guardian", ',
    ),
    "an unknown Secret": (
        (*SIGNER, "--replace", "a/b"),
        '--replace: Unsupported value: "a/b": supported values: "calico-system/',
    ),
    "an older release has none": (
        ("--signer", "a.example.com/b", "--release", "3.29", "goldmane"),
        "COMPONENT: Forbidden: the release has no component that needs a key pair",
    ),
    "neither": ((), "--configuration: Required value: or give --signer and --release"),
    "no release": (
        ("--signer", "a.example.com/b"),
        "--release: Required value: together with --signer: Calico's release, such as 3.31",
    ),
    "no signer": (("--release", "3.31"), "--signer: Required value: together with --release"),
    "a release that is none": (
        ("--signer", "a.example.com/b", "--release", "new"),
        '--release: profile.release: Invalid value: "new": must be MAJOR.MINOR, without a patch release',
    ),
    "both": ((*SIGNER, "--configuration", "ca.pem"), "--signer: Forbidden: together with --configuration"),
    "no part": ((*SIGNER, "--remaining", "2"), "must be a part of the lifetime"),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_command_line_is_a_field_error(
    api: Answers, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    """It names the option, the value and what is allowed."""
    result = run(tmp_path, *(str(tmp_path / each) if each.endswith(".pem") else each for each in arguments))
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())


def test_without_an_installation_the_trust_bundle_is_required(api: Answers, tmp_path: Path) -> None:
    """The certificate must chain to what the components trust; a CronJob's log has the error too."""
    command = ("key-pairs", "--kubeconfig", tmp_path / "answers.kubeconfig", *SIGNER)
    assert "--trust-bundle: Required value: the cluster has no Installation" in signerctl(*command).stderr
    (line,) = logged(signerctl(*command, "--log-format", "json"))
    assert (line["severity"], line["event"]) == ("ERROR", "key_pair_failed")


def test_a_secret_that_another_program_made_meanwhile_stays(api: Answers, tmp_path: Path) -> None:
    """The command looks again before it asks for the certificate."""
    present = iter([(404, {"reason": "NotFound"}), (200, {"metadata": {"name": "goldmane-key-pair"}, "data": {}})])
    api.prepared["GET /api/v1/namespaces/tigera-operator/secrets/goldmane-key-pair"] = lambda _: next(present)
    result = run(tmp_path, *SIGNER, "--log-format", "json", "goldmane")
    assert result.exit_code == 1
    assert "signerctl did not create it" in logged(result)[0]["message"]
    assert {method for method, _, _, _ in api.received} == {"GET"}


def test_a_wrong_release_is_in_the_log_too(api: Answers, tmp_path: Path) -> None:
    """The alert searches the CronJob's log for the event."""
    result = run(tmp_path, "--signer", "example.com/any", "--release", "2.0", "--log-format", "json")
    assert result.exit_code == 2
    (line,) = logged(result)
    assert (line["severity"], line["event"]) == ("ERROR", "key_pair_failed")
    assert line["message"].startswith("--release: ")


def test_a_wrong_configuration_is_no_internal_error(api: Answers, tmp_path: Path) -> None:
    """The log names the field, once."""
    path = tmp_path / "configuration.yaml"
    path.write_text("clusters: {}")
    result = run(tmp_path, "--configuration", str(path), "--log-format", "json")
    assert result.exit_code == 1
    assert "signers: Required value" in logged(result)[0]["message"]
    assert "internal error" not in result.output
    assert result.stderr == ""


def test_a_log_has_no_list(api: Answers, tmp_path: Path) -> None:
    """A form of the list together with it is an error, as in `signerctl renew`; the log has it for the alert."""
    result = run(tmp_path, *SIGNER, "--log-format", "json", "-o", "json")
    assert result.exit_code == 2
    message = "--output: Forbidden: together with --log-format json, which prints no list"
    assert message in result.stderr
    assert (logged(result)[-1]["event"], logged(result)[-1]["message"]) == ("key_pair_failed", message)


def test_one_fault_stops_no_other_key_pair(api: Answers, tmp_path: Path) -> None:
    """Each failure is a line, and the exit status is 1."""
    whisker = pod("whisker-1", serviceAccountName="whisker", volumes=[{"name": "whisker-key-pair", "emptyDir": {}}])
    api.prepared[PODS] = 200, {"items": [pod(), whisker]}
    result = run(tmp_path, *SIGNER, "--log-format", "json")
    assert result.exit_code == 1
    lines = logged(result)
    assert [(line["event"], line["component"]) for line in lines] == [
        ("key_pair_failed", "goldmane"),
        ("key_pair_failed", "whisker"),
    ]
    assert "serviceaccounts/goldmane/token: 404" in lines[0]["message"]


def test_a_refused_csr_delays_the_other_secret_of_its_pod_but_does_not_stop_it(api: Answers, tmp_path: Path) -> None:
    """No Secret is written before both CSRs have ended, because the operator then replaces the pod."""
    names = ("whisker-key-pair", "whisker-backend-key-pair")
    whisker = pod("whisker-1", serviceAccountName="whisker", volumes=[{"name": name, "emptyDir": {}} for name in names])
    filed: dict[str, Any] = {}

    def file(body: dict[str, Any]) -> tuple[int, object]:
        name = body["metadata"]["name"]
        status: dict[str, Any] = {"certificate": base64.b64encode(signed(body)).decode()}
        if name.startswith("whisker-backend"):
            status = {"conditions": [{"type": "Denied", "reason": "any", "message": "any"}]}
        filed[name] = {**body, "metadata": {**body["metadata"], "uid": UID}, "status": status}
        return 201, filed[name]

    def answered(name: str, _: object) -> tuple[int, object]:
        return 200, filed[name]

    csrs = {f"{CSRS}/{name}%3Awhisker-1": f"{name}:whisker-1" for name in names}
    api.prepared |= {
        PODS: (200, {"items": [whisker]}),
        "POST /api/v1/namespaces/calico-system/serviceaccounts/whisker/token": (201, {"status": {"token": "any"}}),
        f"POST {CSRS}": file,
        "POST /api/v1/namespaces/calico-system/secrets": (201, {"kind": "Secret"}),
        **{f"DELETE {path}": (200, {"kind": "Status"}) for path in csrs},
        **{f"GET {path}": partial(answered, name) for path, name in csrs.items()},
    }
    result = run(tmp_path, *SIGNER, "--log-format", "json")
    assert result.exit_code == 1
    lines = logged(result)
    assert [(line["event"], line["component"]) for line in lines] == [
        ("key_pair_failed", "whisker-backend"),
        ("key_pair_provided", "whisker"),
    ]
    calls = [(method, path) for method, path, *_ in api.received]
    secrets = [at for at, (method, path) in enumerate(calls) if path.endswith("/secrets") and method == "POST"]
    assert len(secrets) == 1
    assert secrets[0] > max(at for at, (_, path) in enumerate(calls) if path.startswith(CSRS))
