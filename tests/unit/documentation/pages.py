"""The project's Markdown pages: links, anchors, and the commands that they show."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from development import generated
from tests.paths import DOCS, INFRA, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAMS: Final = re.compile(r"signerctl|(?:\$REPO/)?scripts/[a-z-]+")
_FENCE: Final = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_ENDS: Final = frozenset({"|", ">", ">>", "&", "&&", ";", "||", "<", "(", ")"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command line of a page.

    Attributes:
        page: The page.
        words: The program and its arguments, without redirections.
        to_copy: Whether a reader copies it: it stands in a shell block, and not in prose.
    """

    page: Path
    words: tuple[str, ...]
    to_copy: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {shlex.join(self.words)}"


def pages() -> list[Path]:
    """Returns all Markdown files of the project."""
    return sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *INFRA.rglob("*.md"), *(ROOT / "tests").rglob("*.md")])


def links(page: Path) -> list[str]:
    """Returns the targets of the page's relative links."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return [target for target in _LINK.findall(text) if "://" not in target and not target.startswith("mailto:")]


def anchors(page: Path) -> set[str]:
    """Returns the anchors of the page's headings, as GitHub makes them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return {generated.anchor(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def commands(page: Path) -> list[Command]:
    """Returns the calls of `signerctl` and of the project's scripts: in shell blocks, and as inline code."""
    text = page.read_text(encoding="utf-8")
    lines = [
        (line, language == "sh")
        for language, block in _FENCE.findall(text)
        if language in {"", "sh"}
        for line in _lines(block)
    ]
    lines += [(" ".join(code.split()), False) for code in re.findall(r"`([^`]+)`", _FENCE.sub("", text))]
    return [Command(page=page, words=words, to_copy=to_copy) for line, to_copy in lines for words in _calls(line)]


def _lines(block: str) -> list[str]:
    return [line.strip() for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def _calls(line: str) -> Iterator[tuple[str, ...]]:
    """Yields the words of each call of ours in a line; there may be several, with pipes between them."""
    try:
        words = _words(line)
    except ValueError:
        return  # output, or prose with an apostrophe
    start = True
    for index, word in enumerate(words):
        if start and PROGRAMS.fullmatch(word) and not (ROOT / word).is_dir():
            end = next((at for at, each in enumerate(words[index:], index) if each in _ENDS), len(words))
            yield tuple(words[index:end])
        start = word in _ENDS


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return list(lexer)
