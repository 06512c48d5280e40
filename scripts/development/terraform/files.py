"""Terraform files as blocks, parsed by python-hcl2."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import hcl2
from lark import Token, Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block at the top of a file.

    Attributes:
        kind: Such as `variable` or `resource`.
        labels: Such as `("google_service_account", "function")`.
        attributes: The source text of each attribute's expression by name, without those of nested blocks.
    """

    kind: str
    labels: tuple[str, ...]
    attributes: Mapping[str, str]


def blocks(folder: Path) -> list[Block]:
    """Returns the blocks of a folder's files, in the order of the files' names."""
    return [block for path in sorted(folder.glob("*.tf")) for block in _blocks(path.read_text(encoding="utf-8"))]


def required_providers(folder: Path) -> Mapping[str, str]:
    """Returns the version constraints in a folder's versions.tf: Terraform's, and each provider's by its name."""
    document = hcl2.loads((folder / "versions.tf").read_text(encoding="utf-8"))
    (terraform,) = document["terraform"]
    found = {"terraform": _unquoted(terraform["required_version"])}
    for providers in terraform.get("required_providers", []):
        found |= {name: _unquoted(each["version"]) for name, each in providers.items() if isinstance(each, dict)}
    return found


def _blocks(text: str) -> Iterator[Block]:
    (body,) = hcl2.parses_to_tree(text).children
    for block in _children(body, "block"):
        kind, *labels = (_unquoted(_source(text, each)) for each in block.children[:-1] if _names(each))
        inner = _children(block, "body")[0]
        attributes = {
            _source(text, each.children[0]): _source(text, each.children[-1]) for each in _children(inner, "attribute")
        }
        yield Block(kind=kind, labels=tuple(labels), attributes=attributes)


def _children(tree: Tree[Token], rule: str) -> Sequence[Tree[Token]]:
    return [child for child in tree.children if isinstance(child, Tree) and child.data == rule]


def _names(part: Tree[Token] | Token) -> bool:
    return isinstance(part, Tree) and part.data in {"identifier", "string"}


def _source(text: str, part: Tree[Token] | Token) -> str:
    place = part.meta if isinstance(part, Tree) else part
    return text[place.start_pos : place.end_pos].strip()


def _unquoted(text: str) -> str:
    return text.removeprefix('"').removesuffix('"')
