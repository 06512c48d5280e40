"""What a run comes to: only a run without any fault is as expected."""

from dataclasses import replace

import pytest

from sandbox.demo.summary import Attack, Summary
from sandbox.demo.view import figures

_ATTACK = Attack(name="weak key", wrong="too small", verdict="Denied", reason="public_key.size", as_expected=True)
_GOOD = Summary(
    requested=2,
    issued=2,
    violations={"a": "", "b": ""},
    attacks=[_ATTACK],
    key_pairs={"c": ""},
    seconds=[0.1, 0.3],
    elapsed=0.5,
    signatures=4,
)


def test_good_run() -> None:
    """Everybody issued and verified, every attack refused: nothing is marked."""
    assert _GOOD.as_expected
    assert all(right for _, _, right in figures(_GOOD))
    assert _GOOD.median == pytest.approx(0.2)
    assert (_GOOD.p95, _GOOD.per_second) == (0.3, 4.0)


@pytest.mark.parametrize(
    "bad",
    [
        replace(_GOOD, issued=1, violations={"a": ""}),
        replace(_GOOD, violations={"a": "", "b": "it is for another key"}),
        replace(_GOOD, attacks=[replace(_ATTACK, as_expected=False)]),
        replace(_GOOD, key_pairs={"c": "", "d": "its volume is empty"}, signatures=5),
    ],
    ids=["not issued", "not verified", "not refused", "not mounted"],
)
def test_bad_run(bad: Summary) -> None:
    """One fault is enough, and it is marked in the figures."""
    assert not bad.as_expected
    assert not all(right for _, _, right in figures(bad))


def test_without_key_pairs() -> None:
    """Components that wait, because the user left the command out, are no fault."""
    summary = replace(_GOOD, key_pairs=None)
    assert summary.as_expected
    assert ("key pairs mounted", "none (--no-key-pairs): Goldmane and Whisker wait", True) in figures(summary)


def test_p95_is_a_measured_value() -> None:
    """Of 100 durations the 95th is within which 95 of 100 came."""
    assert replace(_GOOD, seconds=[float(number) for number in range(1, 101)]).p95 == 95.0
    assert replace(_GOOD, seconds=[]).p95 == 0.0


def test_complaints_are_shown() -> None:
    """What is wrong with a certificate stands in the summary, with the CSR's name."""
    bad = replace(_GOOD, violations={"a": "", "b": "it is for another key"})
    assert ("", "b: it is for another key", False) in figures(bad)
