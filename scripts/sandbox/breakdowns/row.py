"""The form of a breakdown."""

import enum
import re
from dataclasses import dataclass

REST = "..."
"""Stands for any text in a line of the table."""


class Tool(enum.Enum):
    """What an operator asks; the value is the name in the document."""

    CSR = "`kubectl get csr`"
    EVENTS = "`kubectl get events -A`"
    READY = "exporter's `/readyz`"
    METRICS = "exporter's `/metrics`"
    LOG = "exporter's log"
    RECORDS = "function's records"
    DOCTOR = "`signerctl doctor`"
    EXPLAIN = "`signerctl explain`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Text that a tool prints during the breakdown.

    Attributes:
        tool: The tool.
        text: One line of its output, or a part of it; `...` stands for any text.
    """

    tool: Tool
    text: str

    def is_in(self, output: str) -> bool:
        """Tells whether one line of an output has the text; the width of columns does not matter."""
        parts = (r"[^\S\n]+".join(map(re.escape, part.split())) for part in self.text.split(REST))
        return re.search(".*".join(parts), output) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """A row of the table.

    Attributes:
        name: Its name in commands and tests.
        title: Its heading in the document.
        symptom: What an operator sees first, in one sentence.
        cause: The cause, in one or two sentences.
        remedy: What the operator does, as Markdown.
        says: What the tools say, in the order in which an operator asks them.
        workload: The workload whose new pod shows it.
        companion: Another workload with a new pod: the exporter blames the function only if several requesters fail.
    """

    name: str
    title: str
    symptom: str
    cause: str
    remedy: str
    says: tuple[Line, ...]
    workload: str = "calico-node"
    companion: str = "calico-typha"

    @property
    def waits(self) -> bool:
        """Tells whether the function reports a CSR that waits."""
        return any(line.tool is Tool.EVENTS and "WaitingFor" in line.text for line in self.says)
