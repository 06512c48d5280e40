"""Prints the matrix; the exit status is 1 if a required stack is missing or an answer of a stack is wrong.

scripts/python -m tests.interoperability
"""

import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.interoperability import matrix
from tests.interoperability.issuers import NAMES
from tests.interoperability.matrix import Matrix
from tests.interoperability.stack import Stack
from tests.interoperability.stacks import STACKS

Check = Callable[[type[Stack]], str]
"""Returns why a stack's answer is wrong, or an empty text."""

Table = dict[str, list[Check]]
"""The checks of each row."""


def tables(verified: Matrix) -> dict[str, Table]:
    """Returns the tables by their titles."""
    by_issuer: Table = defaultdict(list)
    by_request: Table = defaultdict(list)
    controls: Table = defaultdict(list)
    for each in verified.issued:
        check: Check = partial(verified.refusal, issued=each)
        by_issuer[each.issuer.name].append(check)
        by_request[f"{each.kind} {each.digest}"].append(check)
    for issuer, control in verified.controls:
        controls[control].append(partial(verified.failure, issuer=issuer, control=control))
    total = {"total": [check for checks in by_issuer.values() for check in checks]}
    return {
        "certificates by issuer: accepted": {**by_issuer, **total},
        "certificates by request: accepted": by_request,
        "controls: refused for the right reason": controls,
    }


def counts(verified: Matrix, table: Table) -> dict[str, list[str]]:
    """Returns how many answers of each stack are right in each row."""

    def cell(stack: type[Stack], checks: list[Check]) -> str:
        if stack.name not in verified.answers:
            return "not here"
        return f"{sum(not check(stack) for check in checks)}/{len(checks)}"

    return {row: [cell(stack, checks) for stack in STACKS] for row, checks in table.items()}


def main(issuers: Sequence[str] = NAMES) -> int:
    """Prints tables, versions, missing stacks and wrong answers."""
    installed = [stack for stack in STACKS if not stack.missing()]
    missing = [stack for stack in STACKS if stack not in installed]
    wrong = set()
    with tempfile.TemporaryDirectory() as folder:
        verified = matrix.run(installed, Path(folder), issuers)
        for title, table in tables(verified).items():
            rows = {title: [stack.name for stack in STACKS], **counts(verified, table)}
            for row, cells in rows.items():
                print(f"{row:<48}", *(f"{cell:>9}" for cell in cells))
            print()
            found = ((stack.name, row, check(stack)) for stack in installed for row in table for check in table[row])
            wrong |= {f"{stack}: {row}: {reason}" for stack, row, reason in found if reason}
        for stack in installed:
            print(f"{stack.name}: {stack(Path(folder)).describe()}, {verified.seconds[stack.name]:.1f} s")
    print(*(stack.missing() for stack in missing), *sorted(wrong), sep="\n")
    return 1 if wrong or any(stack.required for stack in missing) else 0


if __name__ == "__main__":
    sys.exit(main())
