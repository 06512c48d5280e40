"""The shape of the function, read from its source: which module makes which value, and what is deployed with it.

Who imports whom and who talks to whom are import contracts in pyproject.toml.
"""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import Distribution, distributions, packages_distributions
from pathlib import Path, PurePosixPath

import pytest

from tests.paths import ROOT

FUNCTION = ROOT / "function"
SOURCES = [FUNCTION / "main.py", *sorted((FUNCTION / "csr_signer").rglob("*.py"))]


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a source file."""
    return ast.parse(path.read_text(), filename=path.name)


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it, with its full name."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names if node.module.startswith("google"))


def calls(path: Path) -> Iterator[str]:
    """The text of every callee in a file."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def replaced(path: Path) -> Iterator[str]:
    """The text of every call that copies a value with changes."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("replace", "dataclasses.replace"):
            yield ast.unparse(node)


@pytest.mark.parametrize(
    ("callee", "maker"),
    [
        ("Permit", "decision"),
        ("TBSCertificate", "lint"),
        ("der.TBSCertificate", "certificate"),
        ("IssuedCertificate", "certificate"),
    ],
)
def test_only_one_module_makes(callee: str, maker: str) -> None:
    """Only `decide` makes a Permit, only `lint` clears bytes, only `certificate` builds and assembles."""
    found = {path.stem for path in SOURCES for each in calls(path) if each == callee or each.endswith(f".{callee}")}
    if callee == "TBSCertificate":
        found -= {"certificate"}  # der.TBSCertificate is the ASN.1 type
        assert "TBSCertificate" not in set(calls(FUNCTION / "csr_signer" / "issuance" / "certificate.py"))
    assert found == {maker}


def test_each_maker_makes_its_value_in_one_place() -> None:
    """One call each: there is no second way to a permit or to cleared bytes."""
    assert list(calls(FUNCTION / "csr_signer" / "policy" / "decision.py")).count("Permit") == 1
    assert list(calls(FUNCTION / "csr_signer" / "issuance" / "lint.py")).count("TBSCertificate") == 1


def test_no_permit_and_no_cleared_bytes_are_changed() -> None:
    """Copying with changes would go around the rule above; what is copied is configuration."""
    assert {path.stem for path in SOURCES for _ in replaced(path)} <= {"loader", "profile"}


def test_the_entry_point_only_wires() -> None:
    """main.py decides nothing: no condition, no loop, no handler of exceptions."""
    nodes = {type(node) for node in ast.walk(parsed(FUNCTION / "main.py"))}
    assert not nodes & {ast.If, ast.IfExp, ast.For, ast.While, ast.Try, ast.Match}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> frozenset[str]:
    """Distributions that are deployed with the function."""
    lines = (FUNCTION / "requirements.txt").read_text().splitlines()
    matches = (re.match(r"([A-Za-z0-9._-]+)(?:\[.*?\])?==", line) for line in lines)
    return frozenset(_canonical(match[1]) for match in matches if match)


@cache
def _holders() -> dict[str, list[Distribution]]:
    """Distributions by the first part of the modules that they bring."""
    by_name = {distribution.name: distribution for distribution in distributions()}
    return {top: [by_name[name] for name in sorted(set(names))] for top, names in packages_distributions().items()}


@cache
def brought_by(module: str) -> frozenset[str]:
    """Distributions that bring a module; in a shared namespace, those that have its very file or folder."""
    holders = _holders().get(module.split(".", maxsplit=1)[0], [])
    if len(holders) > 1:
        path = PurePosixPath(*module.split("."))
        holders = [
            holder
            for holder in holders
            if any(path in file.parents or file.with_suffix("") == path for file in holder.files or ())
        ]
    return frozenset(_canonical(holder.name) for holder in holders)


def test_the_function_imports_only_what_is_deployed_with_it() -> None:
    """Each import is the standard library's, the function's own, or of a distribution in its own lock."""
    deployed = locked()
    for path in SOURCES:
        for module in imports(path):
            if module.split(".")[0] in sys.stdlib_module_names | {"csr_signer"} or module == "google":
                continue
            parent = module if brought_by(module) else module.rpartition(".")[0]  # a name in a module, not a module
            assert brought_by(parent) & deployed, f"{path.name} imports {module}, which no deployed distribution brings"


def test_the_lock_is_read() -> None:
    """The check above would hold of nothing without it."""
    assert {"cryptography", "kubernetes", "google-cloud-kms", "functions-framework"} <= locked()
    assert not {"pytest", "hypothesis", "ruff"} & locked()
    assert brought_by("google.cloud.kms_v1") == {"google-cloud-kms"}
    assert brought_by("hypothesis") == {"hypothesis"}
