"""What processes take of the machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a process and its children took so far.

    Attributes:
        seconds: CPU.
        largest: Resident MiB of the largest process.
        proportional: MiB of all, shared pages counted once.
        peak: The most resident MiB that the process itself ever had.
        descriptors: Its open files.
        threads: Its threads.
    """

    seconds: float
    largest: float
    proportional: float
    peak: float
    descriptors: int
    threads: int

    @classmethod
    def of(cls, pid: int | None) -> Self:
        """Of a process that runs; None for this one."""
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
    """Linux keeps it, so that nobody has to look at the right moment."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
