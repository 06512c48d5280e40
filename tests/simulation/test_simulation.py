"""Both modes: 300 seeds hold, a seed gives one history, and a violation is shrunk and printed."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.simulation import __main__ as command
from tests.simulation import plan as plans
from tests.simulation.drawing import draw
from tests.simulation.faults import FAULTS, planted
from tests.simulation.modes import DRAW, Mode, judge
from tests.simulation.plan import Acts, Files, Plan, shrink
from tests.simulation.regressions import PLANS
from tests.simulation.world import simulate

SEEDS = [*((Mode.WHOLE, first, first + 50) for first in range(0, 200, 50)), (Mode.DELIVERY, 0, 100)]
NO_OUTCOME = next(each for each in FAULTS if each.line == "an intent that came to nothing had no outcome")


@pytest.mark.parametrize(("mode", "first", "last"), SEEDS)
def test_no_seed_breaks_a_rule(mode: Mode, first: int, last: int) -> None:
    """`scripts/simulate --mode MODE --seed SEED` explains a failure."""
    judged = ((seed, judge(DRAW[mode](seed)).broken) for seed in range(first, last))
    assert [(seed, broken) for seed, broken in judged if broken] == []


def test_no_plan_that_once_broke_a_rule_breaks_one_again() -> None:
    """The plans are in `regressions.py`."""
    assert [plan for plan in PLANS if judge(plan).broken] == []


@pytest.mark.slow
def test_a_seed_gives_one_history_in_every_process() -> None:
    """Not even the order of sets of texts counts."""
    code = """
from tests.simulation.world import run
for seed in range(5):
    history = run(seed)
    print(*history.changes, *history.records, *history.unwritten, *history.signings, *history.kills, sep="\\n")
"""

    def histories(hash_seed: str) -> str:
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        ).stdout

    first, second = (histories(hash_seed).splitlines() for hash_seed in ("1", "2"))
    assert [pair for pair in zip(first, second, strict=True) if pair[0] != pair[1]] == []
    assert len(first) > 300


def test_a_plan_without_one_element_differs_only_in_what_follows_from_it() -> None:
    """So a plan can be shrunk: a pod that files much later changes nothing before."""
    plan = Plan(seed=1, elements=(Files(at=1.0, csr=0, pod=0), Files(at=500.0, csr=1, pod=1)))
    smaller = replace(plan, elements=plan.elements[:1])
    timelines = [simulate(each).timeline for each in (plan, smaller)]
    before = [[line for line in timeline if line[0] < 500.0] for timeline in timelines]
    assert before[0] == before[1]
    assert len(before[0]) > 5


def test_shrinking_finds_the_one_element() -> None:
    """Whatever else the plan has is left out, and its settings are the usual ones."""
    plan = draw(3)
    cause = plan.elements[len(plan.elements) // 2]
    assert shrink(plan, lambda smaller: cause in smaller.elements) == Plan(seed=3, elements=(cause,))


def test_a_plan_is_python() -> None:
    """What the command prints can be pasted."""
    assert eval(repr(draw(5)), vars(plans)) == draw(5)  # noqa: S307 - our own text


def test_a_violation_is_explained_and_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The command prints the shrunk plan with its timeline, and adds the plan to the regression tests."""
    kept = tmp_path / "regressions.py"
    kept.write_bytes(command.REGRESSIONS.read_bytes())
    monkeypatch.setattr(command, "REGRESSIONS", kept)
    with planted(NO_OUTCOME):
        seed = next(seed for seed in range(NO_OUTCOME.seeds) if judge(draw(seed)).broken)
        assert command.main(["--mode", "whole", "--seed", str(seed), "--keep"]) == 1
    printed = capsys.readouterr().out
    assert f"whole seed {seed}: violated; shrunk from {len(draw(seed).elements)} elements to " in printed
    assert "invariant 8: CSR csr" in printed
    assert "records intent of csr" in printed
    assert "added to regressions.py" in printed
    names: dict[str, object] = {}
    exec(kept.read_text(encoding="utf-8"), names)  # noqa: S102 - our own text
    plan = names["PLANS"][-1]  # type: ignore[index]  # a tuple of plans
    assert repr(plan) in printed
    assert judge(plan).broken == {}
    with planted(NO_OUTCOME):
        assert judge(plan).broken.keys() == {"8"}


def test_the_command_summarizes_and_traces(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a violation the exit status is 0."""
    assert command.main(["--seeds", "3", "--processes", "1"]) == 0
    printed = capsys.readouterr().out
    for mode in Mode:
        assert re.search(f"^{mode.value}: 3 seeds, [0-9.]+ s of CPU, 0 with violations$", printed, re.MULTILINE)
    assert command.main(["--seed", "2", "--trace"]) == 0
    printed = capsys.readouterr().out
    assert "no violation\n" in printed
    assert "files csr0 (honest)" in printed
    assert repr(draw(2)) in printed


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--trace"], "--seed: Required value: --trace and --keep need it"),
        (["--seeds", "0"], '--seeds: Invalid value: "0": must be at least 1'),
    ],
)
def test_the_command_refuses_wrong_arguments(
    capsys: pytest.CaptureFixture[str], arguments: list[str], error: str
) -> None:
    """The exit status is 2."""
    with pytest.raises(SystemExit, match="2"):
        command.main(arguments)
    assert error in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_reports_branches(capfd: pytest.CaptureFixture[str]) -> None:
    """The report has the pipeline and the exporter's core, and no other module."""
    assert command.main(["--seed", "1", "--branches"]) == 0
    printed = capfd.readouterr().out
    assert "whole seed 1: no violation\ndelivery seed 1: no violation" in printed
    assert "function/csr_signer/pipeline.py" in printed
    assert "infra/exporter/csr_exporter/watch/store.py" in printed
    assert "function/csr_signer/service.py" not in printed


def test_a_requesters_element_is_optional_to_all_others() -> None:
    """An act upon a CSR that no element files is left out, so shrinking may remove either."""
    run = simulate(Plan(seed=1, elements=(Acts(at=1.0, csr=7, does="approves"),)))
    assert run.history.filed == []
