"""Parts: child processes that say when they are ready, and that never outlive their parent."""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Self

_SCRIPTS = Path(__file__).resolve().parents[1]
_TAIL = 2000  # bytes of a failed part's log that its error repeats

# Runs in the child before the program and is replaced by it. It asks Linux to kill the process when its
# parent ends (PR_SET_PDEATHSIG = 1, SIGKILL = 9; execve keeps it), and looks whether it has ended already.
# Not a preexec_fn: that would run Python between fork and exec of a process that has gRPC's threads.
# Elsewhere than on Linux a part ends with its parent only where the parent stops it.
_PRELUDE = """
import os, sys
parent, program = int(sys.argv[1]), sys.argv[2:]
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
os.execvp(program[0], program)
"""

# Linux means the parent's *thread*: a part that a short-lived thread started would die with that thread.
# This one lives as long as the process does.
_lasting_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="parts")


class PartError(Exception):
    """A part did not start: it ended, was not ready in time, or said something else than a JSON object."""


class Part:
    """A child process that stops when it is told to, at the end of a `with` block, or when its parent dies.

    It leads a process group of its own, so an interrupt in the terminal reaches only the parent, and `kill`
    ends workers that the program started too.

    Attributes:
        ready: The JSON object that the part printed when it was ready; empty where none was asked for.
    """

    def __init__(self, process: subprocess.Popen[bytes], ready: dict[str, Any]) -> None:
        self._process = process
        self.ready = ready

    @classmethod
    def start(
        cls,
        module: str,
        *arguments: str,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        deadline: float = 30.0,
    ) -> Self:
        """Start `python -m module arguments...` and wait for its ready line.

        Args:
            module: A module that prints one JSON object on one line to stdout when it is ready.
            arguments: Its command line.
            log: Where stderr is appended; without it the part shares the parent's stderr.
            environment: Variables that are added to the parent's, or replace them.
            directory: The part's working directory.
            deadline: Seconds within which it must be ready.

        Raises:
            PartError: It was not ready; its log's end is in the message.
        """
        return cls.start_program(
            [sys.executable, "-m", module, *arguments],
            log=log,
            environment=environment,
            directory=directory,
            deadline=deadline,
        )

    @classmethod
    def start_program(
        cls,
        argv: Sequence[str],
        *,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        deadline: float = 30.0,
        says_ready: bool = True,
    ) -> Self:
        """Start any program; `start` says what the arguments mean.

        Args:
            argv: The program and its arguments.
            log: As in `start`.
            environment: As in `start`.
            directory: As in `start`.
            deadline: As in `start`.
            says_ready: False for a program without a ready line: its stdout goes where its stderr goes, and
                whoever starts it finds out by other means when it is ready.

        Raises:
            PartError: It was not ready.
        """
        process = _on_lasting_thread(argv, log, _environment(environment), directory, says_ready=says_ready)
        part = cls(process, {})
        if says_ready:
            try:
                part.ready = _read_ready(process, deadline)
            except PartError as error:
                part.kill()
                raise PartError(f"{argv!r}: {error}{_tail(log)}") from None
            except BaseException:
                part.kill()
                raise
        return part

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal to the process alone."""
        self._process.send_signal(number)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the process has ended by itself.

        Returns:
            Its exit status; negative for the signal that ended it.

        Raises:
            subprocess.TimeoutExpired: It still runs after `timeout` seconds.
        """
        status = self._process.wait(timeout)
        self._close()
        return status

    def stop(self, grace: float = 10.0) -> int:
        """Send SIGTERM, wait `grace` seconds, then kill; return the exit status."""
        if self.alive:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.wait(grace)
        return self.kill()

    def kill(self) -> int:
        """End the process and all of its group with SIGKILL; return the exit status."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, 9)
        return self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _close(self) -> None:
        if self._process.stdout is not None:
            self._process.stdout.close()


def _environment(additions: Mapping[str, str] | None) -> dict[str, str]:
    environment = {**os.environ, **(additions or {})}
    paths = environment.get("PYTHONPATH", "").split(os.pathsep)
    if str(_SCRIPTS) not in paths:
        environment["PYTHONPATH"] = os.pathsep.join([str(_SCRIPTS), *filter(None, paths)])
    return environment


def _on_lasting_thread(
    argv: Sequence[str],
    log: Path | None,
    environment: dict[str, str],
    directory: Path | None,
    *,
    says_ready: bool,
) -> subprocess.Popen[bytes]:
    def spawn() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-S", "-c", _PRELUDE, str(os.getpid()), *argv]
        with contextlib.ExitStack() as stack:
            stderr = stack.enter_context(log.open("ab")) if log is not None else None
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if says_ready else stderr,
                stderr=stderr,
                env=environment,
                cwd=directory,
                process_group=0,
            )

    if threading.current_thread() is threading.main_thread():
        return spawn()
    return _lasting_thread.submit(spawn).result()


def _read_ready(process: subprocess.Popen[bytes], deadline: float) -> dict[str, Any]:
    assert process.stdout is not None  # noqa: S101  # mypy's: Popen was given a pipe
    line = _read_line(process.stdout, deadline)
    if not line.endswith(b"\n"):
        raise PartError(f"ended with status {process.wait()} before it was ready, stdout {line!r}")
    try:
        ready = json.loads(line)
    except ValueError:
        ready = None
    if not isinstance(ready, dict):
        raise PartError(f"the ready line must be a JSON object, got {line!r}")
    return ready


def _read_line(stream: IO[bytes], deadline: float) -> bytes:
    """Return the first line with its end, or what there is where the stream ends before."""
    end = time.monotonic() + deadline
    line = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while b"\n" not in line:
            if not selector.select(max(0.0, end - time.monotonic())):
                raise PartError(f"not ready within {deadline:g} s, stdout {bytes(line)!r}")
            chunk = os.read(stream.fileno(), 65536)
            if not chunk:
                break
            line += chunk
    first, end_of_line, _ = bytes(line).partition(b"\n")
    return first + end_of_line


def _tail(log: Path | None) -> str:
    if log is None:
        return ""
    return f"; the end of its log:\n{log.read_bytes()[-_TAIL:].decode(errors='replace')}"
