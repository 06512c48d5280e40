"""Parts: child processes that report when they are ready, and never outlive their parent."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Self

_SCRIPTS = Path(__file__).resolve().parents[1]
_TAIL = 2000  # bytes of a failed part's log in its error

# Runs in the child before the program, which replaces it. It asks Linux to kill the process when the parent ends
# (PR_SET_PDEATHSIG = 1, SIGKILL = 9; execve keeps it), and checks whether the parent has ended already. It is not a
# preexec_fn, because that would run Python between fork and exec in a process with gRPC's threads. On other systems, a
# part ends with its parent only if the parent stops it.
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

_unreaped: set["Part"] = set()
_ending = threading.Event()

# For Linux, the parent is a *thread*: a part of a short-lived thread would die with it. This thread lives as long as
# the process.
_lasting_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="parts")


class PartError(Exception):
    """A part did not start: it ended, was not ready in time, or printed something else than a JSON object."""


class Part:
    """A child process that ends with `stop`, with its `with` block, or with its parent.

    It leads its own process group, so an interrupt in the terminal reaches only the parent, and `kill` also ends the
    program's workers.

    Attributes:
        ready: The JSON object of the part's ready line; empty for a program without one.
        log: The file with its stderr; None if it shares the parent's stderr.
    """

    def __init__(self, process: subprocess.Popen[bytes], ready: dict[str, Any], log: Path | None = None) -> None:
        self._process = process
        self.ready = ready
        self.log = log
        _unreaped.add(self)
        if _ending.is_set():
            self.kill_group()

    @classmethod
    def start(
        cls,
        module: str,
        *arguments: str,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        deadline: float = 60.0,
    ) -> Self:
        """Starts `python -m module arguments...` and waits for its ready line.

        Args:
            module: A module that prints one JSON object on one line to stdout when it is ready.
            arguments: Its command line.
            log: The file to append stderr to; None to share the parent's stderr.
            environment: Variables that extend or replace the parent's.
            directory: The part's working directory.
            deadline: Seconds until it must be ready.

        Raises:
            PartError: It was not ready; the message has the end of its log.
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
        deadline: float = 60.0,
        says_ready: bool = True,
    ) -> Self:
        """Starts any program; for the arguments, see `start`.

        Args:
            argv: The program and its arguments.
            log: As in `start`.
            environment: As in `start`.
            directory: As in `start`.
            deadline: As in `start`.
            says_ready: False for a program without a ready line: its stdout goes to its stderr's file, and the caller
                checks by other means when it is ready.

        Raises:
            PartError: It was not ready.
        """
        # Signal handlers run on the main thread. On this one, none can come between the start and the registration, so
        # `kill_all` misses no part.
        part = _lasting_thread.submit(
            lambda: cls(_spawned(argv, log, _environment(environment), directory, says_ready=says_ready), {}, log)
        ).result()
        if says_ready:
            try:
                part.ready = _read_ready(part._process, deadline)  # noqa: SLF001 - its own class
            except PartError as error:
                part.kill()
                raise PartError(f"{argv!r}: {error}{_tail(log)}") from None
            except BaseException:
                part.kill()
                raise
        return part

    @property
    def pid(self) -> int:
        """Returns the process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Tells whether the process still runs."""
        return self._process.poll() is None

    @property
    def end(self) -> str:
        """Returns how the process ended, for people: its exit status, or the signal that ended it; empty if it runs."""
        status = self._process.poll()
        if status is None:
            return ""
        return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    def signal(self, number: int) -> None:
        """Sends a signal to the process, but not to its group."""
        self._process.send_signal(number)

    def wait(self, timeout: float | None = None) -> int:
        """Waits until the process ends by itself.

        Returns:
            Its exit status; negative for the signal that ended it.

        Raises:
            subprocess.TimeoutExpired: It still runs after `timeout` seconds.
        """
        status = self._process.wait(timeout)
        _unreaped.discard(self)
        self._close()
        return status

    def stop(self, grace: float = 30.0) -> int:
        """Sends SIGTERM, waits `grace` seconds, then kills the process; returns the exit status."""
        if self.alive:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.wait(grace)
        return self.kill()

    def kill(self) -> int:
        """Kills the process and its group with SIGKILL; returns the exit status."""
        if self.alive:
            self.kill_group()
        return self.wait()

    def kill_group(self) -> None:
        """Sends SIGKILL to the process and its group, if the process was not reaped; does not wait."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, 9)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _close(self) -> None:
        if self._process.stdout is not None:
            self._process.stdout.close()


def parts() -> set[Part]:
    """Returns all parts of this process that nobody has stopped."""
    return set(_unreaped)


def kill_all() -> None:
    """Sends SIGKILL to all parts of this process, and to those that other threads are starting; does not wait.

    Use it in a signal handler, before the process ends.
    """
    _ending.set()
    for part in list(_unreaped):
        part.kill_group()


def is_ending() -> bool:
    """Tells whether `kill_all` was called: no part starts again."""
    return _ending.is_set()


def _environment(additions: Mapping[str, str] | None) -> dict[str, str]:
    environment = {**os.environ, **(additions or {})}
    paths = environment.get("PYTHONPATH", "").split(os.pathsep)
    if str(_SCRIPTS) not in paths:
        environment["PYTHONPATH"] = os.pathsep.join([str(_SCRIPTS), *filter(None, paths)])
    return environment


def _spawned(
    argv: Sequence[str],
    log: Path | None,
    environment: dict[str, str],
    directory: Path | None,
    *,
    says_ready: bool,
) -> subprocess.Popen[bytes]:
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
    """Returns the first line with its line end, or the whole stream if it ends earlier."""
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
