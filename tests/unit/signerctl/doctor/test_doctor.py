"""`signerctl doctor` makes all checks in their order, prints one line each, and ends with the right status."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from signerctl.doctor import result as doctor_result
from signerctl.doctor.examination import Examination, Options
from signerctl.doctor.walk import CHECKS, count, until_healthy
from signerctl.objects import CSRS
from tests.paths import ROOT
from tests.unit.signerctl.answers import Answers
from tests.unit.signerctl.doctor.healthy import BINDING, CALICO, HONEST, NAMESPACE, REVIEWS, pod, review
from tests.unit.signerctl.stage import signerctl

NAMES = [check.name for check in CHECKS]


@pytest.fixture
def healthy(api: Answers, service: Answers) -> None:
    """Every program answers as it should; the cluster has no Installation and no policies."""
    service.prepared |= HONEST | {"GET /readyz": (200, {"ok": True, "reasons": []})}
    api.prepared |= CALICO | {
        f"GET {CSRS}": (200, {"items": []}),
        "GET /version": (200, {"gitVersion": "v1.37.2"}),
        NAMESPACE: (200, {"kind": "Namespace"}),
        f"{NAMESPACE}/pods": (200, {"items": [pod("calico-node")], "metadata": {}}),
        REVIEWS: review(),
    }


@pytest.fixture
def command(document: Path, exporter_document: Path, api: Answers, service: Answers, tmp_path: Path) -> list[str]:
    """The command with all options."""
    options = {
        "--configuration": document,
        "--kubeconfig": api.kubeconfig(tmp_path),
        "--exporter-configuration": exporter_document,
        "--exporter-url": service.url,
    }
    return ["doctor", *(str(each) for option in options.items() for each in option)]


def items(result: Result) -> dict[str, Any]:
    """Returns the checks of JSON output by name."""
    return {each["check"]: each for each in json.loads(result.stdout)["items"]}


def test_a_fault_of_a_check_hides_no_other_result(healthy: None, command: list[str], api: Answers) -> None:
    """A server may answer with something that no check expects."""
    api.prepared["GET /version"] = 200, {"gitVersion": 1}
    api.prepared[f"{NAMESPACE}/pods"] = 200, {"items": [{}], "metadata": {}}
    found = items(signerctl(*command, "-o", "json"))
    assert set(found) == set(NAMES)
    assert found["pods"]["level"] == "error"
    assert found["pods"]["found"] == "internal error in signerctl: KeyError: 'spec'"


def test_each_check_needs_only_earlier_ones() -> None:
    """A check that needs a later one would always be unknown, or never."""
    for number, check in enumerate(CHECKS):
        assert set(check.needs) <= set(NAMES[:number])
    assert len(set(NAMES)) == len(NAMES)


def test_the_page_lists_every_check() -> None:
    """docs/signerctl.md explains each check, in the order of the walk."""
    page = (ROOT / "docs" / "signerctl.md").read_text(encoding="utf-8")
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert [name for name in rows if name in NAMES] == NAMES


@pytest.mark.usefixtures("healthy")
def test_a_healthy_deployment_ends_with_0(command: list[str]) -> None:
    """Each check has one line, in order; no token is in the output."""
    result = signerctl(*command)
    assert result.exit_code == 0, result.output
    *checks, last = [re.split("  +", line) for line in result.stdout.splitlines()]
    assert [name for _, name, *_ in checks] == NAMES
    assert {level for level, *_ in checks} == {"ok", "not applicable"}
    assert last == [f"{len(NAMES) - 2} ok, 0 warnings, 0 errors, 0 unknown"]
    assert "secret" not in result.output


@pytest.mark.usefixtures("healthy")
def test_an_error_ends_with_1_and_blocks_what_needs_it(command: list[str], service: Answers) -> None:
    """Later checks go on; those that need the failed one are unknown, and say so."""
    service.prepared["POST /v1/token"] = 400, {"error": "invalid_grant", "error_description": "wrong audience"}
    result = signerctl(*command, "-o", "json")
    assert result.exit_code == 1
    found = items(result)
    assert list(found) == NAMES
    assert json.loads(result.stdout)["errors"] == 1
    assert set(found["sts"]) == {"check", "level", "found", "remedy"}
    assert found["sts"]["level"] == "error"
    assert found["iam"]["found"] == "needs sts"
    assert found["invoker"]["found"] == "needs iam"
    assert found["kms-key"]["level"] == "ok"


@pytest.mark.usefixtures("healthy")
def test_what_the_operator_may_not_see_is_unknown_and_ends_with_3(command: list[str], api: Answers) -> None:
    """The operator's missing right is no fault of the deployment."""
    api.prepared[REVIEWS] = 403, {"kind": "Status", "reason": "Forbidden", "message": "no right to review"}
    api.prepared[BINDING] = 403, {"kind": "Status"}
    result = signerctl(*command, "--json", "--wait")
    assert result.exit_code == 3
    assert items(result)["rights"]["level"] == "unknown"
    assert "no right to review" in items(result)["rights"]["found"]


