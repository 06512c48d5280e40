"""Reading a JSON document strictly: every error names its path, what was found and what is allowed.

A `Document` is one object of it. Its getters return a harmless value where the document is wrong and note the error,
so that one reading finds all errors; whoever reads must look at `errors` before using anything.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_LONGEST_QUOTE = 120


def json_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """For `json.loads(object_pairs_hook=...)`: an object without repeated keys.

    Raises:
        ValueError: a key is there twice.
    """
    content: dict[str, object] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"key {key!r} is there twice")
        content[key] = value
    return content


def is_loopback(url: str) -> bool:
    """Whether the host of a well-formed URL is this machine by its very spelling; no name is resolved."""
    return urlsplit(url).hostname in _LOOPBACK


class Document:
    """One object of the document, at `path`; `errors` is shared by all of them."""

    def __init__(self, content: dict[str, object], path: str, errors: list[str]) -> None:
        self._content = content
        self._path = path
        self._errors = errors
        self._known: set[str] = set()

    @classmethod
    def root(cls, content: object, errors: list[str]) -> "Document":
        """The whole document; `errors` receives what is wrong with it."""
        return cls._of(content, "", errors)

    @classmethod
    def _of(cls, content: object, path: str, errors: list[str]) -> "Document":
        if isinstance(content, dict):
            return cls(cast("dict[str, object]", content), path, errors)
        errors.append(f"{path or 'the document'}: got {_quoted(content)}, allowed is an object")
        return cls({}, path, [])  # its keys are not missing as well

    def has(self, key: str) -> bool:
        """Whether the key, which is one that may be there, is."""
        self._known.add(key)
        return key in self._content

    def error(self, key: str, message: str) -> None:
        """Notes an error at the key."""
        self._errors.append(f"{self._at(key)}: {message}")

    def child(self, key: str) -> "Document":
        """The object at the key, which must be there."""
        self._known.add(key)
        if key not in self._content:
            self.error(key, "is missing")
            return Document({}, self._at(key), [])
        return self._of(self._content[key], self._at(key), self._errors)

    def children(self, key: str) -> "list[Document]":
        """The list of objects at the key, at least one."""
        values = self._list(key, "a list of at least one object")
        return [self._of(value, f"{self._at(key)}[{index}]", self._errors) for index, value in enumerate(values)]

    def text(self, key: str, *, allowed: str, example: str, default: str | None = None) -> str:
        """The text at the key, which must match the regular expression `allowed` whole."""
        value = self._get(key, default)
        if isinstance(value, str) and re.fullmatch(allowed, value):
            return value
        return self._refuse(key, value, f"text that matches {allowed}, such as {example!r}")

    def choice(self, key: str, allowed: Sequence[str]) -> str:
        """One of the allowed texts."""
        value = self._get(key, None)
        if isinstance(value, str) and value in allowed:
            return value
        return self._refuse(key, value, f"one of {', '.join(map(repr, allowed))}")

    def choices(self, key: str, allowed: Sequence[str]) -> list[str]:
        """At least one of the allowed texts, none twice."""
        wanted = f"a list of at least one of {', '.join(map(repr, allowed))}"
        values = self._list(key, wanted)
        good = [value for value in values if isinstance(value, str) and value in allowed]
        if len(good) != len(values):
            self._refuse(key, values, wanted)
        self.refuse_repeated(key, good)
        return good

    def integer(self, key: str, *, least: int, most: int, default: int) -> int:
        """The whole number at the key, `least` to `most`."""
        value = self._get(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self._refuse(key, value, f"a whole number from {least} to {most}")
        return default

    def path(self, key: str) -> Path:
        """The absolute path at the key; whether something is there is seen when it is used."""
        return Path(self.text(key, allowed=r"/[^\0]{1,4095}", example="/var/run/secrets/token"))

    def url(
        self,
        key: str,
        *,
        default: str | None = None,
        root: bool = False,
        plain: bool = True,
        plain_hosts: Sequence[str] = (),
    ) -> str:
        """The https URL at the key, without user, query and fragment; `root`: without a path too.

        Plain http is allowed, where `plain`, only to this machine and to the roots in `plain_hosts`.
        """
        value = self._get(key, default)
        if isinstance(value, str) and _is_url(value, root=root):
            if value.startswith("https:") or value in plain_hosts or (plain and is_loopback(value)):
                return value.rstrip("/") if root else value
            return self._refuse(key, value, "https, or http to 127.0.0.1, ::1 or localhost" if plain else "https")
        return self._refuse(key, value, f"https://HOST[:PORT]{'' if root else '/PATH'} without user, query or fragment")

    def refuse_repeated(self, key: str, values: Sequence[str]) -> None:
        """Notes an error for each value that is there twice."""
        for value in sorted({value for value in values if values.count(value) > 1}):
            self.error(key, f"{value!r} is there twice")

    def refuse_other_keys(self) -> None:
        """Notes an error for each key that nobody asked for. Call it last."""
        for key in self._content:
            if key not in self._known:
                self.error(key, f"is not a key here, allowed are {', '.join(sorted(self._known))}")

    def _get(self, key: str, default: object) -> object:
        self._known.add(key)
        return self._content.get(key, default)

    def _list(self, key: str, wanted: str) -> list[object]:
        value = self._get(key, None)
        if isinstance(value, list) and value:
            return value
        self._refuse(key, value, wanted)
        return []

    def _refuse(self, key: str, value: object, allowed: str) -> str:
        missing = value is None and key not in self._content
        self.error(key, f"{'is missing' if missing else f'got {_quoted(value)}'}, allowed is {allowed}")
        return ""

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key


def _is_url(value: str, *, root: bool) -> bool:
    if not re.fullmatch(r"https?://[!-~]{1,2000}", value):
        return False
    try:
        parts = urlsplit(value)
        well_formed = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    whole = not parts.username and not parts.query and not parts.fragment and not set(value) & set("@?#")
    return well_formed and whole and (not root or parts.path in {"", "/"})


def _quoted(value: object) -> str:
    quoted = repr(value)
    return quoted if len(quoted) <= _LONGEST_QUOTE else quoted[:_LONGEST_QUOTE] + "..."
