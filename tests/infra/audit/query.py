"""Cloud Logging's query language, as far as our filters use it; whatever else a filter contains is an error.

Strict where the service is lenient or its documentation leaves room: AND must be written, AND and OR do not mix without
parentheses (there OR binds more tightly than people expect), negation is NOT around a comparison (`!=` is unclear where
a field is missing), texts are quoted, and a first field that no LogEntry has is refused.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

Entry = Mapping[str, Any]
Matches = Callable[[Entry], bool]

LONGEST: Final = 20_000
"""Characters that the service takes."""
_FIELDS: Final = frozenset({"resource", "labels", "logName", "severity", "jsonPayload", "protoPayload", "textPayload"})
_SEVERITIES: Final = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")
_TOKENS: Final = re.compile(
    r"""(?P<space>\s+|--[^\n]*)
      |(?P<text>"(?:[^"\\]|\\.)*")
      |(?P<number>-?\d+(?:\.\d+)?)(?![\w.])
      |(?P<word>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
      |(?P<operator>=~|>=|<=|[=><:])
      |(?P<sign>[()*])""",
    re.VERBOSE,
)
_KEYWORDS: Final = frozenset({"AND", "OR", "NOT"})


class QueryError(ValueError):
    """The filter is none, or uses what is not known here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    kind: str
    text: str


def compiled(filter_: str) -> Matches:
    """Whether an entry matches, as a function.

    Raises:
        QueryError: see the module.
    """
    if len(filter_) > LONGEST:
        raise QueryError(f"{len(filter_)} characters; allowed are {LONGEST}")
    parser = _Parser(list(_tokens(filter_)))
    matches = parser.expression()
    parser.end()
    return matches


def rendered(path: Path, values: Mapping[str, object]) -> str:
    """A filter's file with its `${names}` filled in, as Terraform's templatefile does.

    Raises:
        KeyError: a name has no value.
    """
    return re.sub(r"\$\{(\w+)\}", lambda found: str(values[found[1]]), path.read_text(encoding="utf-8"))


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        found = _TOKENS.match(text, position)
        if found is None or found.lastgroup is None:
            raise QueryError(f"unknown syntax at {text[position : position + 20]!r}")
        position = found.end()
        if found.lastgroup != "space":
            yield _Token(kind=found.lastgroup, text=found[0])


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def expression(self) -> Matches:
        """Terms that are joined by AND, or by OR."""
        terms = [self._term()]
        joint = ""
        while self._next().text in ("AND", "OR"):
            word = self._take().text
            if joint not in ("", word):
                raise QueryError("AND and OR side by side: parentheses are missing")
            joint = word
            terms.append(self._term())
        combine = any if joint == "OR" else all
        return lambda entry: combine(term(entry) for term in terms)

    def end(self) -> None:
        """Nothing may follow."""
        if self._next().kind != "end":
            raise QueryError(f"unexpected {self._next().text!r}; AND must be written")

    def _next(self) -> _Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else _Token(kind="end", text="")

    def _take(self, *kinds: str, text: str = "") -> _Token:
        token = self._next()
        if token.kind == "end" or (kinds and token.kind not in kinds) or (text and token.text != text):
            raise QueryError(f"got {token.text!r}, expected {text or ' or '.join(kinds) or 'more'}")
        self._at += 1
        return token

    def _term(self) -> Matches:
        if self._next().text == "NOT":
            self._take()
            negated = self._term()
            return lambda entry: not negated(entry)
        if self._next().text == "(":
            self._take()
            inner = self.expression()
            self._take(text=")")
            return inner
        return self._comparison()

    def _comparison(self) -> Matches:
        path = self._take("word").text.split(".")
        if path[0] not in _FIELDS:
            raise QueryError(f"field {path[0]!r}; allowed are {', '.join(sorted(_FIELDS))}")
        operator = self._take("operator").text
        if self._next().text == "*":
            self._take()
            if operator != ":":
                raise QueryError(f"{operator}* is none: only :* asks whether a field is there")
            return lambda entry: bool(_values(entry, path))
        tests = [_test(path, operator, value) for value in self._value_list()]
        return lambda entry: any(test(value) for value in _values(entry, path) for test in tests)

    def _value_list(self) -> list[_Token]:
        if self._next().text != "(":
            return [self._value()]
        self._take()
        values = [self._value()]
        while self._next().text == "OR":
            self._take()
            values.append(self._value())
        self._take(text=")")
        return values

    def _value(self) -> _Token:
        token = self._take("text", "number", "word")
        if token.text in _KEYWORDS:
            raise QueryError(f"got {token.text}, expected a value")
        return token


def _values(entry: Entry, path: list[str]) -> list[Any]:
    """What a field holds: nothing where it is missing, each element of a list."""
    found: Any = entry
    for name in path:
        if not isinstance(found, Mapping) or found.get(name) is None:
            return []
        found = found[name]
    return list(found) if isinstance(found, list | tuple) else [found]


def _test(path: list[str], operator: str, value: _Token) -> Callable[[Any], bool]:
    """A comparison with one value: texts without regard to case, regular expressions with it, numbers as numbers."""
    if path == ["severity"]:
        return _severity(operator, value)
    if value.kind == "number":
        number = float(value.text)
        compare = _ORDER.get(operator)
        if compare is None:
            raise QueryError(f"{operator} with a number")
        return lambda got: isinstance(got, int | float) and not isinstance(got, bool) and compare(float(got), number)
    if value.text in ("true", "false") and operator == "=":
        return lambda got: got is (value.text == "true")
    if value.kind != "text":
        raise QueryError(f"{value.text}: a text stands in quotation marks")
    text = re.sub(r"\\(.)", r"\1", value.text[1:-1])
    if operator == "=~":
        pattern = re.compile(text)
        return lambda got: isinstance(got, str) and pattern.search(got) is not None
    if operator not in ("=", ":"):
        raise QueryError(f"{operator} with a text")
    wanted = text.casefold()
    if operator == ":":
        return lambda got: isinstance(got, str) and wanted in got.casefold()
    return lambda got: isinstance(got, str) and got.casefold() == wanted


def _severity(operator: str, value: _Token) -> Callable[[Any], bool]:
    name, compare = value.text.strip('"'), _ORDER.get(operator)
    if name not in _SEVERITIES or compare is None:
        raise QueryError(f"severity{operator}{value.text}")
    return lambda got: compare(_SEVERITIES.index(got), _SEVERITIES.index(name))


_ORDER: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "=": lambda got, wanted: got == wanted,
    ">=": lambda got, wanted: got >= wanted,
    "<=": lambda got, wanted: got <= wanted,
    ">": lambda got, wanted: got > wanted,
    "<": lambda got, wanted: got < wanted,
}
