"""Requests and kills on a running deployment, until nothing is left to do; then its history."""

import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice
from typing import Any, Final

from sandbox.api import Api, ApiError
from sandbox.calico import attackers, client
from sandbox.calico.components import components
from sandbox.calico.fleet import QUICK, Fleet, managements, plan
from sandbox.calico.keys import KeyPool
from sandbox.calico.stories import STORIES
from sandbox.calico.world import World
from sandbox.control_plane.real import RealControlPlane
from sandbox.deployment import Deployment
from sandbox.kms import AuditRecord, KmsControl
from tests.end_to_end import loaded
from tests.simulation import observed
from tests.simulation.history import Change, Due, Filed, History, Killed

PROMISED_SECONDS: Final = 120.0
"""An honest pod that does not flood has its certificate within this time, whatever is killed."""
SETTLED_SECONDS: Final = 300.0
"""So long after the last request, a CSR that has not ended is lost."""
TICK_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 3.0
"""The longest time from a kill to the next start, and from a pod's first CSR to its second."""
PER_FLOOD, PER_HOSTILE, PER_REPEATED = 10, 16, 20
"""One in so many CSRs is part of the flood, an attacker's, or a pod's second one."""
PER_KILL: Final = 3
"""One in so many requests comes close to a kill, so that each kill meets work."""
KINDS: Final = ("function", "API server", "exporter")
ATTACKS: Final = [
    story for story in STORIES if story.runs_as is None and story.token == "pod" and story.name != "stolen name"
]
"""The guards refuse the other stories when they are filed."""
_CHUNK: Final = 500
_AT_ONCE: Final = 48
_CONFLICT: Final = 409

Task = tuple[float, Callable[[], object]]
"""What to do, and how many seconds after the first request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What happens.

    Attributes:
        csrs: How many CSRs are filed.
        minutes: In how many minutes.
        seed: It decides who files what and when, and what is killed when.
        kills: How many kills; each kind has as many.
    """

    csrs: int = 5000
    minutes: float = 5.0
    seed: int = 1
    kills: int = 30


