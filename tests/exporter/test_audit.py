"""The proof that nothing was missed: list against watch."""

from __future__ import annotations

from csr_exporter.audit import PATIENCE, Audit


def test_what_only_the_list_shows_is_missed_after_a_while() -> None:
    """Once, and not before the watch had its time."""
    audit = Audit()
    audit.listed_only("a", now=0.0)
    audit.listed_only("a", now=50.0)
    assert list(audit.missed(PATIENCE - 0.1)) == []
    assert list(audit.missed(PATIENCE)) == ["a"]
    assert list(audit.missed(PATIENCE)) == []


def test_what_the_watch_shows_in_time_is_not_missed() -> None:
    """Whatever it shows of it: also that it has ended."""
    audit = Audit()
    audit.listed_only("a", now=0.0)
    audit.listed_only("b", now=0.0)
    audit.watched("a", ended=False)
    audit.watched("b", ended=True)
    assert list(audit.missed(1e9)) == []


def test_what_the_watch_ended_during_the_list_is_outdated() -> None:
    """Only while that list runs; nothing is remembered beyond it."""
    audit = Audit()
    audit.watched("before", ended=True)
    audit.list_begins()
    audit.watched("during", ended=True)
    audit.watched("alive", ended=False)
    assert [audit.is_outdated(uid) for uid in ("before", "during", "alive")] == [False, True, False]
    audit.list_ends()
    assert not audit.is_outdated("during")
