"""Outcomes and faults: who acts next is the HTTP status, and nothing else leaves a module."""

import inspect

import pytest

from csr_signer import errors
from csr_signer.errors import SignerError
from csr_signer.events.outcome import Deferred, Ignored, Issued, Refused
from csr_signer.issuance.lint import LintError


@pytest.mark.parametrize(
    ("outcome", "status", "name"),
    [(Issued, 200, "issued"), (Refused, 200, "refused"), (Ignored, 200, "ignored"), (Deferred, 425, "deferred")],
)
def test_outcomes_answer_as_the_table_says(outcome: type[Issued], status: int, name: str) -> None:
    """Where nothing is at fault, the exporter has nothing to do, or sends this item alone again."""
    assert (outcome.status, outcome.name) == (status, name)


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (errors.EventError, 400, None),
        (errors.ConfigurationError, 503, 30),
        (errors.UnavailableError, 503, 2),
        (errors.QuotaError, 429, 5),
        (errors.ConflictError, 503, 1),
        (errors.IntegrityError, 503, 2),
        (LintError, 500, 30),
    ],
)
def test_faults_answer_as_the_table_says(error: type[SignerError], status: int, retry_after: int | None) -> None:
    """503 and 429 concern the whole function and say when to come again; 400 and 500 concern one item."""
    fault = error("text")
    assert (fault.status, fault.retry_after, str(fault)) == (status, retry_after, "text")


def test_a_fault_may_know_better_when_to_come_again() -> None:
    """What KMS or the API server asked for wins, zero included, and stays with this one fault."""
    assert errors.QuotaError("text", retry_after=0).retry_after == 0
    assert errors.QuotaError("text").retry_after == 5


def test_every_fault_says_who_must_act() -> None:
    """All of them are SignerError, so that one place answers them all; their names end in Error."""
    found = [value for _, value in inspect.getmembers(errors, inspect.isclass) if value.__module__ == errors.__name__]
    assert len(found) >= 7
    assert all(issubclass(value, SignerError) and value.__name__.endswith("Error") for value in found)
