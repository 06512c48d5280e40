"""Reads a JSON document into dataclasses strictly: a check per field, and all errors together, as Kubernetes does.

A dataclass is the table of its fields: `Annotated[TYPE, CHECK]`. A field without a check is not part of the document.
msgspec stops at the first error, and its messages do not contain the value.
"""

import json
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeAlias, get_type_hints
from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_LONGEST_QUOTE = 120

Check: TypeAlias = Callable[[object, str, list[str]], Any]
"""A check: parses a value at a path, or appends to the errors."""


class ConfigurationError(Exception):
    """The configuration document is invalid; `errors` has one line per error, each with its path."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


def loads(text: str) -> object:
    """Reads JSON in which no object has a key twice.

    Raises:
        ConfigurationError: the text is something else.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError([f"the document is not JSON: {error}"]) from error


def parse(content: object, check: Check) -> Any:  # noqa: ANN401 - what the check makes
    """Parses a document.

    Raises:
        ConfigurationError: with every error of the document.
    """
    errors: list[str] = []
    parsed = check(content, "", errors)
    if errors:
        raise ConfigurationError(errors)
    return parsed


def quoted(value: object) -> str:
    """Returns a value as short JSON, for an error."""
    quoted = json.dumps(value)
    return quoted if len(quoted) <= _LONGEST_QUOTE else quoted[:_LONGEST_QUOTE] + "..."


def object_of(make: Callable[..., object]) -> Check:
    """Parses an object into a dataclass. Fields with a default are optional."""
    hints = get_type_hints(make, include_extras=True)
    checks: dict[str, Check] = {
        name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")
    }
    required = {each.name for each in fields(make) if each.default is each.default_factory is MISSING}  # type: ignore[arg-type]

    def check(value: object, path: str, errors: list[str]) -> object:
        if not isinstance(value, dict):
            return _invalid(value, path or "the document", "must be an object", errors)
        earlier, parsed = len(errors), {}
        for name in (*checks, *(name for name in value if name not in checks)):
            at = f"{path}.{name}" if path else name
            if name not in checks:
                errors.append(f"{at}: Forbidden: unknown field: must be one of {', '.join(sorted(checks))}")
            elif name in value:
                parsed[name] = checks[name](value[name], at, errors)
            elif name in required:
                errors.append(f"{at}: Required value")
        return make(**parsed) if len(errors) == earlier else None

    return check


def tagged(**kinds: Check) -> Check:
    """Parses an object whose field `kind` names the check of the other fields."""

    def check(value: object, path: str, errors: list[str]) -> object:
        if not isinstance(value, dict):
            return _invalid(value, path, "must be an object", errors)
        kind = choice(kinds)(value.get("kind"), f"{path}.kind", errors)
        return kind and kind({name: field for name, field in value.items() if name != "kind"}, path, errors)

    return check


def list_of(each: Check, *, make: Callable[[list[Any]], object], key: Callable[[Any], str]) -> Check:
    """Parses a list of at least one item, each with a key of its own."""

    def check(value: object, path: str, errors: list[str]) -> object:
        if not isinstance(value, list) or not value:
            return _invalid(value, path, "must be a list with at least one item", errors)
        earlier = len(errors)
        items = [each(item, f"{path}[{index}]", errors) for index, item in enumerate(value)]
        if len(errors) > earlier:
            return None
        keys = [key(item) for item in items]
        errors += [f"{path}: Duplicate value: {quoted(twice)}" for twice in set(keys) if keys.count(twice) > 1]
        return make(items)

    return check


def choice(values: Mapping[str, Any]) -> Check:
    """Parses one of these names into its value."""

    def check(value: object, path: str, errors: list[str]) -> object:
        if isinstance(value, str) and value in values:
            return values[value]
        supported = ", ".join(map(quoted, values))
        errors.append(f"{path}: Unsupported value: {quoted(value)}: supported values: {supported}")
        return None

    return check


def string(pattern: str, example: str, make: Callable[[str], object] = str) -> Check:
    """Parses text that matches a pattern."""
    must = f"must match {pattern}, for example {quoted(example)}"
    return _scalar(lambda value: isinstance(value, str) and re.fullmatch(pattern, value), must, make)


def integer(least: int, most: int) -> Check:
    """Parses a whole number."""
    # bool is an int
    return _scalar(lambda value: type(value) is int and least <= value <= most, f"must be from {least} to {most}")


def url(*, http_to: Container[str] = LOOPBACK) -> Check:
    """Parses an https URL. http is valid only for these hosts."""
    must = "must be https://HOST[:PORT]/PATH without user, query or fragment"
    if http_to != ():
        must += "; http only to this machine"

    def is_valid(value: object) -> bool:
        if not isinstance(value, str) or not re.fullmatch(r"https?://[!-~]{1,2000}", value) or set(value) & set("@?#"):
            return False
        try:
            parts = urlsplit(value)
            has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            return False
        return has_host and (parts.scheme == "https" or parts.hostname in http_to)

    return _scalar(is_valid, must)


def _scalar(is_valid: Callable[[Any], object], must: str, make: Callable[[Any], object] = lambda value: value) -> Check:
    def check(value: object, path: str, errors: list[str]) -> object:
        return make(value) if is_valid(value) else _invalid(value, path, must, errors)

    return check


def _invalid(value: object, path: str, must: str, errors: list[str]) -> object:
    errors.append(f"{path}: Invalid value: {quoted(value)}: {must}")
    return None


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Makes an object for `json.loads`, or raises ValueError if a key is there twice."""
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"Duplicate key: {quoted(next(key for key in keys if keys.count(key) > 1))}")
    return content
