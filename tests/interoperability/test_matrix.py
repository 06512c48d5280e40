"""Invariant 14: what is issued verifies under every independent stack with the pinned CA.

Every issuer algorithm, for every key and hash of a request; each stack is asked for every name as a server's, and as a
client, and what it must refuse. `scripts/python -m development.matrix` prints the same as a table.
"""

import os

import pytest

from development.matrix.authorities import NAMES
from development.matrix.controls import CONTROLS
from development.matrix.requesters import DIGESTS, KEYS
from development.matrix.run import Run, run
from development.matrix.stacks import STACKS, Stack


@pytest.fixture(scope="module")
def came() -> Run:
    """Everything issued, and every stack of this machine asked, once."""
    return run(NAMES, STACKS)


@pytest.fixture(params=STACKS, ids=lambda stack: stack.name)
def stack(request: pytest.FixtureRequest, came: Run) -> Stack:
    """Each stack; only absence skips, and that of a required one fails with CI set."""
    chosen: Stack = request.param
    if chosen.name in came.missing:
        reason = f"NOT TESTED with {chosen.name}: {came.missing[chosen.name]}"
        if chosen.required and os.environ.get("CI"):
            pytest.fail(f"CI is set and {chosen.name} is needed: {reason}")
        pytest.skip(reason)
    return chosen


def test_every_certificate_is_issued(came: Run) -> None:
    """Under every issuer algorithm, for every key and every hash of a request."""
    assert [(cell.issuer, cell.request, cell.fault) for cell in came.cells if cell.fault] == []
    assert len(came.cells) == len(NAMES) * len(KEYS) * len(DIGESTS)


def test_every_certificate_is_verified(came: Run, stack: Stack) -> None:
    """As a server's for each of its names, and as a client's, with nothing but the root pinned."""
    refusals = {(cell.issuer, cell.request): came.refusal(cell, stack) for cell in came.cells}
    assert {cell: why for cell, why in refusals.items() if why} == {}


@pytest.mark.parametrize("control", CONTROLS)
def test_what_differs_in_one_thing_is_refused(came: Run, stack: Stack, control: str) -> None:
    """Under every issuer, and for that reason; what it differs from is accepted."""
    failures = {each.issuer: came.failure(each, stack) for each in came.controls if each.name == control}
    assert failures == dict.fromkeys(NAMES, "")
