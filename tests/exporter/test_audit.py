"""What a list beside the watch must not bring back."""

from __future__ import annotations

from csr_exporter.audit import Audit


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
