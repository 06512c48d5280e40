"""Runs the exporter as it is deployed, one process per replica, and reads its pages."""

import contextlib
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import urllib3
from prometheus_client.parser import text_string_to_metric_families

from sandbox.function_runtime import ROOT, first_on_path
from sandbox.process import Part

POD = "csr-exporter"
PREFIX = "csr_exporter_"
PROGRAM = ("-m", "csr_exporter")
_OK = 200
_SECONDS = 10.0


def _image_variables() -> dict[str, str]:
    """Returns the memory settings of the image's Dockerfile, so that measurements use them too."""
    dockerfile = ROOT / "infra" / "exporter" / "Dockerfile"
    return dict(re.findall(r"\b(MALLOC_\w+)=(\S+)", dockerfile.read_text(encoding="utf-8")))


class PageError(Exception):
    """A page of the exporter is unavailable."""


class Samples:
    """The samples of /metrics at one time."""

    def __init__(self, text: str) -> None:
        """Parses the text format of Prometheus."""
        families = list(text_string_to_metric_families(text))
        self._samples = [sample for family in families for sample in family.samples]
        # A counter with labels has no sample before its first count, but its name is listed.
        self._names = {f"{family.name}_total" for family in families} | {sample.name for sample in self._samples}
        self._names |= {family.name for family in families}

    def total(self, name: str, **labels: str) -> float:
        """Returns the sum of a metric's samples with these labels; 0 if there is no sample.

        Args:
            name: The metric's name without the exporter's prefix.
            labels: Labels that must match; other labels may have any value.

        Raises:
            KeyError: There is no such metric.
        """
        full = f"{PREFIX}{name}"
        if full not in self._names:
            raise KeyError(f"no metric {full!r}")
        return sum(
            sample.value for sample in self._samples if sample.name == full and labels.items() <= sample.labels.items()
        )


class ExporterRuntime:
    """Starts, freezes, kills and restarts one replica.

    Attributes:
        root: The source tree of the exporter at the next start; a benchmark compares two trees.
    """

    def __init__(self, configuration: Path, log: Path, *, ordinal: int = 0, program: Sequence[str] = PROGRAM) -> None:
        """Prepares a replica, without starting it.

        Args:
            configuration: The configuration document; the exporter reads it at every start.
            log: The file for its log.
            ordinal: Its ordinal in the StatefulSet.
            program: The Python module to run.
        """
        self._configuration = configuration
        self._log = log
        self._ordinal = ordinal
        self._program = program
        self.root = ROOT
        self._part: Part | None = None

    def start(self) -> None:
        """Starts the exporter, and waits until its threads run.

        Raises:
            PartError: It did not start.
        """
        self._part = Part.start_program(
            [sys.executable, *self._program],
            log=self._log,
            environment={
                **_image_variables(),
                "CSR_EXPORTER_CONFIGURATION": str(self._configuration),
                "POD_NAME": f"{POD}-{self._ordinal}",
                "POD_INDEX": str(self._ordinal),
                **first_on_path(self.root / "infra" / "exporter"),
            },
        )

    def stop(self) -> None:
        """Stops the exporter as Kubernetes does; does nothing if it does not run."""
        if self._part is not None:
            self._part.stop()

    def kill(self) -> None:
        """Kills the exporter, as a crash does; does nothing if it does not run."""
        if self._part is not None:
            self._part.kill()

    @property
    def pid(self) -> int | None:
        """Returns the process id; None before the first start."""
        return None if self._part is None else self._part.pid

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Freezes the process with SIGSTOP for the duration of the block; it does not notice."""
        if self._part is None:
            raise PageError("the exporter was not started")
        self._part.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._part.signal(signal.SIGCONT)

    @property
    def url(self) -> str:
        """Returns the URL of its pages, without a path; it changes with every start.

        Raises:
            PageError: The exporter was not started.
        """
        if self._part is None:
            raise PageError("the exporter was not started")
        return f"http://{self._part.ready['health']}"

    def page(self, path: str) -> tuple[int, str]:
        """Returns status and body of one of its pages: /livez, /readyz, /metrics.

        Raises:
            PageError: There was no answer.
        """
        try:
            # The exporter closes a connection whose request takes half a second, so the client retries.
            answer = urllib3.request("GET", f"{self.url}{path}", timeout=_SECONDS)
        except urllib3.exceptions.HTTPError as error:
            raise PageError(f"{path}: {error}") from error
        return answer.status, answer.data.decode()

    def metrics(self) -> Samples:
        """Returns its metrics.

        Raises:
            PageError: The page is unavailable.
        """
        status, text = self.page("/metrics")
        if status != _OK:
            raise PageError(f"/metrics answered {status}")
        return Samples(text)
