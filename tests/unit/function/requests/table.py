"""How the tables of this package are written: a heading says what the rows below it have in common.

CASES: Final = table(
refused("where the idea is from", "request.dns_names", "san.dns.not_allowed"),
row("an unknown name", ("typha-client", "example.com")),
permitted("where the idea is from", "csr.usages"),
row("usages in another order", tuple(reversed(USAGES))),
)
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.unit.function.builders import Case


def _itself(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What the rows below have in common.

    Attributes:
        source: where the ideas are from: a project's test, or a section of a standard.
        part: what each row changes: a part of the story, such as `csr`, or one argument of it, such as `csr.usages`.
        codes: what each row breaks.
        of: makes the changed part of a row's value.
        story: outcome, and further parts of the story.
    """

    source: str
    part: str = ""
    codes: tuple[str, ...] = ()
    of: Callable[[Any], Any] = _itself
    story: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A sentence, the value of the part that the heading names, and what only this row has."""

    sentence: str
    value: Any
    codes: tuple[str, ...]
    story: dict[str, Any]

    def below(self, heading: Heading) -> Case:
        """Returns the case."""
        part, _, argument = heading.part.partition(".")
        story, value = heading.story | self.story, heading.of(self.value)
        story[part] = story.get(part, {}) | {argument: value} if argument else value
        return Case(
            sentence=self.sentence, breaks=frozenset(heading.codes + self.codes), source=heading.source, **story
        )


def refused(source: str, part: str, *codes: str, of: Callable[[Any], Any] = _itself, **story: Any) -> Heading:
    """Begins rows that are refused with exactly these codes."""
    return Heading(source=source, part=part, codes=codes, of=of, story=story)


def permitted(source: str, part: str, *, of: Callable[[Any], Any] = _itself, **story: Any) -> Heading:
    """Begins rows that become certificates."""
    return Heading(source=source, part=part, of=of, story={"outcome": "permitted", **story})


def cases(source: str) -> Heading:
    """Begins whole cases, which have nothing but their source in common."""
    return Heading(source=source, story={})


def row(sentence: str, value: Any, *codes: str, **story: Any) -> Row:
    """Returns a row; its codes come after those of the heading."""
    return Row(sentence=sentence, value=value, codes=codes, story=story)


def invalid(sentence: str, value: Any, *codes: str, **story: Any) -> Row:
    """Returns a row whose request a kube-apiserver finds invalid: Go cannot read it, or its signature is wrong."""
    return row(sentence, value, *codes, invalid="spec.request", **story)


def table(heading: Heading, *lines: Heading | Row | Case) -> tuple[Case, ...]:
    """Returns the cases of a table, each below the last heading before it."""
    found: list[Case] = []
    for line in lines:
        if isinstance(line, Heading):
            heading = line
        else:
            found.append(line.below(heading) if isinstance(line, Row) else replace(line, source=heading.source))
    return tuple(found)
