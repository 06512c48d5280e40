"""Reads YAML documents as checked values, for the configuration and the profiles.

Unknown keys, duplicate keys and wrong types are field errors (`field_error`).
"""

import json
import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import yaml
from pydantic import (
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    TypeAdapter,
    ValidationError,
)
from pydantic.json_schema import JsonSchemaValue, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from csr_signer import field_error
from csr_signer.errors import ConfigurationError
from csr_signer.violation import quote

T = TypeVar("T")

STRICT = ConfigDict(extra="forbid", strict=True)
"""pydantic's configuration for all dataclasses of documents."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Allowed:
    """A rule for a type, as `Annotated[str, Allowed(...)]`, for loading and for the JSON Schema.

    Attributes:
        holds: tells whether a value meets the rule.
        must: the message's text, "must be ...".
        keywords: the same rule in JSON Schema, as far as JSON Schema can express it.
    """

    holds: Callable[[Any], bool]
    must: str
    keywords: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), **self.keywords}

    def _check(self, value: object) -> object:
        if not self.holds(value):
            raise ValueError(self.must)
        return value


def matching(pattern: str, must: str) -> Allowed:
    """Returns a rule for texts that match a whole pattern, which must be valid in ECMA-262 too, for JSON Schema."""
    compiled = re.compile(pattern)
    return Allowed(
        holds=lambda value: compiled.fullmatch(value) is not None, must=must, keywords={"pattern": f"^(?:{pattern})$"}
    )


NOT_EMPTY: Final = Allowed(holds=bool, must="must have at least one item", keywords={"minItems": 1})
EACH_ONCE: Final = Allowed(
    holds=lambda values: len(set(values)) == len(values),
    must="must have each item once",
    keywords={"uniqueItems": True},
)

UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
"""The units of durations in a document."""
_DURATION: Final = r"([1-9][0-9]{0,5})([mhd])"
_NETWORK: Final = r"[0-9a-f.:]{2,45}/(?:0|[1-9][0-9]{0,2})"


def _duration(value: object) -> timedelta:
    match = re.fullmatch(_DURATION, value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a whole number with a unit of m, h or d, for example 365d")
    return int(match[1]) * UNITS[match[2]]


def as_written(length: timedelta) -> str:
    """Formats a whole number of minutes as in a document."""
    days, rest = divmod(length, timedelta(days=1))
    return f"{length // timedelta(minutes=1)}m" if rest else f"{days}d"


def _network(value: object) -> IPv4Network | IPv6Network:
    if not isinstance(value, str) or not re.fullmatch(_NETWORK, value):
        raise ValueError("must be a network in CIDR form, for example 10.0.0.0/8 or fd00::/8")
    return ip_network(value)  # raises ValueError with the reason: host bits, or a prefix that is too long


Duration = Annotated[
    timedelta, BeforeValidator(_duration), WithJsonSchema({"type": "string", "pattern": f"^{_DURATION}$"})
]
"""A duration such as `10m`, `12h` or `365d`."""

Network = Annotated[
    IPv4Network | IPv6Network,
    PlainValidator(_network),
    WithJsonSchema({"type": "string", "pattern": f"^{_NETWORK}$"}),
]
"""A network such as `10.0.0.0/8` or `fd00::/8`."""


class _Loader(yaml.SafeLoader):
    """A YAML loader that allows only unique string keys, and no aliases, because their expansion has no limit."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            place = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # the stubs know it without types
            raise yaml.MarkedYAMLError(None, None, "an alias is not allowed", place)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - the library's signature
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for index, key in enumerate(keys):
            if not isinstance(key, str):
                problem = f"key {quote(key)} is not a string; put it in quotes"
                raise yaml.MarkedYAMLError(None, None, problem, node.value[index][0].start_mark)
            if key in keys[:index]:
                raise yaml.MarkedYAMLError(None, None, f"duplicate key {quote(key)}", node.value[index][0].start_mark)
        return super().construct_mapping(node, deep)


_reader_of: Final[Callable[[Any], TypeAdapter[Any]]] = cache(TypeAdapter)  # making one takes 10 ms


def read(kind: type[T], path: Path) -> T:
    """Reads a YAML file as a value.

    Args:
        kind: a dataclass whose `__pydantic_config__` is STRICT.
        path: the file.

    Raises:
        ConfigurationError: the file is unreadable, no YAML, or not of that kind; the message names file and key.
    """
    try:
        value: T = _parsed(kind, path.read_bytes())  # type: ignore[arg-type]  # mypy takes no type[T] as hashable
    except OSError as error:
        raise ConfigurationError(f"{path.name}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        reasons = "; ".join(_reason(detail) for detail in error.errors(include_url=False))
        raise ConfigurationError(f"{path.name}: {reasons}") from error
    except yaml.MarkedYAMLError as error:  # its text quotes a line, and another file may hold a secret
        where = "" if error.problem_mark is None else f" in line {error.problem_mark.line + 1}"
        raise ConfigurationError(f"{path.name}: Invalid value: must be valid YAML: {error.problem}{where}") from error
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        message = f"{path.name}: Invalid value: must be valid YAML: {' '.join(str(error).split())}"
        raise ConfigurationError(message) from error
    return value


@lru_cache(maxsize=16)
def _parsed(kind: type[Any], text: bytes) -> Any:  # noqa: ANN401 - of the kind
    """Parses a document, and the same text once: signers share profiles, and parsing one takes 50 ms."""
    content = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    # Strict validation through JSON: lists become tuples, mappings become dataclasses, and there is no other
    # conversion.
    return _reader_of(kind).validate_json(json.dumps(content))


def _kind_of(value: object) -> str:
    return "empty" if value is None else "a list" if isinstance(value, list) else "a text or a number"


def _reason(detail: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails, a TypedDict of its core
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"] if part != "[key]")
    path = "".join(parts).removeprefix(".")
    if not path:  # another file than a document may hold a secret, so nothing of it is quoted
        return field_error.malformed("the document", f"must be an object, not {_kind_of(detail['input'])}")
    if detail["type"].startswith("missing"):
        return f"{path}: Required value"
    if detail["type"] == "unexpected_keyword_argument":
        return field_error.forbidden(path, "unknown key")
    if detail["type"] == "literal_error":
        supported = detail["ctx"]["expected"].replace("'", '"').replace(" or ", ", ")
        return f"{path}: Unsupported value: {quote(detail['input'])}: supported values: {supported}"
    message = detail["msg"].removeprefix("Value error, ").replace("Input should", "must")
    return field_error.invalid(path, detail["input"], f"{message[:1].lower()}{message[1:]}")
