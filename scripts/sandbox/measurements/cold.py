"""Measures cold starts, from `exec` of the process to its first answer.

It compares two functions under functions-framework in the same run. The hello-world function only answers 200. The
signer's function gets the event of a waiting CSR: it loads its configuration, opens all connections and issues a
certificate. The two start in turn, and Python has compiled all files before.
"""

import contextlib
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import urllib3

from sandbox.calico.fleet import Submission
from sandbox.calico.keys import KeyPool
from sandbox.deployment import Deployment, Settings
from sandbox.documents import SOURCE
from sandbox.function_runtime import ROOT, FunctionError, first_on_path, framework, free_port
from sandbox.measurements.common import Row, fleet, running
from sandbox.process import Part
from sandbox.usage import Usage

HELLO: Final = """import functions_framework


@functions_framework.http
def handle(request):
    return "hello"
"""
_EVENT: Final = "dev.csrsigner.certificatesigningrequest.actionable.v1"
_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.002
_OK: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The cost of a start, up to the first answer.

    Attributes:
        wall: Elapsed milliseconds.
        cpu: Milliseconds of CPU time of all processes.
        resident: Resident MiB of the largest process.
    """

    wall: float
    cpu: float
    resident: float


def cold(settings: Settings, starts: int, *, against: Path | None = None) -> list[Row]:
    """Measures `starts` starts of each function, and of the tree `against`, if given."""
    trees = [ROOT] if against is None else [against, ROOT]
    hello: list[Start] = []
    ours: dict[Path, list[Start]] = {tree: [] for tree in trees}
    with Deployment(replace(settings, front_door=False)) as deployment, KeyPool() as keys:
        deployment.kill_exporter()
        deployment.function.stop()
        source, log = deployment.directory / "hello.py", deployment.log("cold")
        source.write_text(HELLO, encoding="utf-8")
        submissions = iter(fleet(deployment, keys, (starts + 1) * len(trees), "cold").submit())
        for number in range(starts + 1):
            first = _start(source, {}, None, log=log)
            others: dict[Path, Start] = {}
            for tree in trees:
                variables = {
                    **deployment.function.environment,
                    **first_on_path(tree / "function"),
                    "CSR_SIGNER_CONFIGURATION": str(deployment.directory / "function.json"),
                }
                with running(tree):
                    others[tree] = _start(tree / "function" / "main.py", variables, next(submissions), log=log)
            if number:  # the first round fills the machine's caches
                hello.append(first)
                for tree, start in others.items():
                    ours[tree].append(start)
    rows = [
        Row(
            name="hello-world: exec to first answer",
            figure=f"{_median(hello, 'wall'):.0f} ms, {_median(hello, 'cpu'):.0f} ms of CPU",
        )
    ]
    for tree in trees:
        name = "signer" if tree == ROOT else "the other revision's signer"
        starts_of = ours[tree]
        walls = [start.wall / base.wall for start, base in zip(starts_of, hello, strict=True)]
        cpus = [start.cpu / base.cpu for start, base in zip(starts_of, hello, strict=True)]
        rows += [
            Row(
                name=f"{name}: exec to first certificate",
                figure=f"{_median(starts_of, 'wall'):.0f} ms, {_median(starts_of, 'cpu'):.0f} ms of CPU",
            ),
            Row(
                name="  ratio to hello-world",
                figure=f"{statistics.median(walls):.2f}, {statistics.median(cpus):.2f} of its CPU",
            ),
            Row(name="  resident after it", figure=f"{_median(starts_of, 'resident'):.0f} MiB"),
        ]
    return rows


def _median(starts: Sequence[Start], attribute: str) -> float:
    values: list[float] = [getattr(start, attribute) for start in starts]
    return statistics.median(values)


def _start(source: Path, environment: dict[str, str], submission: Submission | None, *, log: Path) -> Start:
    """Starts functions-framework, sends one request as soon as it listens, and kills it."""
    port = free_port()
    began = time.monotonic()
    part = Part.start_program(
        framework(source, port),
        environment=environment,
        log=log,
        says_ready=False,
    )
    try:
        status = _ask(f"http://127.0.0.1:{port}/", submission, part)
        took = 1000 * (time.monotonic() - began)
        if status != _OK:
            end = log.read_text(encoding="utf-8", errors="replace")
            raise FunctionError(f"the function {f'answered {status}' if status else 'ended'}; its log:\n{end}")
        usage = Usage.of(part.pid)
        return Start(wall=took, cpu=1000 * usage.seconds, resident=usage.largest)
    finally:
        part.kill()


def _ask(url: str, submission: Submission | None, part: Part) -> int | None:
    """Returns the status of the answer; None if the program ends before."""
    body = b"" if submission is None else event(submission)
    headers = {"Content-Type": "application/cloudevents+json"}
    while part.alive:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            return urllib3.request("POST", url, body=body, headers=headers, retries=False, timeout=_SECONDS).status
        time.sleep(_POLL_SECONDS)
    return None


def event(submission: Submission) -> bytes:
    """Returns the exporter's event for a CSR, as a structured CloudEvent."""
    return json.dumps(
        {
            "specversion": "1.0",
            "id": f"{submission.uid}/pending",
            "type": _EVENT,
            "source": SOURCE,
            "subject": submission.name,
            "data": {"name": submission.name, "uid": submission.uid},
        }
    ).encode()
