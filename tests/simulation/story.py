"""The long story: a real API server, the real function and two real exporters, killed at random.

It compresses an hour of a large cluster into a few minutes. Calico pods file CSRs, some of them twice under one name.
Attackers file wrong requests, and one pod files and deletes its CSR as fast as it can. Meanwhile SIGKILL ends the
function, an exporter or the API server again and again, and each starts again after a moment. Then the story waits
until no CSR is left. The simulation's checker judges the API server's watch, KMS's log and the audit records, and
`signerctl reconcile` compares the last two.

The seed decides who files which CSR when, and what is killed when. How the processes run differs each time.
"""

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

from sandbox.api import CSRS, Api, ApiError
from sandbox.calico import attackers, client
from sandbox.calico.components import components
from sandbox.calico.fleet import QUICK, Fleet, managements, plan
from sandbox.calico.keys import KeyPool
from sandbox.calico.stories import STORIES, Story
from sandbox.calico.world import World
from sandbox.control_plane import NotAvailableError
from sandbox.control_plane.real import RealControlPlane
from sandbox.demo import interrupt
from sandbox.deployment import Deployment, Settings
from sandbox.kms import AuditRecord, KmsControl
from sandbox.options import MAX_PODS
from sandbox.patient_api import PatientApi
from tests.end_to_end import loaded
from tests.simulation import observed
from tests.simulation.checker import Violation, violations
from tests.simulation.history import Change, Due, Filed, History, Killed
from tests.unit.signerctl.stage import signerctl

HOUR: Final = 60.0
SETTLED_SECONDS: Final = 300.0
"""A CSR that has not ended so long after the last one was filed is lost."""
TICK_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 3.0
"""The longest time from a kill to the next start, and from a pod's first CSR to its second."""
PER_FLOOD, PER_HOSTILE, PER_REPEATED = 10, 16, 20
"""One in so many CSRs is part of the flood, is an attack, or is a pod's second one."""
KINDS: Final = ("function", "exporter", "API server")
_REPLICAS: Final = 2
_CHUNK: Final = 500
_AT_ONCE: Final = 48
_CONFLICT: Final = 409
Task = tuple[float, Callable[[], object]]
"""What happens how many seconds after the first CSR may be filed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line's options."""

    csrs: int = 5000
    minutes: float = 5.0
    seed: int = 1
    kills: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a story ended.

    Attributes:
        history: What happened.
        reconciled: What `signerctl reconcile --json` printed.
    """

    history: History
    reconciled: dict[str, Any]

    @property
    def violations(self) -> list[Violation]:
        """Returns what the checker finds."""
        return violations(self.history)

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Returns what `signerctl reconcile` calls an error."""
        return [item for item in self.reconciled["items"] if item["level"] == "error"]


