"""Resource usage of processes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Resource usage of a process and its children.

    Attributes:
        seconds: CPU seconds.
        largest: Resident MiB of the largest process.
        proportional: MiB of all processes, with shared pages counted once.
        peak: The process's own peak of resident MiB.
        descriptors: Number of open files.
        threads: Number of threads.
    """

    seconds: float
    largest: float
    proportional: float
    peak: float
    descriptors: int
    threads: int

    @classmethod
    def of(cls, pid: int | None) -> Self:
        """Returns the usage of a running process; None for this process."""
        parent = psutil.Process(pid)
        processes = [parent, *parent.children(recursive=True)]
        memory = [process.memory_full_info() for process in processes]
        times = [process.cpu_times() for process in processes]
        return cls(
            seconds=sum(spent.user + spent.system for spent in times),
            largest=max(used.rss for used in memory) / MEBIBYTE,
            proportional=sum(used.pss for used in memory) / MEBIBYTE,
            peak=_peak(parent.pid),
            descriptors=parent.num_fds(),
            threads=parent.num_threads(),
        )


def _peak(pid: int) -> float:
    """Returns the peak of resident memory, which Linux records."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
