"""The long story, a soak test: a real API server, the real function and two real exporters, killed at random.

It compresses an hour of a large cluster: the requests of an hour arrive in a few minutes, and all time limits, rate
limits and back-offs are as deployed. Calico pods file CSRs, some of them twice under one name. Attackers file wrong
requests, and one pod files and deletes its CSR as fast as it can. Meanwhile SIGKILL ends the function, an exporter or
the API server again and again, and each starts again after a moment. Then the story waits until no CSR is left. The
simulation's checker judges the API server's watch, KMS's log and the audit records, and `signerctl reconcile` compares
the last two.

The seed decides who files which CSR when, and what is killed when. How the processes run differs each time. The default
takes about six minutes on two cores. It needs a real kube-apiserver: Go 1.26, or KUBEBUILDER_ASSETS. The exit status is
1 after a violation or a failure, which keeps the logs, and 2 for a wrong option or without an API server.
"""

import argparse
import json
import math
import shutil
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from urllib3.exceptions import HTTPError

from sandbox.api import ApiError
from sandbox.authority import AuthorityError
from sandbox.calico.keys import KeyPool
from sandbox.calico.world import World
from sandbox.control_plane import NotAvailableError, StartError
from sandbox.demo import interrupt
from sandbox.deployment import Deployment, Settings
from sandbox.function_runtime import FunctionError
from sandbox.kms import KmsControl
from sandbox.options import MAX_PODS
from sandbox.patient_api import PatientApi
from sandbox.process import PartError
from tests.simulation.checker import Violation, violations
from tests.simulation.experiment import Experiment, Options
from tests.simulation.history import Change, History
from tests.unit.signerctl.stage import signerctl

_FAULTS: Final = (ApiError, AssertionError, AuthorityError, FunctionError, HTTPError, PartError, StartError)
_HOUR: Final = 60
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A history and its judges.

    Attributes:
        history: What happened.
        violations: What the checker finds.
        discrepancies: What `signerctl reconcile` finds.
    """

    history: History
    violations: Sequence[Violation]
    discrepancies: Sequence[dict[str, Any]]

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Returns the discrepancies that an intent of a killed process does not explain."""
        return [item for item in self.discrepancies if item["level"] == "error"]


def settings(directory: Path) -> Settings:
    """Returns the settings of the deployment. A signature takes as long as in a cloud, so that kills meet some."""
    return Settings(directory=directory, plane="real", guards=True, kms_latency=0.1, concurrency=16, replicas=2)


def tell(options: Options, deployment: Deployment) -> Outcome:
    """Lets everything happen on a running deployment, and judges it."""
    with (
        PatientApi.from_kubeconfig(deployment.plane.kubeconfig) as api,
        World(api) as world,
        KmsControl(deployment.kms) as kms,
        KeyPool() as keys,
    ):
        history = Experiment(options, deployment, world, kms, keys).run()
    return Outcome(history=history, violations=violations(history), discrepancies=reconciled(history, deployment))


def reconciled(history: History, deployment: Deployment) -> list[dict[str, Any]]:
    """Returns the discrepancies between KMS's log and the history's records."""
    records = deployment.directory / "records.json"
    records.write_text("\n".join(json.dumps(record.line) for record in history.records), encoding="utf-8")
    logs = (deployment.log("kms-audit"), records, deployment.log("signerctl"))
    found: list[dict[str, Any]] = json.loads(signerctl("reconcile", "--json", *logs).stdout)["items"]
    return found


def summary(options: Options, outcome: Outcome) -> Iterator[str]:
    """Yields the lines of the summary."""
    history = outcome.history
    last = {change.uid: change for change in history.changes}
    issued = {change.uid: change.at for change in reversed(history.changes) if change.certificate}
    promised = [each for each in history.filed if math.isfinite(each.within)]
    waits = [issued[each.uid] - each.at for each in promised if each.uid in issued] or [0.0]
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
        "longest wait beside the flood, median": f"{max(waits):.1f} s, {statistics.median(waits):.1f} s",
        "violations": len(outcome.violations),
        "signerctl reconcile: errors": len(outcome.errors),
        "  warnings: intents without outcome": len(outcome.discrepancies) - len(outcome.errors),
    }
    yield f"an hour's requests in {options.minutes:g} minutes, with all time limits as deployed; seed {options.seed}"
    yield from (
        f"  {name:<42} {figure if isinstance(figure, str) else f'{figure:,}'}" for name, figure in figures.items()
    )
    yield from map(str, outcome.violations[:_SHOWN])
    yield from map(str, outcome.errors[:_SHOWN])


def _is_open(change: Change) -> bool:
    return not (change.is_deleted or change.certificate or {"Denied", "Failed"} & {*change.conditions})


def main(arguments: Sequence[str] | None = None) -> int:
    """Tells one story and prints its summary; returns the exit status."""
    options = _parsed(arguments)
    interrupt.stop_parts()
    try:
        with tempfile.TemporaryDirectory(prefix="csr-signer-story-") as folder:
            try:
                with Deployment(settings(Path(folder)), progress=_say) as deployment:
                    outcome = tell(options, deployment)
            except _FAULTS as error:
                return _complain(f"{error}\nlogs are kept in {_keep(folder)}", 1)
            print(*summary(options, outcome), sep="\n", flush=True)
            if outcome.violations or outcome.errors:
                return _complain(f"not as it should be; logs are kept in {_keep(folder)}", 1)
    except NotAvailableError as error:
        return _complain(str(error), 2)
    except interrupt.InterruptedDemoError:
        return _complain("interrupted", interrupt.STATUS)
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


def _complain(text: str, status: int) -> int:
    print(f"simulate: {text}", file=sys.stderr)
    return status


def _keep(folder: str) -> str:
    return shutil.copytree(folder, tempfile.mkdtemp(prefix="csr-signer-story-failed-"), dirs_exist_ok=True)


def _parsed(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(
        prog="scripts/simulate --story", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Options()
    for name, lowest, highest, text in (
        ("csrs", 1, MAX_PODS, "CSRs that are filed"),
        ("minutes", 0.1, _HOUR, "minutes in which they are filed, instead of an hour"),
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