class Telling:
    """One story on a running deployment."""

    def __init__(self, options: Options, deployment: Deployment, world: World, kms: KmsControl, keys: KeyPool) -> None:
        self._options = options
        self._deployment = deployment
        self._world = world
        self._kms = kms
        self._keys = keys
        self._chance = random.Random(options.seed)  # noqa: S311  # reproducible, not secret
        self._seconds = options.minutes * 60
        self._epoch = time.time()
        self._said = 0.0
        self._stopped = threading.Event()
        self._due: dict[str, tuple[Due, frozenset[str]]] = {}
        self._filed: dict[str, float] = {}
        self._kills: list[Killed] = []
        self._log_ends: list[int] = []
        self._administration = len(kms.records())
        self._signed: list[AuditRecord] = []
        self._watcher = observed.Watcher(deployment.api, self._epoch)

    def tell(self) -> Outcome:
        """Lets everything happen; returns when nothing is left to do, or after `SETTLED_SECONDS`."""
        with self._watcher:
            self._run(self._filings(), self._killings())
            self._settle()
        changes = self._watcher.changes()
        log = self._deployment.log("function").read_bytes()
        history = History(
            filed=self._all_filed(changes),
            changes=changes,
            signings=observed.signed(self._signed, self._epoch),
            records=list(observed.recorded(log, self._log_ends, self._epoch)),
            kills=self._kills,
            ended_at=self._now(),
        )
        return Outcome(history=history, reconciled=self._reconcile(history))

    def _filings(self) -> list[Task]:
        """Makes the pods; returns who files when."""
        csrs = self._options.csrs
        flood, hostile, repeated = csrs // PER_FLOOD, csrs // PER_HOSTILE, csrs // PER_REPEATED
        looping, *pods = self._pods(csrs - flood - hostile - repeated + 1)
        tasks = [self._at(partial(self._file, *pod[:2])) for pod in pods]
        for api, _, again in pods[:repeated]:
            moment = tasks[len(tasks) % len(pods)][0] + self._chance.uniform(0, PAUSE_SECONDS)
            tasks.append((moment, partial(self._file, api, again)))
        tasks.append(self._at(partial(self._file, *looping[:2], times=flood)))
        # The guards refuse the others already when they are filed.
        attacks = [each.story for each in self._attackers(STORIES) if self._is_accepted(each)]
        for start in range(0, hostile, len(attacks)):
            for each in self._attackers(attacks[: hostile - start]):
                self._due[each.csr["metadata"]["name"]] = Due.REFUSAL, frozenset()
                tasks.append(self._at(partial(self._file, self._world.api.with_token(each.token), each.csr)))
            self._tick("creating pods")
        return sorted(tasks, key=lambda task: task[0])

    def _pods(self, count: int) -> Iterator[tuple[Api, dict[str, Any], dict[str, Any]]]:
        """Makes honest pods; yields each one's client and two CSRs of one name."""
        signer_name = self._deployment.signer.signer_name
        for start in range(0, count, _CHUNK):
            members = plan(
                min(_CHUNK, count - start),
                components=components(self._deployment.settings.release),
                managements=managements(signer_name, algorithms=QUICK),
                seed=self._chance.getrandbits(32),
                prefix=f"story-{start}",
            )
            fleet = Fleet(self._world, members, keys=self._keys)
            fleet.enter()
            for number, member in enumerate(members):
                environment = fleet.environment(number)
                csrs = [client.new_csr(environment, self._keys.take(environment.key_algorithm)) for _ in range(2)]
                self._due[environment.request_name] = Due.CERTIFICATE, frozenset(member.component.dns_names)
                yield fleet.apis[number], csrs[0], csrs[1]
            self._tick("creating pods")

    def _attackers(self, stories: Sequence[Story]) -> list[attackers.Attacker]:
        signer, seed = self._deployment.signer, self._chance.getrandbits(32)
        return attackers.prepare(
            self._world,
            signer.signer_name,
            release=self._deployment.settings.release,
            stories=[story for story in stories if story.token != "replaced"],
            seed=seed,
            prefix=f"attacked-{seed}",
        )

    def _is_accepted(self, attacker: attackers.Attacker) -> bool:
        """Tells whether the API server would store the attacker's CSR; no kill has begun."""
        with suppress(ApiError):
            self._deployment.api.with_token(attacker.token).post(CSRS, attacker.csr, dryRun="All")
            return True
        return False

    def _killings(self) -> dict[str, list[Task]]:
        """Returns what is killed when, by its kind."""
        deck = list(islice(cycle(KINDS), self._options.kills))
        moments = sorted(self._chance.uniform(0.05, 0.95) * self._seconds for _ in deck)
        self._chance.shuffle(deck)
        found: dict[str, list[Task]] = {kind: [] for kind in KINDS}
        for kind, moment in zip(deck, moments, strict=True):
            pause = self._chance.uniform(0, PAUSE_SECONDS)
            replica = self._chance.randrange(len(self._deployment.exporters))
            found[kind].append((moment, partial(self._kill, kind, replica, pause)))
        return found

    def _run(self, filings: Sequence[Task], killings: dict[str, list[Task]]) -> None:
        """Files and kills; raises the first failure."""
        begin = time.monotonic()

        def do(tasks: Sequence[Task]) -> None:
            for moment, action in tasks:
                if not self._stopped.wait(begin + moment - time.monotonic()):
                    action()

        with ThreadPoolExecutor(_AT_ONCE) as filers, ThreadPoolExecutor(len(KINDS)) as killers:
            pending = {killers.submit(do, tasks) for tasks in killings.values()}
            pending |= {filers.submit(do, [task]) for task in filings}
            try:
                while pending:
                    done, pending = wait(pending, TICK_SECONDS, FIRST_EXCEPTION)
                    for each in done:
                        each.result()
                    self._tick("filing and killing")
            finally:
                self._stopped.set()

    def _file(self, api: Api, csr: dict[str, Any], *, times: int = 1) -> None:
        """Files a CSR as Calico's client does: a CSR of that name is deleted first."""
        while times and not self._stopped.is_set():
            began = self._now()
            try:
                self._filed[client.submit(api, csr)["metadata"]["uid"]] = began
                times -= 1
            except ApiError as error:
                if error.status != _CONFLICT:  # a repeated request, whose first answer a kill has lost
                    raise

    def _kill(self, kind: str, replica: int, pause: float) -> None:
        """Kills the processes of a kind, or an exporter, and starts them again."""
        function, exporter, plane = (
            self._deployment.function,
            self._deployment.exporters[replica],
            self._deployment.plane,
        )
        assert isinstance(plane, RealControlPlane)
        name, kill, start = {
            "function": (observed.process(len(self._log_ends)), function.kill, function.start),
            "exporter": (f"exporter-{replica}", exporter.kill, exporter.start),
            "API server": ("API server", plane.kill_api_server, plane.restart_api_server),
        }[kind]
        kill()
        self._kills.append(Killed(at=self._now(), process=name))
        self._stopped.wait(pause)
        if kind == "function":
            self._log_ends.append(self._deployment.log("function").stat().st_size)
        start()

    def _settle(self) -> None:
        """Waits until no CSR waits and no event is under way."""
        end = time.monotonic() + SETTLED_SECONDS
        while (waiting := self._waiting()) and time.monotonic() < end:
            self._watcher.wait(waiting, TICK_SECONDS)
            self._tick("left alone")
        if not waiting:
            loaded.wait_until_idle(self._deployment)
        self._tick("settled", now=True)

    def _waiting(self) -> list[str]:
        return [uid for uid, seen in self._watcher.observations().items() if seen.ended is None and not seen.deleted]

    def _tick(self, phase: str, *, now: bool = False) -> None:
        """Fetches what KMS has logged; prints a line if the last one is old."""
        self._signed += self._kms.records(since=self._administration + len(self._signed))
        if now or self._now() - self._said >= TICK_SECONDS:
            self._said = self._now()
            waiting = len(self._waiting())
            figures = f"{len(self._filed):,} filed, {waiting:,} waiting, {len(self._kills)} kills"
            print(f"{self._said:5.0f} s  {phase}: {figures}", flush=True)

    def _all_filed(self, changes: Sequence[Change]) -> list[Filed]:
        """Returns every CSR that the API server had, also one whose requester never got the answer."""
        first = {change.uid: change for change in reversed(changes)}
        filed = []
        for uid, change in first.items():
            due, names = self._due.get(change.name, (Due.ANYTHING, frozenset()))
            at = self._filed.get(uid, change.at)
            filed.append(Filed(uid=uid, name=change.name, at=at, due=due, names=names))
        return sorted(filed, key=lambda each: each.at)

    def _reconcile(self, history: History) -> dict[str, Any]:
        records = self._deployment.directory / "records.json"
        records.write_text("\n".join(json.dumps(record.line) for record in history.records))
        logs = (self._deployment.log("kms-audit"), records, self._deployment.log("signerctl"))
        answer: dict[str, Any] = json.loads(signerctl("reconcile", "--json", *logs).stdout)
        return answer

    def _at(self, action: Callable[[], object]) -> Task:
        return self._chance.uniform(0, self._seconds), action

    def _now(self) -> float:
        return time.time() - self._epoch