@pytest.mark.usefixtures("healthy")
def test_an_unreachable_api_server_does_not_stop_the_walk(command: list[str], tmp_path: Path) -> None:
    """The key and the issuer need no cluster."""
    path = tmp_path / "answers.kubeconfig"
    path.write_text(path.read_text().replace("http://127.0.0.1:", "http://127.0.0.1:1#"))
    result = signerctl(*command, "--json")
    assert result.exit_code == 1
    found = items(result)
    assert found["api-server"]["level"] == "error"
    assert {name for name, each in found.items() if each["found"] == "needs api-server"} >= {"rights", "guards"}
    assert [name for name, each in found.items() if each["level"] == "error"] == ["api-server"]
    assert found["kms-key"]["level"] == found["function"]["level"] == "ok"


@dataclass(kw_only=True)
class VirtualClock:
    """Time passes only while the program sleeps."""

    now: float = 0.0

    def sleep(self, seconds: float) -> None:
        """Lets time pass."""
        self.now += seconds


Wait = Callable[[], tuple[Mapping[str, doctor_result.Result], list[str], float]]
NOT_READY: tuple[int, object] = (503, {"ok": False, "reasons": ["no ID token yet"]})


@pytest.fixture
def wait(document: Path, exporter_document: Path, api: Answers, service: Answers, tmp_path: Path) -> Wait:
    """Walks with `--wait` for a minute; returns the results, the names of the shown checks, and the seconds."""
    options = Options(
        configuration=document,
        kubeconfig=api.kubeconfig(tmp_path),
        exporter_configuration=exporter_document,
        exporter_url=service.url,
    )

    def run() -> tuple[Mapping[str, doctor_result.Result], list[str], float]:
        shown: list[str] = []
        clock = VirtualClock()
        results = until_healthy(
            lambda: Examination(options=options),
            lambda check, _outcome: shown.append(check.name),
            timeout=60.0,
            clock=lambda: clock.now,
            sleep=clock.sleep,
        )
        return results, shown, clock.now

    return run


@pytest.mark.usefixtures("healthy")
def test_wait_repeats_until_no_check_fails(wait: Wait, service: Answers) -> None:
    """It shows the whole walk once, and then only what changes."""
    states: Iterator[tuple[int, object]] = iter([NOT_READY] * 2 + [(200, {"ok": True, "reasons": []})])
    service.prepared["GET /readyz"] = lambda _: next(states)
    results, shown, seconds = wait()
    assert count(results, "error") == 0
    assert shown == [*NAMES, "exporter"]
    assert seconds < 60


@pytest.mark.usefixtures("healthy")
def test_wait_gives_up_after_the_timeout(wait: Wait, service: Answers) -> None:
    """A script that waits for an installation must end; the error is shown once."""
    service.prepared["GET /readyz"] = NOT_READY
    results, shown, seconds = wait()
    assert count(results, "error") == 1
    assert (shown, seconds) == (NAMES, 60.0)


