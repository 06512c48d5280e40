"""Runs the function as it is deployed: functions-framework under gunicorn, in a separate process."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import sys
import time
from pathlib import Path

import urllib3

from sandbox.process import Part

ROOT = Path(__file__).resolve().parents[2]
_LOOPBACK = "127.0.0.1"
_OWN_PORTS = (16_000, 32_000)
_READY_SECONDS = 60.0
_POLL_SECONDS = 0.05
_CONFIGURED = 400  # the answer of a configured function to a request that is no event
_TAIL = 2000


class FunctionError(Exception):
    """The function did not get ready; the message ends with its log's end."""


class FunctionRuntime:
    """Starts, kills and restarts the function, always at the same address.

    Attributes:
        url: Its URL.
        environment: More environment variables for the next start.
        root: The source tree of the function at the next start; a benchmark compares two trees.
    """

    def __init__(self, configuration: Path, log: Path, *, concurrency: int = 32, workers: int = 1) -> None:
        """Chooses the address, without starting the function.

        Args:
            configuration: The configuration document.
            log: The file for its output: audit records and the framework's messages.
            concurrency: Concurrent requests per process.
            workers: Number of processes.
        """
        self._configuration = configuration
        self._log = log
        # Older revisions, which a benchmark compares, serve each request in a thread and read THREADS.
        self._sizes = {
            "CSR_SIGNER_CONCURRENCY": str(concurrency),
            "THREADS": str(concurrency),
            "WORKERS": str(workers),
        }
        self.environment: dict[str, str] = {}
        self.root = ROOT
        self._port = free_port()
        self._part: Part | None = None
        self.url = f"http://{_LOOPBACK}:{self._port}"

    def start(self) -> None:
        """Starts the function, and waits until it has read its configuration.

        Raises:
            FunctionError: It was not ready within a minute, its configuration is wrong, or it ended.
        """
        source = self.root / "function" / "main.py"
        self._part = Part.start_program(
            framework(source, self._port),
            log=self._log,
            environment={
                "CSR_SIGNER_CONFIGURATION": str(self._configuration),
                **self._sizes,
                **self.environment,
                **first_on_path(source.parent),
            },
            directory=source.parent,  # as in Cloud Run: the configuration's path may be relative to main.py
            says_ready=False,
        )
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stops the function as a platform does when scaling down; does nothing if it does not run."""
        if self._part is not None:
            self._part.stop()

    def kill(self) -> None:
        """Kills the function, as a crash does; does nothing if it does not run."""
        if self._part is not None:
            self._part.kill()

    @property
    def pid(self) -> int | None:
        """Returns the process id of gunicorn's arbiter, the parent of its workers; None before the first start."""
        return None if self._part is None else self._part.pid

    def _wait(self) -> None:
        end = time.monotonic() + _READY_SECONDS
        status: int | None = None
        while status is None and time.monotonic() < end and self._part is not None and self._part.alive:
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                status = urllib3.request("GET", self.url, retries=False, timeout=_READY_SECONDS).status
            time.sleep(_POLL_SECONDS)
        if status != _CONFIGURED:
            tail = self._log.read_bytes()[-_TAIL:].decode(errors="replace")
            raise FunctionError(f"the function is not ready (HTTP status {status}); the end of its log:\n{tail}")


def framework(source: Path, port: int) -> list[str]:
    """Returns the command that serves the function of a source file on a loopback port."""
    function = ["--target", "handle", "--source", str(source)]
    return [sys.executable, "-m", "functions_framework", *function, "--host", _LOOPBACK, "--port", str(port)]


def first_on_path(folder: Path) -> dict[str, str]:
    """Returns the environment variable that makes Python import a folder's packages instead of this tree's."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))}


def free_port() -> int:
    """Returns a port outside the kernel's ephemeral range: no other process gets it while the function is down."""
    while True:
        port = random.randint(*_OWN_PORTS)  # noqa: S311 - not secret
        with contextlib.suppress(OSError), socket.create_server((_LOOPBACK, port)):
            return port
