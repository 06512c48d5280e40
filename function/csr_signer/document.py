"""YAML documents as checked values: the configuration and the profiles are read by this one reader.

Unknown keys, duplicate keys and wrong types are errors that name their path, what was got and what is allowed.
"""

import json
import re
from collections.abc import Hashable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from csr_signer.errors import ConfigurationError
from csr_signer.violation import quote

T = TypeVar("T")

STRICT = ConfigDict(extra="forbid", strict=True)
"""pydantic's configuration of every dataclass that a document is read into."""

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def _duration(value: object) -> timedelta:
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("allowed is a whole number with a unit of m, h or d, for example 365d")
    return int(match[1]) * _UNITS[match[2]]


Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""A length of time written as `10m`, `12h` or `365d`."""


class _Loader(yaml.SafeLoader):
    """YAML without duplicate keys, with texts alone as keys, and without aliases, whose expansion has no bound."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            place = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # the stubs know it without types
            raise yaml.MarkedYAMLError(None, None, "an alias is not allowed", place)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - the library's signature
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for index, key in enumerate(keys):
            if not isinstance(key, str):
                complaint = f"key {quote(key)} is no text, put it in quotes"
                raise yaml.MarkedYAMLError(None, None, complaint, node.value[index][0].start_mark)
            if key in keys[:index]:
                raise yaml.MarkedYAMLError(None, None, f"duplicate key {quote(key)}", node.value[index][0].start_mark)
        return super().construct_mapping(node, deep)


def read(kind: type[T], path: Path) -> T:
    """A YAML file as a value.

    Args:
        kind: a dataclass whose `__pydantic_config__` is STRICT.
        path: the file.

    Raises:
        ConfigurationError: unreadable, no YAML, or not of that kind; names the file and the key.
    """
    try:
        content = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 - a SafeLoader
        # Strict, by way of JSON: lists become tuples and mappings dataclasses, and nothing else is converted.
        return TypeAdapter(kind).validate_json(json.dumps(content))
    except OSError as error:
        raise ConfigurationError(f"{path.name}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        reasons = "; ".join(_reason(detail) for detail in error.errors(include_url=False))
        raise ConfigurationError(f"{path.name}: {reasons}") from error
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path.name}: is no such YAML: {' '.join(str(error).split())}") from error


def _reason(detail: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails, a TypedDict of its core
    where = ".".join(str(part) for part in detail["loc"])
    message = detail["msg"].removeprefix("Value error, ")
    return f"{where or 'the document'}: {message[:1].lower()}{message[1:]}, got {quote(detail['input'])}"
