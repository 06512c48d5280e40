"""Measures how much a hostile cluster delays the three other clusters of one function.

The function serves four clusters with the concurrency that Terraform sets for four. The three honest ones share an API
server, so that only the function decides how long they wait. The fourth cluster floods the function with as many events
as its share admits, and its API server gives costly answers (`sandbox.hostile_api`). A wait lasts from sending a CSR's
event to the function's answer.
"""

import itertools
import json
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import psutil

from sandbox import capacity
from sandbox.api import csr_path
from sandbox.calico.fleet import Submission
from sandbox.calico.keys import KeyPool
from sandbox.deployment import Deployment, Settings
from sandbox.documents import CLUSTER
from sandbox.hostile_api import COSTLY, HostileApiServer, post_event
from sandbox.measurements.common import PATIENCE, Row, fleet
from sandbox.usage import Usage

HONEST: Final = ("first", "second", "third")
HOSTILE: Final = "hostile"
SHARE: Final = capacity.concurrency(1)
ROUNDS: Final = 3
AT_ONCE: Final = 4
"""Events of each honest cluster at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """The waits of all certificates of the three honest clusters.

    Attributes:
        seconds: Seconds until the last of them.
        each: Seconds of each event.
        refused: Number of CSRs without a certificate.
    """

    seconds: float
    each: Sequence[float]
    refused: int


def hostile_cluster(settings: Settings, count: int) -> list[Row]:
    """Measures the waits of `count` CSRs of each honest cluster, alone and beside each kind of hostile answers."""
    settings = replace(settings, concurrency=capacity.concurrency(len(HONEST) + 1), front_door=False)
    rows = []
    with Deployment(settings) as deployment, KeyPool() as keys:
        deployment.kill_exporter()
        document = _document(deployment)
        numbers = itertools.count()

        def waits() -> Waits:
            pods = fleet(deployment, keys, count * len(HONEST), f"hostile-{next(numbers)}")
            return _waits(deployment, pods.submit())

        for kind, answers in COSTLY.items():
            folder = Path(tempfile.mkdtemp(dir=deployment.directory))
            with HostileApiServer(folder, answers()) as server:
                document["clusters"][HOSTILE] |= {"authentication": {"kubeconfig": str(server.kubeconfig)}}
                (deployment.directory / "function.json").write_text(json.dumps(document))
                deployment.function.kill()
                deployment.function.start()
                waits()  # opens the connections
                rounds = []
                for _ in range(ROUNDS):
                    alone = waits()
                    with _flood(deployment.function.url):
                        rounds.append((alone, waits()))
                workers = psutil.Process(deployment.function.pid).children(recursive=True)
                peak = max(Usage.of(worker.pid).peak for worker in workers)
            rows += _rows(kind, rounds, peak)
    return rows


def _document(deployment: Deployment) -> dict[str, Any]:
    """Returns the function's document with four clusters instead of one; all share its CA."""
    document: dict[str, Any] = json.loads((deployment.directory / "function.json").read_text())
    cluster, (signer,) = document["clusters"].pop(CLUSTER), document["signers"]
    names = (*HONEST, HOSTILE)
    document["clusters"] = {name: cluster | {"source": f"//{name}", "shared_trust_domain": True} for name in names}
    for key in ("server", "certificate_authority"):
        document["clusters"][HOSTILE].pop(key, None)
    document["signers"] = [signer | {"cluster": name} for name in names]
    return document


def _waits(deployment: Deployment, submissions: Sequence[Submission]) -> Waits:
    events = [(f"//{HONEST[number % len(HONEST)]}", each) for number, each in enumerate(submissions)]
    started = time.monotonic()

    def send(source: str, submission: Submission) -> float:
        begun = time.monotonic()
        post_event(deployment.function.url, source, submission.name, submission.uid, seconds=PATIENCE)
        return time.monotonic() - begun

    with ThreadPoolExecutor(AT_ONCE * len(HONEST)) as executor:
        each = list(executor.map(send, *zip(*events, strict=True)))
    seconds = time.monotonic() - started
    issued = sum("certificate" in deployment.api.get(csr_path(each.name))["status"] for each in submissions)
    return Waits(seconds=seconds, each=each, refused=len(submissions) - issued)


@contextmanager
def _flood(url: str) -> Iterator[None]:
    """Sends events of the hostile cluster without end."""
    over = threading.Event()

    def send() -> None:
        while not over.is_set():
            uid = str(uuid.uuid4())
            post_event(url, f"//{HOSTILE}", f"csr:{uid}", uid, seconds=PATIENCE)

    with ThreadPoolExecutor(SHARE) as executor:
        floods = [executor.submit(send) for _ in range(SHARE)]
        time.sleep(1)  # until its share is in use
        try:
            yield
        finally:
            over.set()
    for each in floods:
        each.result()


def _rows(kind: str, rounds: Sequence[tuple[Waits, Waits]], peak: float) -> list[Row]:
    def figures(runs: Sequence[Waits]) -> str:
        each = [wait for run in runs for wait in run.each]
        return f"{statistics.median(run.seconds for run in runs):.2f} s, {max(each):.2f} s"

    ratios = [beside.seconds / alone.seconds for alone, beside in rounds]
    refused = sum(run.refused for pair in rounds for run in pair)
    return [
        Row(name="three clusters: all certificates, longest wait", figure=figures([alone for alone, _ in rounds])),
        Row(name=f"  beside {kind}", figure=figures([beside for _, beside in rounds])),
        Row(
            name="  ratio: median, least and most of the rounds",
            figure=f"{statistics.median(ratios):.2f}, {min(ratios):.2f}, {max(ratios):.2f}",
        ),
        Row(name="  CSRs without a certificate", figure=str(refused)),
        Row(name="  function: resident at most", figure=f"{peak:.0f} MiB"),
    ]
