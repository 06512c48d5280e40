"""`scripts/bench judge`: the processor time and memory that one request can cost the function.

It measures `pkcs10.parse` and `decision.decide`: for honest requests, for the worst known requests
(tests/unit/function/worst.py), and for every row of tests/unit/function/requests. Time is the process's own CPU time,
best and worst of several runs; the worst sometimes includes a garbage collection. Memory is Python's peak allocation.
Compare with the honest requests of the same run, because absolute numbers depend on the machine.
"""

import argparse
import gc
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SHOWN: Final = 10

Judge = Callable[[bytes], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of one request.

    Attributes:
        name: Name of the request.
        size: Bytes of its text.
        best, worst: Milliseconds of CPU time.
        memory: Peak memory in bytes.
        answer: Permit, Refusal or Deferral.
    """

    name: str
    size: int
    best: float
    worst: float
    memory: int
    answer: str

    def __str__(self) -> str:
        return (
            f"  {self.name[:58]:<58} {self.size:>6} {self.best:>8.2f} {self.worst:>8.2f}"
            f" {self.memory / 1024:>7.0f} {self.answer}"
        )


HEADER: Final = f"  {'request':<58} {'bytes':>6} {'best ms':>8} {'worst ms':>8} {'KiB':>7} decision"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench judge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10, help="of each request (default: 10)")
    runs = parser.parse_args(arguments).runs
    sys.path.insert(0, str(ROOT))  # the tests have the requests
    judge = _judge()
    first = _first_rsa_key()
    honest = [measure(name, text, judge, runs) for name, text in _honest()]
    hostile = sorted(
        (measure(name, text, judge, runs) for name, text in (*_worst(), *_rows())),
        key=lambda cost: cost.best,
        reverse=True,
    )
    print(f"on {os.cpu_count()} cores, Python {sys.version.split()[0]}, {runs} runs of each of {len(hostile)} requests")
    print(f"honest requests\n{HEADER}", *honest, sep="\n")
    print(f"the {SHOWN} that cost the most time\n{HEADER}", *hostile[:SHOWN], sep="\n")
    largest = max(hostile, key=lambda cost: cost.memory)
    print(f"the one that takes the most memory\n{HEADER}\n{largest}")
    print(f"the first RSA key in a process takes {first:.0f} ms more, once: what checks it is loaded then")
    return 0


def measure(name: str, text: bytes, judge: Judge, runs: int) -> Cost:
    """The cost of one request."""
    times = [_milliseconds(lambda: judge(text)) for _ in range(runs)]
    gc.collect()
    tracemalloc.start()
    answer = type(judge(text)).__name__
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Cost(name=name, size=len(text), best=min(times), worst=max(times), memory=memory, answer=answer)


def _milliseconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return (time.process_time() - start) * 1000


def _judge() -> Judge:
    """Parses and decides a request of the honest requester."""
    from csr_signer.policy import decision  # noqa: PLC0415 - after sys.path
    from csr_signer.request import pkcs10  # noqa: PLC0415 - after sys.path
    from tests.unit.function import builders  # noqa: PLC0415

    csr, signer = builders.make_csr(), builders.make_signer()
    attestation = builders.make_attestation(csr, builders.make_pod())

    def judge(text: bytes) -> object:
        request = pkcs10.parse(text)
        return decision.decide(
            csr=replace(csr, request=text), request=request, attestation=attestation, signer=signer, now=builders.NOW
        )

    return judge


_FIRST: Final = """
import sys, time
from csr_signer.request.pkcs10 import parse
text = sys.stdin.buffer.read()
times = [time.process_time() for _ in range(3) if not _ or parse(text)]
print((times[1] - times[0]) - (times[2] - times[1]))
"""


def _first_rsa_key() -> float:
    """Returns the additional milliseconds of a process's first RSA key."""
    from tests.unit.function.worst import HONEST  # noqa: PLC0415

    done = subprocess.run([sys.executable, "-c", _FIRST], input=HONEST["RSA-2048"](), capture_output=True, check=True)
    return float(done.stdout) * 1000


def _honest() -> Iterator[tuple[str, bytes]]:
    from tests.unit.function.worst import HONEST  # noqa: PLC0415

    yield from ((name, make()) for name, make in HONEST.items())


def _worst() -> Iterator[tuple[str, bytes]]:
    from tests.unit.function.worst import WORST, worst  # noqa: PLC0415

    yield from ((name, worst(name)) for name in WORST)


def _rows() -> Iterator[tuple[str, bytes]]:
    from tests.unit.function.requests.catalogue import CASES  # noqa: PLC0415

    yield from ((row.sentence, row.text) for row in CASES if row.request is not None)
