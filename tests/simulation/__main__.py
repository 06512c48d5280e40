"""Runs worlds with the real pipeline and the real exporter core, and judges their histories.

scripts/simulate --seeds 300            worlds 0 to 299; the exit status is 1 if one has a violation
scripts/simulate --seed 7 --trace       world 7, with its timeline
scripts/simulate --seed 7 --keep        adds world 7, shrunk, to the regression tests
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.simulation.checker import violations
from tests.simulation.drawing import draw
from tests.simulation.plan import Plan, shrink
from tests.simulation.world import Run, simulate

REGRESSIONS: Final = Path(__file__).with_name("regressions.py")
BRANCHES: Final = "\n  ".join(
    f"*/{part}"
    for part in (
        "csr_signer/pipeline.py",
        "csr_exporter/watch/store.py",
        "csr_exporter/queue/*",
        "csr_exporter/delivery/dispatcher.py",
        "csr_exporter/delivery/limiter.py",
    )
)
"""What `--branches` reports."""
SHRINKING_SECONDS: Final = 20.0
PROGRESS_SECONDS: Final = 5.0
EXPLAINED: Final = 3
"""How many of the broken seeds are printed in full."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one seed.

    Attributes:
        rules: the broken rules.
        met: how often each kind of fault happened.
        seconds: of CPU time.
    """

    seed: int
    rules: frozenset[str]
    met: Counter[str]
    seconds: float


def judge(seed: int) -> Judged:
    """Runs one seed."""
    began = time.process_time()
    run = simulate(draw(seed))
    return Judged(seed, broken_rules(run), run.met, time.process_time() - began)


def broken_rules(run: Run) -> frozenset[str]:
    """Returns the rules that a history breaks."""
    return frozenset(str(violation.rule) for violation in violations(run.history))


def shrunk(plan: Plan, *, seconds: float = SHRINKING_SECONDS) -> Plan:
    """Returns a smaller plan that breaks one of the same rules."""
    rules, ends_at = broken_rules(simulate(plan)), time.monotonic() + seconds
    return shrink(plan, lambda smaller: time.monotonic() < ends_at and bool(broken_rules(simulate(smaller)) & rules))


def report(plan: Plan, run: Run) -> list[str]:
    """Returns the violations of a plan and its timeline, in the order of time."""
    lines = [str(violation) for violation in violations(run.history)]
    lines = [_shortened(line, run) for line in lines] or ["no violation"]
    lines += [f"{at:10.3f}  {who:14}  {what}" for at, who, what in run.timeline]
    return [*lines, repr(plan)]


def keep(plan: Plan, path: Path) -> None:
    """Adds a plan to the regression tests."""
    text = path.read_text(encoding="utf-8").removesuffix(")\n")
    path.write_text(f"{text}    {plan!r},\n)\n", encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", str(path)], check=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/simulate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seeds", type=int, default=300, metavar="N", help="how many seeds, from 0 (default: 300)")
    which.add_argument("--seed", type=int, help="this seed only")
    parser.add_argument("--trace", action="store_true", help="print the timeline of --seed, even without a violation")
    parser.add_argument("--keep", action="store_true", help="add a violation of --seed to the regression tests")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), metavar="N", help="default: all cores")
    parser.add_argument("--branches", action="store_true", help="measure which branches of the product are reached")
    given = parser.parse_args(arguments)
    if given.seeds < 1:
        parser.error(f'--seeds: Invalid value: "{given.seeds}": must be at least 1')
    if (given.trace or given.keep) and given.seed is None:
        parser.error("--seed: Required value: --trace and --keep need it")
    if given.branches:
        return _with_branches(given.seeds if given.seed is None else None, given.seed)
    if given.seed is not None:
        return _one(given.seed, trace=given.trace, keeps=given.keep)
    return _many(given.seeds, given.processes)


def _one(seed: int, *, trace: bool, keeps: bool) -> int:
    plan = draw(seed)
    run = simulate(plan)
    if trace:
        print("\n".join(report(plan, run)))
    if not broken_rules(run):
        print(f"seed {seed}: no violation")
        return 0
    smaller = _explain(plan)
    if keeps:
        keep(smaller, REGRESSIONS)
        print(f"added to {REGRESSIONS.name}")
    else:
        print(f"scripts/simulate --seed {seed} --keep makes it a regression test")
    return 1


def _explain(plan: Plan) -> Plan:
    """Prints why a plan fails, and returns a smaller one that does, too."""
    smaller = shrunk(plan)
    print(f"seed {plan.seed}: violated; shrunk from {len(plan.elements)} elements to {len(smaller.elements)}:")
    print("\n".join(f"  {line}" for line in report(smaller, simulate(smaller))))
    return smaller


def _many(seeds: int, processes: int) -> int:
    began = spoke_at = time.monotonic()
    met: Counter[str] = Counter()
    broken: list[int] = []
    done, seconds = 0, 0.0
    for each in _judged(seeds, processes):
        done, seconds, met = done + 1, seconds + each.seconds, met + each.met
        if each.rules:
            broken.append(each.seed)
            print(f"seed {each.seed}: violates {', '.join(sorted(each.rules))}", flush=True)
        if time.monotonic() - spoke_at >= PROGRESS_SECONDS:
            spoke_at = time.monotonic()
            rate = done / (spoke_at - began)
            print(f"{done} of {seeds} seeds, {rate:.0f} a second, {len(broken)} with violations", flush=True)
    for seed in broken[:EXPLAINED]:
        _explain(draw(seed))
    print("\n".join(f"{count:8}  {kind}" for kind, count in sorted(met.items())))
    rate = seeds / (time.monotonic() - began)
    print(f"{seeds} seeds, {seconds:.1f} s of CPU, {rate:.0f} seeds a second, {len(broken)} with violations")
    return 1 if broken else 0


def _judged(seeds: int, processes: int) -> Iterator[Judged]:
    if processes < 2:
        yield from map(judge, range(seeds))
        return
    with multiprocessing.Pool(processes) as pool:
        yield from pool.imap(judge, range(seeds), chunksize=8)


def _with_branches(seeds: int | None, seed: int | None) -> int:
    """Runs the command in another process under coverage, in one process, and reports the branches."""
    which = ["--seeds", str(seeds), "--processes", "1"] if seed is None else ["--seed", str(seed)]
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "settings"  # in place of pyproject.toml's, which ask for all modules
        settings.write_text(f"[run]\nbranch = true\ndata_file = {folder}/data\ninclude =\n  {BRANCHES}\n")
        coverage = [sys.executable, "-m", "coverage"]
        run = [*coverage, "run", f"--rcfile={settings}", "-m", "tests.simulation", *which]
        status = subprocess.run(run, check=False).returncode
        subprocess.run([*coverage, "report", f"--rcfile={settings}", "--show-missing"], check=True)
    return status


def _shortened(text: str, run: Run) -> str:
    for uid, name in run.names.items():
        text = text.replace(uid, name)
    return text


if __name__ == "__main__":
    sys.exit(main())
