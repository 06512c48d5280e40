"""Searches for schedules that break an invariant or a guarantee.

scripts/simulate --seeds 300            seeds 0 to 299, in both modes; the exit status is 1 after a violation
scripts/simulate --seed 7 --trace       seed 7, with its timeline
scripts/simulate --seed 7 --keep        a violation, shrunk, becomes a regression test
scripts/simulate --story                a soak test on a real control plane; --story --help says more

Mode whole runs the real pipeline and exporter core with about ten CSRs, mode delivery the exporter's queue and limiter
with up to thousands. 1,000 seeds of both take about two minutes of CPU. docs/testing.md says what is modelled.
"""

import argparse
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.simulation.modes import DRAW, AnyPlan, Mode, judge
from tests.simulation.plan import shrink

REGRESSIONS: Final = Path(__file__).with_name("regressions.py")
BRANCHES: Final = "\n  ".join(
    f"*/{part}"
    for part in (
        "csr_signer/pipeline.py",
        "csr_exporter/watch/store.py",
        "csr_exporter/queue/*",
        "csr_exporter/delivery/scheduler.py",
        "csr_exporter/delivery/limiter.py",
    )
)
"""What `--branches` reports."""
SHRINKING_SECONDS: Final = 20.0
PROGRESS_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one seed in one mode; `seconds` of CPU time."""

    mode: Mode
    seed: int
    broken: dict[str, str]
    met: Counter[str]
    seconds: float


def judged(which: tuple[Mode, int]) -> Judged:
    """Runs one seed in one mode."""
    mode, seed = which
    began = time.process_time()
    judgement = judge(DRAW[mode](seed))
    return Judged(mode, seed, judgement.broken, judgement.met, time.process_time() - began)


def shrunk(plan: AnyPlan, *, seconds: float = SHRINKING_SECONDS) -> AnyPlan:
    """Returns a smaller plan that breaks one of the same rules."""
    rules, ends_at = judge(plan).broken.keys(), time.monotonic() + seconds
    return shrink(plan, lambda smaller: time.monotonic() < ends_at and bool(judge(smaller).broken.keys() & rules))


def report(plan: AnyPlan) -> list[str]:
    """Returns the timeline of a plan, its violations, and the plan as Python."""
    judgement = judge(plan)
    timeline = [f"{at:10.3f}  {who:14}  {what}" for at, who, what in judgement.timeline()]
    return [*timeline, *judgement.broken.values(), repr(plan)]


def keep(plan: AnyPlan, path: Path) -> None:
    """Adds a plan to the regression tests."""
    text = path.read_text(encoding="utf-8").removesuffix(")\n")
    path.write_text(f"{text}    {plan!r},\n)\n", encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", str(path)], check=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if "--story" in arguments:
        from tests.simulation import story  # noqa: PLC0415 - it imports the sandbox

        return story.main([each for each in arguments if each != "--story"])
    parser = argparse.ArgumentParser(
        prog="scripts/simulate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seeds", type=_positive, default=300, metavar="N", help="how many, from 0 (default: 300)")
    which.add_argument("--seed", type=int, help="this seed only")
    parser.add_argument("--mode", choices=[each.value for each in Mode], help="this mode only")
    parser.add_argument("--trace", action="store_true", help="print the timeline of --seed, even without a violation")
    parser.add_argument("--keep", action="store_true", help="add a violation of --seed to regressions.py")
    parser.add_argument(
        "--processes", type=_positive, default=os.cpu_count(), metavar="N", help="default: one per core"
    )
    parser.add_argument("--branches", action="store_true", help="report which branches the seeds reach")
    given = parser.parse_args(arguments)
    if (given.trace or given.keep) and given.seed is None:
        parser.error("--seed: Required value: --trace and --keep need it")
    modes = list(Mode) if given.mode is None else [Mode(given.mode)]
    if given.branches:
        return _with_branches(arguments)
    if given.seed is not None:
        return max(_one(mode, given.seed, trace=given.trace, keeps=given.keep) for mode in modes)
    return _many(modes, given.seeds, given.processes)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f'Invalid value: "{text}": must be at least 1')
    return int(text)


def _one(mode: Mode, seed: int, *, trace: bool, keeps: bool) -> int:
    plan = DRAW[mode](seed)
    if trace:
        print(f"{mode.value} seed {seed}: seconds, who, what")
        print("\n".join(report(plan)))
    if not judge(plan).broken:
        print(f"{mode.value} seed {seed}: no violation")
        return 0
    smaller = _explain(mode, plan)
    if keeps:
        keep(smaller, REGRESSIONS)
        print(f"added to {REGRESSIONS.name}")
    else:
        print(f"scripts/simulate --mode {mode.value} --seed {seed} --keep makes it a regression test")
    return 1


def _explain(mode: Mode, plan: AnyPlan) -> AnyPlan:
    smaller = shrunk(plan)
    sizes = f"from {len(plan.elements)} elements to {len(smaller.elements)}"
    print(f"{mode.value} seed {plan.seed}: violated; shrunk {sizes}:")
    print("\n".join(f"  {line}" for line in report(smaller)))
    return smaller


def _many(modes: Sequence[Mode], seeds: int, processes: int) -> int:
    began = spoke_at = time.monotonic()
    met: Counter[str] = Counter()
    broken: list[Judged] = []
    seconds = dict.fromkeys(modes, 0.0)
    for done, each in enumerate(_judged(modes, seeds, processes), 1):
        seconds[each.mode] += each.seconds
        met += each.met
        if each.broken:
            broken.append(each)
            print(f"{each.mode.value} seed {each.seed}: violates {', '.join(sorted(each.broken))}", flush=True)
        if time.monotonic() - spoke_at >= PROGRESS_SECONDS:
            spoke_at = time.monotonic()
            total, rate = seeds * len(modes), done / (spoke_at - began)
            print(f"{done} of {total} runs, {rate:.0f} a second, {len(broken)} with violations", flush=True)
    for each in broken[:3]:
        _explain(each.mode, DRAW[each.mode](each.seed))
    print("faults injected, and what the plans of the delivery mode consist of:")
    print("\n".join(f"{count:8}  {kind}" for kind, count in sorted(met.items())))
    for mode in modes:
        number = sum(each.mode is mode for each in broken)
        print(f"{mode.value}: {seeds} seeds, {seconds[mode]:.1f} s of CPU, {number} with violations")
    print(f"{seeds * len(modes) / (time.monotonic() - began):.0f} runs a second")
    return 1 if broken else 0


def _judged(modes: Sequence[Mode], seeds: int, processes: int) -> Iterator[Judged]:
    which = [(mode, seed) for seed in range(seeds) for mode in modes]
    if processes == 1:
        yield from map(judged, which)
        return
    with multiprocessing.Pool(processes) as pool:
        yield from pool.imap(judged, which, chunksize=8)


def _with_branches(arguments: Sequence[str]) -> int:
    """Runs the command in another process under coverage, in one process, and reports the branches."""
    which = [*(each for each in arguments if each != "--branches"), "--processes", "1"]
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "settings"  # in place of pyproject.toml's, which ask for all modules
        settings.write_text(f"[run]\nbranch = true\ndata_file = {folder}/data\ninclude =\n  {BRANCHES}\n")
        coverage = [sys.executable, "-m", "coverage"]
        run = [*coverage, "run", f"--rcfile={settings}", "-m", "tests.simulation", *which]
        status = subprocess.run(run, check=False).returncode
        subprocess.run([*coverage, "report", f"--rcfile={settings}", "--show-missing"], check=True)
    return status


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # whoever reads may stop reading
    sys.exit(main())