def run(options: Options, directory: Path) -> Outcome:
    """Starts a deployment in a new folder, tells the story, and stops everything.

    Raises:
        NotAvailableError: There is no kube-apiserver, and it cannot be built.
    """
    settings = Settings(
        directory=directory, plane="real", guards=True, kms_latency=0.03, concurrency=16, replicas=_REPLICAS
    )
    with (
        Deployment(settings) as deployment,
        PatientApi.from_kubeconfig(deployment.plane.kubeconfig) as api,
        World(api) as world,
        KmsControl(deployment.kms) as kms,
        KeyPool() as keys,
    ):
        return Telling(options, deployment, world, kms, keys).tell()


def summary(options: Options, outcome: Outcome) -> Iterator[str]:
    """Yields the lines of the summary."""
    history = outcome.history
    last = {change.uid: change for change in history.changes}
    issued = {change.uid: change.at for change in reversed(history.changes) if change.certificate}
    waits = [issued[each.uid] - each.at for each in history.filed if each.uid in issued] or [0.0]
    kills = Counter(each.process.partition("-")[0] for each in history.kills)
    used = Counter(signing.reason for signing in history.signings)
    figures = {
        "CSRs": len(last),
        "  with a certificate": len(issued),
        "  denied or failed": sum(bool({"Denied", "Failed"} & {*each.conditions}) for each in last.values()),
        "  deleted by their requesters": sum(each.is_deleted for each in last.values()),
        "  without an end": sum(_is_open(each) for each in last.values()),
        "kills": ", ".join(f"{count} of {kind}" for kind, count in sorted(kills.items())) or "none",
        "signatures, repeated ones among them": f"{used.total():,}, {used.total() - len(used):,}",
        "longest wait for a certificate, median": f"{max(waits):.1f} s, {statistics.median(waits):.1f} s",
        "violations": len(outcome.violations),
        "signerctl reconcile": f"{len(outcome.errors)} errors, {len(outcome.reconciled['items'])} discrepancies",
    }
    yield f"an hour in {options.minutes:g} minutes, {HOUR / options.minutes:g} times as fast; seed {options.seed}"
    yield from (
        f"  {name:<42} {figure if isinstance(figure, str) else f'{figure:,}'}" for name, figure in figures.items()
    )
    yield from map(str, outcome.violations[:20])
    yield from map(str, outcome.errors[:20])


