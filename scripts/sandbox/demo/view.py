"""The demo's output: its interface, its texts, and the output as plain lines."""

from __future__ import annotations

import contextlib
import shutil
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sandbox.calico.fleet import Submission
    from sandbox.calico.observer import Observation
    from sandbox.demo.summary import Attack, Summary

    Fleet = Sequence[Submission]
    Seen = Mapping[str, Observation]

_EACH_LINE = 100  # up to this fleet size, each request gets a line
_NAME = 56  # width of the longest CSR name
LABEL = 27  # width of the longest name of a fact, and two spaces
ISSUED = "Approved,Issued"


class View(Protocol):
    """The output interface of the story."""

    def title(self, text: str) -> None:
        """Prints the title."""

    def stage(self, text: str) -> None:
        """Announces the next stage."""

    def step(self, text: str) -> None:
        """Announces a step of the stage."""

    def note(self, text: str) -> None:
        """Prints a note."""

    def facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """Prints names and values."""

    def command(self, purpose: str, lines: Sequence[str]) -> None:
        """Prints a shell command in several lines, to copy."""

    def fleet(self, total: int) -> contextlib.AbstractContextManager[None]:
        """Encloses the calls of `update` for a fleet of that size."""

    def update(self, submissions: Fleet, seen: Seen) -> None:
        """Shows the fleet's current state."""

    def attacks(self, attacks: Sequence[Attack]) -> None:
        """Shows the results of the attacks."""

    def summary(self, summary: Summary) -> None:
        """Shows the figures."""


class PlainView:
    """Prints lines of text: one for each request that ended, or for each tenth of a large fleet."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._shown: set[str] = set()
        self._tenths = 0
        self._total = 0

    def title(self, text: str) -> None:
        """Prints the title and an empty line."""
        self.note(f"{text}\n")

    def stage(self, text: str) -> None:
        """Prints the stage with the seconds since the start."""
        self.note(f"[{time.monotonic() - self._begun:5.1f} s] {text}")

    def step(self, text: str) -> None:
        """Prints the step below the stage, with the seconds since the start."""
        self.stage(f"  {text}")

    def note(self, text: str) -> None:
        """Prints a note."""
        print(text, flush=True)

    def facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """Prints one line for each fact."""
        for name, value in facts:
            self.note(f"  {name + ':':<{LABEL}}{value}")

    def command(self, purpose: str, lines: Sequence[str]) -> None:
        """Prints the command with its purpose."""
        self.note(command_lines(purpose, lines))

    @contextlib.contextmanager
    def fleet(self, total: int) -> Iterator[None]:
        """Prints the header of the lines for each request."""
        self._total = total
        if total <= _EACH_LINE:
            self.note(f"  {'CSR':<{_NAME}}  {'key':<8}  issued in")
        yield

    def update(self, submissions: Fleet, seen: Seen) -> None:
        """Prints the requests that have ended since the last call."""
        ended = [each for each in submissions if ended_at(each, seen) < float("inf") and each.uid not in self._shown]
        for submission in sorted(ended, key=lambda each: ended_at(each, seen)):
            self._shown.add(submission.uid)
            if self._total <= _EACH_LINE:
                self.note(f"  {submission.name:<{_NAME}}  {key_type(submission):<8}  {result_of(submission, seen)}")
        done = len(self._shown)
        if self._total > _EACH_LINE and done * 10 // self._total > self._tenths:
            self._tenths = done * 10 // self._total
            self.note(f"  {done} of {self._total} requests have ended")

    def attacks(self, attacks: Sequence[Attack]) -> None:
        """Prints each attack, and below it the answer."""
        for attack in attacks:
            self.note(attack_line(attack))
            self.note(answer_lines(attack))

    def summary(self, summary: Summary) -> None:
        """Prints one line for each figure."""
        for name, value, right in figures(summary):
            self.note(f"  {name:<24} {value}{'' if right else '  NOT AS EXPECTED'}")


def complain(text: str, status: int) -> int:
    """Prints an error to stderr; returns the exit status."""
    print(f"demo: {text}", file=sys.stderr)
    return status


def figures(summary: Summary) -> list[tuple[str, str, bool]]:
    """Returns the lines of the summary: name, value, and whether the value is as expected."""
    wrong = [f"{name}: {violation}" for name, violation in summary.violations.items() if violation]
    lines = [
        ("certificates issued", f"{summary.issued} of {summary.requested}", summary.issued == summary.requested),
        ("chains verified", f"{summary.verified} of {summary.issued} (openssl verify)", not wrong),
        *(("", violation, False) for violation in wrong[:10]),
        _key_pairs(summary),
        (
            "attackers refused",
            f"{summary.refused} of {len(summary.attacks)}",
            summary.refused == len(summary.attacks),
        ),
        ("request to certificate", f"median {summary.median:.2f} s, 95 % within {summary.p95:.2f} s", True),
        ("certificates per second", f"{summary.per_second:.0f}", True),
    ]
    if summary.signatures is not None:
        text = f"{summary.signatures} ({summary.certificates} certificates, 1 CA certificate)"
        # The function may repeat a request to KMS, so only fewer signatures than certificates are a fault.
        lines.append(("KMS signatures", text, summary.signatures >= summary.certificates + 1))
    return lines


def _key_pairs(summary: Summary) -> tuple[str, str, bool]:
    name = "key pairs mounted"
    if summary.key_pairs is None:
        return (name, "none (--no-key-pairs): Goldmane and Whisker wait", True)
    total = len(summary.key_pairs)
    return (name, f"{summary.mounted} of {total} (Goldmane, Whisker)", summary.mounted == total)


def attack_line(attack: Attack) -> str:
    """Returns the name of an attack and its fault."""
    return _wrapped(f"{attack.name}: {attack.wrong}{'' if attack.as_expected else '  NOT AS EXPECTED'}", "  ")


def answer_lines(attack: Attack) -> str:
    """Returns the answer to an attack, indented below its name."""
    return _wrapped(f"{attack.verdict}: {attack.reason}", "    ")


def _wrapped(text: str, indent: str) -> str:
    """Wraps text at the terminal's width, or at 80 columns in a pipe."""
    return textwrap.fill(
        text,
        shutil.get_terminal_size().columns,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def command_lines(purpose: str, lines: Sequence[str]) -> str:
    """Returns a purpose, and a shell command in several lines."""
    return f"\nTo {purpose}:\n  " + " \\\n    ".join(lines)


def state_of(submission: Submission, seen: Seen) -> str:
    """Returns the CSR's state as `kubectl get csr` prints it."""
    found = seen.get(submission.uid)
    return "Pending" if found is None else found.state


def result_of(submission: Submission, seen: Seen) -> str:
    """Returns the seconds to the certificate; without one, the state."""
    state = state_of(submission, seen)
    return f"{ended_at(submission, seen) - submission.submitted:.2f} s" if state == ISSUED else state


def ended_at(submission: Submission, seen: Seen) -> float:
    """Returns when the request was issued or refused, in seconds of time.monotonic; infinity before."""
    found = seen.get(submission.uid)
    return float("inf") if found is None or found.ended is None else found.ended


def key_type(submission: Submission) -> str:
    """Returns the type of the key, like RSA-2048 or P-256."""
    return submission.member.management.key_algorithm.replace("RSAWithSize", "RSA-").replace("ECDSAWithCurve", "P-")
