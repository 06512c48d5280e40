"""What an operator's tools say about a deployment: kubectl's lists, the exporter's pages, the logs, signerctl."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.api import csr_path
from sandbox.breakdowns.row import Tool
from sandbox.demo import clients
from sandbox.exporter_runtime import PageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sandbox.breakdowns.requests import Request
    from sandbox.deployment import Deployment

_METRICS = "/metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What the tools have said before the breakdown.

    Attributes:
        logs: Size of each log.
        metrics: The lines of the exporter's metrics.
    """

    logs: Mapping[str, int]
    metrics: frozenset[str]

    @classmethod
    def of(cls, deployment: Deployment) -> Before:
        """Returns what they have said until now."""
        logs = {part: deployment.log(part).stat().st_size for part in ("exporter", "function")}
        return cls(logs=logs, metrics=frozenset(_page(deployment, _METRICS).splitlines()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """Asks the tools about one request.

    Attributes:
        deployment: The deployment.
        request: The pod and its CSR.
        before: What is older than the breakdown.
        run: Runs signerctl with these arguments, and returns what it prints.
    """

    deployment: Deployment
    request: Request
    before: Before
    run: Callable[[Sequence[str]], str]

    def ask(self, tool: Tool) -> str:
        """Returns a tool's output."""
        return _TOOLS[tool](self)

    def csr(self) -> str:
        """Returns the CSR's name, signerName and state."""
        found = self.deployment.api.get(csr_path(self.request.name))
        status = found.get("status", {})
        states = [condition["type"] for condition in status.get("conditions", ())]
        states += ["Issued"] if status.get("certificate") else []
        return f"{found['metadata']['name']} {found['spec']['signerName']} {','.join(states) or 'Pending'}\n"

    def events(self) -> str:
        """Returns the Events on the CSR and on its pod."""
        names = {self.request.name, self.request.pod.name}
        found = self.deployment.api.get("/api/v1/events")["items"]
        return "".join(_event(each) for each in found if each["involvedObject"].get("name") in names)

    def log(self, part: str) -> str:
        """Returns what a part has logged since the breakdown."""
        content = self.deployment.log(part).read_bytes()
        return content[self.before.logs[part] :].decode(errors="replace").replace('\\"', '"')

    def ready(self) -> str:
        """Returns status and body of the exporter's /readyz."""
        return _page(self.deployment, "/readyz")

    def metrics(self) -> str:
        """Returns the exporter's metrics whose values have changed since the breakdown."""
        lines = _page(self.deployment, _METRICS).splitlines()
        # An exporter that has restarted since counts from 0 again.
        changed = [line for line in lines if line not in self.before.metrics and not line.endswith(" 0.0")]
        return "".join(f"{line}\n" for line in changed)

    def signerctl(self, *command: str) -> str:
        """Returns what a command prints, with the options that the demo prints for `signerctl doctor`."""
        words = shlex.split(" ".join(clients.doctor(self.deployment, *command)))
        return self.run(words[words.index("signerctl") + 1 :])


_TOOLS: Mapping[Tool, Callable[[Observer], str]] = {
    Tool.CSR: Observer.csr,
    Tool.EVENTS: Observer.events,
    Tool.READY: Observer.ready,
    Tool.METRICS: Observer.metrics,
    Tool.LOG: lambda observer: observer.log("exporter"),
    Tool.RECORDS: lambda observer: observer.log("function"),
    Tool.DOCTOR: Observer.signerctl,
    Tool.EXPLAIN: lambda observer: observer.signerctl("explain", f"csr/{shlex.quote(observer.request.name)}"),
}


def _event(event: Mapping[str, Any]) -> str:
    about = event["involvedObject"]
    return f"{event['type']} {event['reason']} {about['kind'].lower()}/{about['name']} {event['message']}\n"


def _page(deployment: Deployment, path: str) -> str:
    try:
        status, text = deployment.exporters[0].page(path)
    except PageError:
        return "no answer\n"
    return f"{status} {text}"
