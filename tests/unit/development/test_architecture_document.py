"""docs/architecture.md names files, functions and tests that exist, and a test for every invariant."""

import ast
import re
from pathlib import Path

from development.lock import ROOT

ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SOURCES = [*(ROOT / "function").rglob("*.py"), *(ROOT / "infra" / "exporter" / "csr_exporter").rglob("*.py")]
INVARIANTS = re.findall(
    r"^\| (\d+) \| .*$", ARCHITECTURE.partition("## Invariants")[2].partition("## Three walks")[0], re.MULTILINE
)
_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def _defined(paths: list[Path]) -> set[str]:
    """Names of functions and classes, and of methods with their class."""
    names = set[str]()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                names |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, _FUNCTIONS)}
            if isinstance(node, ast.ClassDef | _FUNCTIONS):
                names.add(node.name)
    return names


def test_every_file_that_is_named_exists() -> None:
    """A reader of a walk finds each file."""
    named = set(re.findall(r"`([\w/]+\.(?:py|tf))`", ARCHITECTURE))
    folders = ("function", "infra", "scripts", "tests")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".tf"}]
    there = {str(path.relative_to(ROOT)) for path in files}
    assert len(named) > 20
    assert [name for name in sorted(named) if not any(f"/{each}".endswith(f"/{name}") for each in there)] == []


def test_every_method_that_is_named_exists() -> None:
    """A reader of a walk finds each function in its file."""
    named = set(re.findall(r"`([A-Z]\w+\.\w+)`", ARCHITECTURE))
    assert len(named) > 15
    assert sorted(named - _defined(SOURCES)) == []


def test_every_invariant_names_tests_that_exist() -> None:
    """No invariant is only promised."""
    rows = [line for line in ARCHITECTURE.splitlines() if re.match(r"\| \d+ \| .* \| `test_", line)]
    named = set(re.findall(r"`(test_\w+)`", ARCHITECTURE))
    assert len(rows) == len(INVARIANTS) == 15
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert sorted(named - set(re.findall(r"^ *(?:async )?def (test_\w+)\(", tests, re.MULTILINE))) == []