@pytest.mark.usefixtures("healthy")
def test_wait_ends_with_a_healthy_deployment(command: list[str]) -> None:
    """It does not wait then."""
    assert signerctl(*command, "--wait").exit_code == 0


@pytest.mark.usefixtures("healthy")
def test_attack_one_object_that_cannot_be_read_hides_no_other_result(command: list[str], api: Answers) -> None:
    """Its writer would switch off all later checks. Nor does a failed question about the guards count as an answer."""
    api.prepared[f"GET {CSRS}"] = 200, b"[" * 10_000
    api.prepared["GET /apis/admissionregistration.k8s.io/v1"] = 429, {"kind": "Status", "message": "too many requests"}
    found = items(signerctl(*command, "-o", "json"))
    assert found["waiting"]["level"] == found["guards"]["level"] == "error"
    assert "the answer is not JSON" in found["waiting"]["found"]
    assert '429: "too many requests"' in found["guards"]["found"]
    assert [name for name, each in found.items() if each["found"].startswith("needs")] == []


def test_a_server_that_is_not_the_api_server_is_not_called_healthy(
    healthy: None, command: list[str], api: Answers
) -> None:
    """A load balancer answers 503 while no API server is behind it."""
    api.prepared["GET /version"] = 503, "no backend"
    assert items(signerctl(*command, "-o", "json"))["api-server"]["level"] == "error"


@pytest.fixture
def own_kubeconfig(document: Path, api: Answers, tmp_path: Path) -> Path:
    """The function's own kubeconfig, whose API server does not answer."""
    content = yaml.safe_load(document.read_text())
    del content["clusters"]["prod"]["server"]
    content["clusters"]["prod"]["authentication"] = {"kubeconfig": "function.kubeconfig"}
    document.write_text(yaml.safe_dump(content))
    kubeconfig = yaml.safe_load(api.kubeconfig(tmp_path).read_text())
    kubeconfig["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:1"
    path = document.parent / "function.kubeconfig"
    path.write_text(yaml.safe_dump(kubeconfig))
    return path


@pytest.mark.usefixtures("healthy", "own_kubeconfig")
def test_an_unreachable_api_server_of_the_function_blocks_no_other_check(command: list[str]) -> None:
    """The function's own kubeconfig may name an address that this machine does not reach. It is asked once."""
    found = items(signerctl(*command, "-o", "json"))
    assert [name for name, each in found.items() if each["level"] == "error"] == ["rights"]
    assert found["rights"]["found"].startswith("authentication.kubeconfig: API server http://127.0.0.1:1: no answer: ")
    assert "give --function-user" in found["rights"]["found"]
    assert found["pods"]["found"] == found["guards"]["found"] == "needs rights"
    assert found["waiting"]["level"] == "ok"


@pytest.mark.usefixtures("healthy")
def test_a_silent_api_server_is_one_error(command: list[str], own_kubeconfig: Path) -> None:
    """The function's kubeconfig names the same one, which is not asked again and again."""
    (own_kubeconfig.parent / "answers.kubeconfig").write_text(own_kubeconfig.read_text())
    found = items(signerctl(*command, "-o", "json"))
    assert [name for name, each in found.items() if each["level"] == "error"] == ["api-server"]
    assert {found[name]["found"] for name in ("rights", "pods", "waiting", "guards")} == {"needs api-server"}


WRONG = {
    "another cluster": (("--cluster", "nope"), '--cluster: Unsupported value: "nope": supported values: "prod"'),
    "no URL": (("--exporter-url", "foo"), '--exporter-url: Invalid value: "foo": must be http://HOST:PORT'),
}


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize(("more", "words"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("name", [("doctor",), ("explain", "any")], ids=" ".join)
def test_a_wrong_command_line_ends_with_2(
    command: list[str], api: Answers, name: tuple[str, ...], *, more: tuple[str, ...], words: str
) -> None:
    """No server is asked."""
    result = signerctl(*name, *command[1:], *more)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not api.received
