"""The exporter as it is deployed: a process of its own for each replica, and what its pages say."""

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
    """What the image's Dockerfile says of memory: it holds where the exporter is measured, too."""
    dockerfile = ROOT / "infra" / "exporter" / "Dockerfile"
    return dict(re.findall(r"\b(MALLOC_\w+)=(\S+)", dockerfile.read_text(encoding="utf-8")))


class PageError(Exception):
    """A page of the exporter cannot be had."""


class Samples:
    """What /metrics said at one moment."""

    def __init__(self, text: str) -> None:
        """Read the text format of Prometheus."""
        families = list(text_string_to_metric_families(text))
        self._samples = [sample for family in families for sample in family.samples]
        # A counter with labels that has not counted yet has no sample, but has its name.
        self._names = {f"{family.name}_total" for family in families} | {sample.name for sample in self._samples}
        self._names |= {family.name for family in families}

    def total(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels; 0 where nothing was counted yet.

        Args:
            name: Without the prefix that all of the exporter's metrics have.
            labels: Further labels may have any value.

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
        root: The tree whose exporter the next start runs; a benchmark compares two.
    """

    def __init__(self, configuration: Path, log: Path, *, ordinal: int = 0, program: Sequence[str] = PROGRAM) -> None:
        """Nothing is started yet.

        Args:
            configuration: The configuration document, which is read at every start.
            log: Where its lines go.
            ordinal: Its number in the StatefulSet.
            program: What Python is to run.
        """
        self._configuration = configuration
        self._log = log
        self._ordinal = ordinal
        self._program = program
        self.root = ROOT
        self._part: Part | None = None

    def start(self) -> None:
        """Start it, and wait until its threads run.

        Raises:
            PartError: It does not.
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
        """Stop it as Kubernetes does; harmless when it does not run."""
        if self._part is not None:
            self._part.stop()

    def kill(self) -> None:
        """End it at once, as a crash does; harmless when it does not run."""
        if self._part is not None:
            self._part.kill()

    @property
    def pid(self) -> int | None:
        """The process id; None before the first start."""
        return None if self._part is None else self._part.pid

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """The process does nothing meanwhile, and knows nothing of it (SIGSTOP)."""
        if self._part is None:
            raise PageError("the exporter was not started")
        self._part.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._part.signal(signal.SIGCONT)

    def page(self, path: str) -> tuple[int, str]:
        """Status and body of one of its pages: /livez, /readyz, /metrics.

        Raises:
            PageError: No answer came.
        """
        if self._part is None:
            raise PageError("the exporter was not started")
        url = f"http://{self._part.ready['health']}{path}"
        try:
            answer = urllib3.request("GET", url, retries=False, timeout=_SECONDS)
        except urllib3.exceptions.HTTPError as error:
            raise PageError(f"{path}: {error}") from error
        return answer.status, answer.data.decode()

    def metrics(self) -> Samples:
        """What it counted since its start.

        Raises:
            PageError: It does not say.
        """
        status, text = self.page("/metrics")
        if status != _OK:
            raise PageError(f"/metrics answered {status}")
        return Samples(text)