def _is_open(change: Change) -> bool:
    return not (change.is_deleted or change.certificate or {"Denied", "Failed"} & {*change.conditions})


def main(arguments: Sequence[str] | None = None) -> int:
    """Tells one story and prints its summary; returns the exit status."""
    options = _parsed(arguments)
    interrupt.stop_parts()
    try:
        with tempfile.TemporaryDirectory(prefix="csr-signer-story-") as folder:
            outcome = run(options, Path(folder))
            print(*summary(options, outcome), sep="\n", flush=True)
            failed = bool(outcome.violations or outcome.errors)
            if failed:
                kept = shutil.copytree(folder, tempfile.mkdtemp(prefix="story-"), dirs_exist_ok=True)
                print(f"logs are kept in {kept}")
            return int(failed)
    except NotAvailableError as error:
        print(f"story: {error}", file=sys.stderr)
        return 2
    except interrupt.InterruptedDemoError:
        print("story: interrupted", file=sys.stderr)
        return interrupt.STATUS


def _parsed(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(
        prog="story", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Options()
    for name, lowest, highest, text in (
        ("csrs", 1, MAX_PODS, "CSRs that are filed"),
        ("minutes", 0.1, HOUR, "minutes in which they are filed, instead of an hour"),
        ("seed", 0, 2**32, "who files what and when, and what is killed when"),
        ("kills", 0, 1000, "kills, as many of each kind"),
    ):
        value = getattr(default, name)
        kind = _between(type(value), lowest, highest)
        parser.add_argument(f"--{name}", type=kind, default=value, metavar="N", help=f"{text}; by default %(default)s")
    return Options(**vars(parser.parse_args(arguments)))


def _between(kind: type[float], lowest: float, highest: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        with suppress(ValueError):
            if lowest <= (value := kind(text)) <= highest:
                return value
        raise argparse.ArgumentTypeError(f'Invalid value: "{text}": must be {lowest} to {highest}')

    return parse


if __name__ == "__main__":
    sys.exit(main())
