"""Rebuilds a provider's schema from the generated JavaScript of cdktn's bindings.

For every resource and nested block, the generator writes a table of arguments with their types. Before each attribute,
it writes a comment: computed, optional or required. Regular expressions can parse both; any other text is an error.
"""

import re
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

Block = dict[str, Any]
"""{"attributes": {name: {type, required, optional, computed}}, "blocks": {name: {nesting, min, max, block}}}."""

USED: Final = re.compile(r'^\s*(resource|data)\s+"(google_[a-z0-9_]+)"', re.MULTILINE)
ARCHIVE: Final = "cdktn_provider_google/_jsii/provider-google@{version}.jsii.tgz"

_MAPPER: Final = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{(.*?)^\}", re.MULTILINE | re.DOTALL)
_ARGUMENT: Final = re.compile(
    r'^\s+"?(\w+)"?: \{\n\s+value: .*?,\n\s+isBlock: (true|false),\n\s+type: "(\w+)",\n\s+storageClassType: "(\w+)",\n',
    re.MULTILINE,
)
_CLASS: Final = re.compile(r"^class (\w+) extends (\S+) \{(.*?)^\}", re.MULTILINE | re.DOTALL)
_ATTRIBUTE: Final = re.compile(
    r"// (\w+) - computed: (true|false), optional: (true|false), required: (true|false)\n(.*?)"
    r"(?=\n    // \w+ - computed|\n    // =====|\Z)",
    re.DOTALL,
)
_SYNTHESIS: Final = re.compile(r"synthesizeHclAttributes\(\) \{(.*?)^    \}", re.DOTALL | re.MULTILINE)
_TYPES: Final[Mapping[str, str]] = {"string": "string", "number": "number", "boolean": "bool", "any": "dynamic"}
_GETTERS: Final[Mapping[str, Any]] = {
    "String": "string",
    "Number": "number",
    "Boolean": "bool",
    "List": ["list", "string"],
    "NumberList": ["list", "number"],
    "StringMap": ["map", "string"],
    "NumberMap": ["map", "number"],
    "BooleanMap": ["map", "bool"],
    "AnyMap": ["map", "dynamic"],
}
_ROOTS: Final = ("cdktn.TerraformResource", "cdktn.TerraformDataSource", "cdktn.TerraformProvider")
EMPTY: Final[Block] = {"attributes": {}, "blocks": {}}


class SchemaError(Exception):
    """The package lacks a part, or has it in an unknown format."""


def google(package: Path, folder: Path) -> dict[str, Any]:
    """Returns the google provider's schema for the types in the Terraform files below a folder.

    Args:
        package: The site-packages with cdktn-provider-google.
        folder: The Terraform files. The schema leaves out types that the provider lacks, and Terraform refuses them.

    Raises:
        SchemaError: The package is in an unknown format.
    """
    found = list(package.glob(ARCHIVE.format(version="*")))
    if len(found) != 1:
        raise SchemaError(
            f"archives of cdktn-provider-google in {package}: Invalid value: {len(found)}: must be exactly 1"
        )
    wanted = {match.groups() for path in folder.rglob("*.tf") for match in USED.finditer(path.read_text("utf-8"))}
    folders = {_folder(kind, name): (kind, name) for kind, name in wanted}
    sources = _sources(found[0], {*folders, "provider"})
    schema: dict[str, Any] = {"provider": _Reader(sources.pop("provider")).root(), "resource": {}, "data": {}}
    schema["provider"]["attributes"].pop("alias", None)  # Terraform's own type
    for slug, source in sources.items():
        kind, name = folders[slug]
        schema[kind][name] = _Reader(source).root()
    return schema


def _folder(kind: str, name: str) -> str:
    slug = name.removeprefix("google_").replace("_", "-")
    return f"data-google-{slug}" if kind == "data" else slug


def _sources(archive: Path, folders: Iterable[str]) -> dict[str, str]:
    """Returns the JavaScript of each folder; large resources have several files."""
    sources: dict[str, str] = {}
    with tarfile.open(archive) as package:
        for member in package:
            parts = member.name.split("/")[2:]
            if len(parts) >= 2 and parts[0] in folders and parts[-1].endswith(".js"):  # noqa: PLR2004 - folder, file
                content = package.extractfile(member)
                if content is not None:
                    sources[parts[0]] = sources.get(parts[0], "") + content.read().decode() + "\n"
    return sources


