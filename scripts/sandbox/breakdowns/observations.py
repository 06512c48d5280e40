"""What an operator's tools say about a deployment: kubectl's lists, the exporter's pages, the logs, signerctl."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.api import csr_path
from sandbox.breakdowns.row import Tool
from sandbox.demo import clients
from sandbox.exporter_runtime import PageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.breakdowns.requests import Request
    from sandbox.deployment import Deployment

_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """Asks the tools about one request.

    Attributes:
        deployment: The deployment.
        request: The pod and its CSR.
        logs: Size of each log before the breakdown.
    """

    deployment: Deployment
    request: Request
    logs: Mapping[str, int]

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
        return content[self.logs[part] :].decode(errors="replace").replace('\\"', '"')

    def page(self, path: str) -> str:
        """Returns status and body of one of the exporter's pages."""
        try:
            status, text = self.deployment.exporters[0].page(path)
        except PageError:
            return "no answer\n"
        return f"{status} {text}"

    def signerctl(self, *command: str) -> str:
        """Returns what a command prints, with the options that the demo prints for `signerctl doctor`."""
        arguments = shlex.split(" ".join(clients.doctor(self.deployment, *command)))
        done = subprocess.run(
            [sys.executable, *arguments[1:]],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        return done.stdout + done.stderr


def sizes(deployment: Deployment) -> dict[str, int]:
    """Returns the present sizes of the logs."""
    return {part: deployment.log(part).stat().st_size for part in ("exporter", "function")}


_TOOLS: Mapping[Tool, Callable[[Observer], str]] = {
    Tool.CSR: Observer.csr,
    Tool.EVENTS: Observer.events,
    Tool.READY: lambda observer: observer.page("/readyz"),
    Tool.METRICS: lambda observer: observer.page("/metrics"),
    Tool.LOG: lambda observer: observer.log("exporter"),
    Tool.RECORDS: lambda observer: observer.log("function"),
    Tool.DOCTOR: Observer.signerctl,
    Tool.EXPLAIN: lambda observer: observer.signerctl("explain", f"csr/{shlex.quote(observer.request.name)}"),
}


def _event(event: Mapping[str, Any]) -> str:
    about = event["involvedObject"]
    return f"{event['type']} {event['reason']} {about['kind'].lower()}/{about['name']} {event['message']}\n"