class Experiment:
    """One experiment; it ends with its history."""

    def __init__(self, options: Options, deployment: Deployment, world: World, kms: KmsControl, keys: KeyPool) -> None:
        """Prepares an experiment.

        Args:
            options: What happens.
            deployment: It runs, on a real control plane.
            world: Makes the pods; its client is patient.
            kms: The deployment's KMS.
            keys: The pods' keys.
        """
        self._options = options
        self._deployment = deployment
        self._world = world
        self._kms = kms
        self._keys = keys
        self._chance = random.Random(options.seed)  # noqa: S311  # reproducible, not secret
        self._kill_moments = sorted(self._moment() for _ in range(options.kills))
        self._epoch = time.time()
        self._said = 0.0
        self._stopped = threading.Event()
        self._expected: dict[str, Filed] = {}
        self._filed: dict[str, float] = {}
        self._newest: dict[str, str] = {}
        self._kills: list[Killed] = []
        self._log_ends: list[int] = []
        self._administration = len(kms.records())
        self._signed: list[AuditRecord] = []
        self._watcher = observed.Watcher(deployment.api, self._epoch)

    def run(self) -> History:
        """Lets everything happen; returns when nothing is left to do, or after `SETTLED_SECONDS`."""
        with self._watcher:
            self._happen(self._requests(), self._killings())
            self._settle()
        changes = self._watcher.changes()
        log = self._deployment.log("function").read_bytes()
        return History(
            filed=self._all_filed(changes),
            changes=changes,
            signings=observed.signed(self._signed, self._epoch),
            records=list(observed.recorded(log, self._log_ends, self._epoch)),
            kills=sorted(self._kills, key=lambda kill: kill.at),
            ended_at=self._now(),
            authority=self._deployment.certificate_authority.read_bytes(),
        )

    def _requests(self) -> list[Task]:
        """Makes the pods; returns who files when."""
        csrs = self._options.csrs
        flood, hostile, repeated = csrs // PER_FLOOD, csrs // PER_HOSTILE, csrs // PER_REPEATED
        (api, csr, _), *pods = self._pods(csrs - flood - hostile - repeated + 1)
        name = csr["metadata"]["name"]
        self._expected[name] = replace(self._expected[name], within=math.inf)
        tasks: list[Task] = [(self._moment_of_request(), partial(self._file, api, csr, times=flood))]
        for number, (api, csr, later) in enumerate(pods):
            moment = self._moment_of_request()
            tasks.append((moment, partial(self._file, api, csr)))
            if number < repeated:
                tasks.append((moment + self._chance.uniform(0, PAUSE_SECONDS), partial(self._file, api, later)))
        tasks += [(self._moment_of_request(), partial(self._file, api, csr)) for api, csr in self._attackers(hostile)]
        return sorted(tasks, key=lambda task: task[0])

    def _pods(self, count: int) -> Iterator[tuple[Api, dict[str, Any], dict[str, Any]]]:
        """Makes honest pods; yields the client of each, and two CSRs of one name."""
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
                first, second = (
                    client.new_csr(environment, self._keys.take(environment.key_algorithm)) for _ in range(2)
                )
                names = frozenset(f"DNS:{name}" for name in member.component.dns_names)
                self._expect(first, Due.CERTIFICATE, names=names, within=PROMISED_SECONDS)
                yield fleet.apis[number], first, second
            self._tick("creating pods")

    def _attackers(self, count: int) -> Iterator[tuple[Api, dict[str, Any]]]:
        """Makes attackers' pods; yields the client and the CSR of each."""
        for start in range(0, count, len(ATTACKS)):
            for each in attackers.prepare(
                self._world,
                self._deployment.signer.signer_name,
                release=self._deployment.settings.release,
                stories=ATTACKS[: count - start],
                seed=self._chance.getrandbits(32),
                prefix=f"attacked-{start}",
            ):
                self._expect(each.csr, Due.REFUSAL)
                yield self._world.api.with_token(each.token), each.csr
            self._tick("creating pods")

    def _expect(
        self, csr: dict[str, Any], due: Due, *, names: frozenset[str] = frozenset(), within: float = math.inf
    ) -> None:
        name = csr["metadata"]["name"]
        self._expected[name] = Filed(uid="", name=name, at=0, due=due, names=names, within=within)

    def _killings(self) -> dict[str, list[Task]]:
        """Returns what is killed when, by its kind."""
        deck = list(islice(cycle(KINDS), self._options.kills))
        self._chance.shuffle(deck)
        found: dict[str, list[Task]] = {kind: [] for kind in KINDS}
        for kind, moment in zip(deck, self._kill_moments, strict=True):
            pause = self._chance.uniform(0, PAUSE_SECONDS)
            replica = self._chance.randrange(len(self._deployment.exporters))
            found[kind].append((moment, partial(self._kill, kind, replica, pause)))
        return found

    def _moment(self) -> float:
        return self._chance.uniform(0, self._options.minutes * 60)

    def _moment_of_request(self) -> float:
        if self._kill_moments and self._chance.randrange(PER_KILL) == 0:
            return self._chance.choice(self._kill_moments) + self._chance.uniform(-1, 1)
        return self._moment()

    def _happen(self, requests: Sequence[Task], killings: dict[str, list[Task]]) -> None:
        """Files and kills; raises the first failure."""
        begin = time.monotonic()

        def do(tasks: Sequence[Task]) -> None:
            for moment, action in tasks:
                if not self._stopped.wait(begin + moment - time.monotonic()):
                    action()

        with ThreadPoolExecutor(_AT_ONCE) as filers, ThreadPoolExecutor(len(KINDS)) as killers:
            pending = {killers.submit(do, tasks) for tasks in killings.values()}
            pending |= {filers.submit(do, [task]) for task in requests}
            try:
                while pending:
                    done, pending = wait(pending, TICK_SECONDS, FIRST_EXCEPTION)
                    for each in done:
                        each.result()
                    self._tick("filing and killing")
            finally:
                self._stopped.set()

    def _file(self, api: Api, csr: dict[str, Any], *, times: int = 1) -> None:
        """Files a CSR as Calico's client does, which first deletes a CSR of the same name."""
        while times and not self._stopped.is_set():
            began = self._now()
            try:
                created = client.submit(api, csr)["metadata"]
                self._filed[created["uid"]], self._newest[created["name"]] = began, created["uid"]
                times -= 1
            except ApiError as error:
                if error.status != _CONFLICT:  # the patient client repeated a request whose answer a kill had lost
                    raise

    def _kill(self, kind: str, replica: int, pause: float) -> None:
        """Kills the function, an exporter or the API server, and starts it again."""
        deployment = self._deployment
        function, exporter, plane = deployment.function, deployment.exporters[replica], deployment.plane
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
            self._log_ends.append(deployment.log("function").stat().st_size)
        start()

    def _settle(self) -> None:
        """Waits until no CSR waits, and no event is under way."""
        end = time.monotonic() + SETTLED_SECONDS
        while (waiting := self._waiting()) and time.monotonic() < end:
            self._watcher.wait(waiting, TICK_SECONDS)
            self._tick("left alone")
        if not waiting:
            loaded.wait_until_idle(self._deployment)
        self._tick("settled", now=True)

    def _waiting(self) -> list[str]:
        """Returns the CSRs that have not ended, or that the watcher has not seen yet."""
        seen = self._watcher.observations()
        unseen = [uid for uid in list(self._newest.values()) if uid not in seen]
        return unseen + [uid for uid, each in seen.items() if each.ended is None and not each.deleted]

    def _tick(self, phase: str, *, now: bool = False) -> None:
        """Fetches what KMS has logged, and prints a line if the last one is old."""
        self._signed += self._kms.records(since=self._administration + len(self._signed))
        if now or self._now() - self._said >= TICK_SECONDS:
            self._said = self._now()
            figures = f"{len(self._filed):,} filed, {len(self._waiting()):,} waiting, {len(self._kills)} kills"
            print(f"{self._said:5.0f} s  {phase}: {figures}", flush=True)

    def _all_filed(self, changes: Sequence[Change]) -> list[Filed]:
        """Returns every CSR that the API server had, also one whose requester never got the answer."""
        first = {change.uid: change for change in reversed(changes)}
        filed = (
            replace(self._expected[change.name], uid=uid, at=self._filed.get(uid, change.at))
            for uid, change in first.items()
        )
        return sorted(filed, key=lambda each: each.at)

    def _now(self) -> float:
        return time.time() - self._epoch
