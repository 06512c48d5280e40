"""Tests the tests: `scripts/python -m development.mutants request.pkcs10 request.public_key`.

Each mutant is a module with one changed operator, number or decision (cosmic-ray). The module's tests must detect it.
The command lists undetected mutants, unless tests/unit/function/mutants.toml explains why the change makes no
difference. If there are others, the exit status is 1.

It works in a copy of the tree, on one mutant at a time, at low priority. cosmic-ray has its own virtual environment
below .state/, from scripts/requirements-mutants.txt. A detected mutant costs the start of pytest, 1 to 3 seconds; an
undetected mutant costs a run of all its tests. Expect 5 to 10 minutes for 200 lines.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from development import apart
from development.lock import MUTANTS, ROOT

TESTS: Final = "tests/unit/function"
EXPLAINED: Final = ROOT / TESTS / "mutants.toml"
SELECTED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "ca.checks": ("ca/test_chain.py", "ca/test_issuer.py"),
        "kms.status": ("kms/test_kms_status.py",),
        "objects.pod": ("policy/test_attestation.py", "policy/test_decision.py", "requests/test_judgement.py"),
        "policy.attestation": ("policy/test_attestation.py", "policy/test_decision.py", "requests/test_judgement.py"),
        "policy.decision": ("policy/test_decision.py", "requests/test_judgement.py"),
        "policy.rules": ("policy/test_decision.py", "requests/test_judgement.py"),
        "request.pkcs10": (
            "request/test_pkcs10.py",
            "request/test_request_encoding.py",
            "request/test_request_properties.py",
        ),
        "request.public_key": ("request/test_public_key.py", "request/test_request_encoding.py"),
    }
)
"""The tests of a module, fastest first; other modules have a test file of the same name."""
# Mutations without effect at run time: frozen dataclasses, unions of types (the only use of `|` here), and the identity
# of equal values.
LEFT_OUT: Final = (
    "core/RemoveDecorator",
    "core/ReplaceBinaryOperator_BitOr_.*",
    "core/ReplaceComparisonOperator_(Eq_Is|NotEq_IsNot|Is_Eq|IsNot_NotEq)",
)
PATIENCE: Final = 4
"""A mutant counts as detected if its tests take this many times as long: it loops."""


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Mutant:
    """One change of a module, identified by its text, so that moved lines do not matter.

    Attributes:
        module: Module of csr_signer with its package: `policy.rules`.
        before, after: The changed lines.
    """

    module: str
    before: str
    after: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the mutants of some modules; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="development.mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modules", nargs="+", help="modules of csr_signer, each with its package")
    modules = parser.parse_args(arguments).modules
    os.nice(10)
    program = apart.python(MUTANTS).with_name("cosmic-ray")
    known = explained()
    unexplained = 0
    for module in modules:
        start = time.monotonic()
        total, survivors = survivors_of(module, program)
        new = [mutant for mutant in survivors if mutant not in known]
        minutes = (time.monotonic() - start) / 60
        print(
            f"{module}: {total} mutants, {total - len(survivors)} noticed, {len(survivors) - len(new)} explained,"
            f" {len(new)} survive unexplained ({minutes:.1f} minutes)"
        )
        for mutant in new:
            print(f"\n[[equivalent]]\nmodule = {_quoted(module)}\nbefore = {_quoted(mutant.before)}")
            print(f'after = {_quoted(mutant.after)}\nwhy = ""')
        unexplained += len(new)
    return 1 if unexplained else 0


def explained() -> Mapping[Mutant, str]:
    """Returns the mutants without effect, with their reasons in tests/unit/function/mutants.toml."""
    document = tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))
    rows: list[dict[str, str]] = document["equivalent"]
    return {Mutant(module=row["module"], before=row["before"], after=row["after"]): row["why"] for row in rows}


def survivors_of(module: str, program: Path) -> tuple[int, list[Mutant]]:
    """Returns the number of a module's mutants, and the undetected ones."""
    with tempfile.TemporaryDirectory(prefix="csr-signer-mutants-") as folder:
        tree = Path(folder)
        copy(tree)
        start = time.monotonic()
        subprocess.run(_tests(module), cwd=tree, check=True, stdout=subprocess.DEVNULL)
        configuration = _configuration(module, patience=PATIENCE * (time.monotonic() - start) + 10)
        (tree / "cosmic-ray.toml").write_text(configuration, encoding="utf-8")

        def run(command: str, *more: str) -> str:
            done = subprocess.run(
                [program, command, *more], cwd=tree, check=True, stdout=subprocess.PIPE, encoding="utf-8"
            )
            return done.stdout

        run("init", "cosmic-ray.toml", "session.sqlite")
        filtered = program.with_name("cr-filter-operators")
        subprocess.run([filtered, "session.sqlite", "cosmic-ray.toml"], cwd=tree, check=True)
        run("exec", "cosmic-ray.toml", "session.sqlite")
        results = [json.loads(line) for line in run("dump", "session.sqlite").splitlines()]
    return _read(module, results)


def copy(tree: Path) -> None:
    """Copies all files that git does not ignore, so that no mutant touches the working tree."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=ROOT, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
    for name in filter(None, names.split("\0")):
        source, target = ROOT / name, tree / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def _tests(module: str) -> list[str]:
    package, _, name = module.rpartition(".")
    names = (*SELECTED.get(module, (f"{package}/test_{name}.py",)), "test_values.py")
    files = [f"{TESTS}/{each}" for each in names]
    options = ["--quiet", "--exitfirst", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    return [sys.executable, "-m", "pytest", *options, *files]


def _configuration(module: str, *, patience: float) -> str:
    return f"""[cosmic-ray]
module-path = "function/csr_signer/{module.replace(".", "/")}.py"
timeout = {patience:.1f}
excluded-modules = []
test-command = {_quoted(" ".join(_tests(module)))}

[cosmic-ray.distributor]
name = "local"

[cosmic-ray.filters.operators-filter]
exclude-operators = {json.dumps(LEFT_OUT)}
"""


def _read(module: str, results: Iterable[Any]) -> tuple[int, list[Mutant]]:
    """Reads cosmic-ray's dump of a session: pairs of a work item and its result."""
    total, survivors = 0, []
    for _, result in results:
        if result is None or result["worker_outcome"] == "skipped":
            continue
        if result["worker_outcome"] != "normal":
            raise RuntimeError(f"cosmic-ray could not run a mutant of {module}: {result}")
        mutant = _mutant(module, result["diff"])
        if mutant.after == mutant.before.replace("*,", "/,"):
            continue  # how a function may be called, not what it does
        total += 1
        if result["test_outcome"] == "survived":
            survivors.append(mutant)
    return total, sorted(survivors)


def _mutant(module: str, difference: str) -> Mutant:
    lines = [line for line in difference.splitlines() if not line.startswith(("---", "+++"))]
    sides = ["\n".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+"]
    return Mutant(module=module, before=sides[0], after=sides[1])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main())
