"""Generates the JSON Schema of profiles, function/csr_signer/profiles/schema.json, from the types in `policy.profile`.

Editors find it through the first line of a profile. `policy.profile.load` checks the rules that the schema cannot
express. `--check` writes nothing, and fails if the file differs from the types.
"""

import dataclasses
import inspect
import json
import re
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from pydantic import TypeAdapter

from csr_signer.document import as_written
from csr_signer.policy import profile
from development import generated

SCHEMA: Final = profile.SHIPPED / "schema.json"
HEAD: Final = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:kms-csr-signer:profile",
    "title": "kms-csr-signer profile",
}
_TYPES: Final[dict[str, type]] = {
    kind.__name__: kind
    for kind in (
        profile.Profile,
        profile.Component,
        profile.Lifetime,
        profile.NameRule,
        profile.Releases,
        profile.RequestName,
        profile.Span,
    )
}
_ATTRIBUTE: Final = re.compile(r"^ {4}([a-z_, ]+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def schema() -> dict[str, Any]:
    """Returns the schema of the types, with descriptions from docstrings and defaults from fields."""
    made = TypeAdapter(profile.Profile).json_schema()
    for name, definition in made["$defs"].items():
        _describe(definition, _TYPES[name])
    _describe(made, profile.Profile)
    return HEAD | {key: value for key, value in made.items() if key != "title"}


def text() -> str:
    """Returns the file's content."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _describe(definition: dict[str, Any], kind: type) -> None:
    document = inspect.cleandoc(kind.__doc__ or "")
    definition["description"] = _one_line(document.partition("\n\n")[0])
    del definition["title"]
    described = notes(kind)
    for field in dataclasses.fields(kind):
        entry = definition["properties"][field.name]
        entry.pop("title", None)
        entry["description"] = described[field.name]
        if isinstance(field.default, timedelta):
            entry["default"] = as_written(field.default)
        if "patternProperties" in entry:
            entry["additionalProperties"] = False


def notes(kind: type) -> dict[str, str]:
    """Returns the attribute descriptions in the docstrings of a type and its bases."""
    notes: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        _, _, attributes = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")
        notes |= {name: _one_line(note) for name, note in _ATTRIBUTE.findall(attributes)}
    return notes


def _one_line(value: str) -> str:
    return " ".join(value.split())


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes or compares the schema; returns the exit status."""
    return generated.run(arguments, name="development.schema", description=__doc__, path=SCHEMA, fresh=lambda _: text())


if __name__ == "__main__":
    sys.exit(main())