@dataclass(frozen=True, slots=True, kw_only=True)
class _Argument:
    is_block: bool
    kind: str
    storage: str


class _Reader:
    """Parses one resource."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._arguments = {name[0].upper() + name[1:]: _arguments(body) for name, body in _MAPPER.findall(source)}
        self._classes: dict[str, tuple[str, str]] = {name: (base, body) for name, base, body in _CLASS.findall(source)}

    def root(self) -> Block:
        for base, body in self._classes.values():
            if base in _ROOTS:
                synthesis = _SYNTHESIS.search(body)
                if synthesis is not None:
                    return self._block(body, _arguments(synthesis[1]))
        raise SchemaError(f"no resource in {self._source[:80]!r}")

    def _block(self, body: str, arguments: Mapping[str, _Argument]) -> Block:
        attributes: dict[str, Any] = {}
        blocks: dict[str, Any] = {}
        for name, computed, optional, required, getter in _ATTRIBUTE.findall(body):
            argument = arguments.get(name)
            if argument is None:  # a configuration cannot set it
                attributes[name] = _attribute(self._computed(getter), computed=True)
            elif argument.is_block:
                blocks[name] = self._nested(name, argument, required=required == "true")
            else:
                attributes[name] = _attribute(
                    _type(argument),
                    required=required == "true",
                    optional=optional == "true",
                    computed=computed == "true" or (name == "id" and optional == "true"),
                )
        return {"attributes": attributes, "blocks": blocks}

    def _nested(self, name: str, argument: _Argument, *, required: bool) -> dict[str, Any]:
        cls = argument.storage.removesuffix("List")
        if cls not in self._arguments:
            cls = argument.storage
        content = self._classes.get(f"{cls}OutputReference")
        block = self._block(content[1], self._arguments[cls]) if content else EMPTY
        if argument.kind == "struct" and name == "timeouts":
            return {"nesting": "single", "min": 0, "max": 0, "block": block}
        at_most_one = argument.kind == "struct" or f"{cls}List" not in self._classes
        nesting = "set" if argument.kind == "set" else "list"
        return {"nesting": nesting, "min": int(required), "max": int(at_most_one), "block": block}

    def _computed(self, getter: str) -> Any:  # noqa: ANN401 - Terraform's types as JSON
        if match := re.search(r"get(\w*?)Attribute\(", getter):
            return _GETTERS[match[1]]
        if match := re.search(r"new cdktn\.(String|Boolean|Number|Any)Map\(", getter):
            return ["map", _TYPES[match[1].lower()]]
        if "tolist" in getter:
            return ["set", "string"]
        if match := re.search(r'new (?:\w+\.)?(\w+?)(?:List|OutputReference)\(this, "\w+"(?:, (true|false))?', getter):
            _, body = self._classes[f"{match[1]}OutputReference"]
            fields = {name: self._computed(inner) for name, _, _, _, inner in _ATTRIBUTE.findall(body)}
            return ["set" if match[2] == "true" else "list", ["object", fields]]
        raise SchemaError(f"a getter is not understood: {getter[:200]!r}")


def _arguments(body: str) -> dict[str, _Argument]:
    return {
        name: _Argument(is_block=is_block == "true", kind=kind, storage=storage)
        for name, is_block, kind, storage in _ARGUMENT.findall(body)
    }


def _attribute(
    kind: Any,  # noqa: ANN401 - Terraform's types as JSON
    *,
    required: bool = False,
    optional: bool = False,
    computed: bool = False,
) -> dict[str, Any]:
    return {"type": kind, "required": required, "optional": optional, "computed": computed}


def _type(argument: _Argument) -> Any:  # noqa: ANN401 - Terraform's types as JSON
    if argument.kind == "simple":
        return _TYPES.get(argument.storage, "dynamic")
    for name, kind in _TYPES.items():
        if argument.storage == f"{name}List":
            return [argument.kind, kind]
        if argument.storage == f"{name}Map":
            return ["map", kind]
    raise SchemaError(f"a type is not understood: {argument}")
