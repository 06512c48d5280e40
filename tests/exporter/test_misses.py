"""The proof that nothing was missed: the watch against the lists beside it."""

from collections.abc import Callable

import pytest

from csr_exporter import csr
from csr_exporter.watch.client import WatchEvent
from csr_exporter.watch.misses import PATIENCE, MissDetector
from csr_exporter.watch.page import Page
from tests.exporter.support import csr_document, reference

LATE = PATIENCE + 1.0


def _page(*numbers: int, conditions: tuple[str, ...] = (), unread: tuple[int, ...] = ()) -> Page:
    seen = tuple(csr.from_api(csr_document(number, *conditions)) for number in numbers)
    uids = tuple(reference(number).uid for number in unread)
    return Page(version="1", seen=seen, size=1, oversize=len(unread), unread=uids)


def _event(number: int, *conditions: str, is_new: bool) -> WatchEvent:
    return WatchEvent(seen=csr.from_api(csr_document(number, *conditions)), is_new=is_new)


def _resync(resync: MissDetector, *pages: Page, now: float = 0.0, complete: bool = True) -> None:
    resync.resync_begins()
    for page in pages:
        resync.resynced(page, now=now)
    resync.resync_ends(complete=complete)


def _missed(resync: MissDetector) -> list[int]:
    return [int(uid[:8]) for uid in resync.missed()]


def test_what_a_watch_in_step_has_not_shown_is_missed() -> None:
    """Not before its time is up, however often it is listed, and once."""
    resync = MissDetector()
    _resync(resync, _page(1), now=0.0)
    _resync(resync, _page(1), now=50.0)
    resync.in_step(now=PATIENCE - 0.1)
    assert _missed(resync) == []
    resync.in_step(now=PATIENCE)
    assert _missed(resync) == [1]
    _resync(resync, _page(1), now=100.0)
    resync.in_step(now=1000.0)
    assert _missed(resync) == []


def test_what_a_watch_has_not_got_to_is_not_missed() -> None:
    """While the reader waits to try again, or its connection is half open, time alone proves nothing."""
    resync = MissDetector()
    resync.in_step(now=0.0)
    for hour in range(10):
        _resync(resync, _page(1, 2), now=3600.0 * hour)
    assert _missed(resync) == []


def test_a_watch_that_is_late_has_not_missed() -> None:
    """It shows the CSR from its creation on."""
    resync = MissDetector()
    _resync(resync, _page(1))
    resync.watched([_event(1, is_new=True)])
    resync.in_step(now=LATE)
    assert _missed(resync) == []


def test_a_watch_that_shows_only_a_change_has_missed() -> None:
    """Whatever is done with what the resync found, approval or certificate, must not hide that it was not shown."""
    resync = MissDetector()
    _resync(resync, _page(1, 2))
    resync.watched([_event(1, is_new=False), _event(3, is_new=False)])
    assert _missed(resync) == [1]


def test_an_approval_that_the_watch_has_not_shown_is_missed() -> None:
    """Where only approved CSRs are sent it is what counts: by its absence, or by the end that was shown without it."""
    resync = MissDetector()
    resync.watched([_event(n, is_new=True) for n in (1, 2, 3, 4)])
    _resync(resync, _page(1, 2, 3, conditions=("Approved",)), _page(4))
    resync.watched([_event(1, is_new=False), _event(1, "Approved", is_new=False), _event(1, "Failed", is_new=False)])
    resync.watched([_event(2, "Approved", "Failed", is_new=False)])
    assert _missed(resync) == [2]
    resync.in_step(now=LATE)
    assert _missed(resync) == [3]
    _resync(resync, _page(1, 2, 3, conditions=("Approved",)), now=LATE)
    resync.in_step(now=3 * LATE)
    assert _missed(resync) == []


def test_a_watch_that_is_late_with_creation_and_approval_has_not_missed() -> None:
    """The list is ahead by both; each comes in turn, and only an approval that does not come is missed."""
    resync = MissDetector()
    _resync(resync, _page(1, 2, conditions=("Approved",)))
    resync.watched([_event(1, is_new=True), _event(2, is_new=True)])
    resync.watched([_event(1, "Approved", is_new=False)])
    resync.in_step(now=LATE)
    assert _missed(resync) == [2]


def test_a_watch_that_was_begun_anew_has_not_missed() -> None:
    """The list that it continues shows what there is; what that does not show is gone."""
    resync = MissDetector()
    _resync(resync, _page(1, 2))
    resync.listed(_page(1))
    resync.begins_anew()
    resync.watched([_event(1, is_new=False)])
    resync.in_step(now=LATE)
    assert _missed(resync) == []


def test_a_watch_begun_anew_during_a_list_makes_that_list_no_witness() -> None:
    """What it shows may be gone already, without any watch that could have shown it."""
    resync = MissDetector()
    resync.resync_begins()
    resync.begins_anew()
    resync.resynced(_page(1), now=0.0)
    resync.resync_ends(complete=True)
    resync.in_step(now=LATE)
    assert _missed(resync) == []
    _resync(resync, _page(2), now=LATE)
    resync.in_step(now=3 * LATE)
    assert _missed(resync) == [2]


@pytest.mark.parametrize(
    "show",
    [
        lambda resync: resync.listed(_page(1)),
        lambda resync: resync.listed(_page(unread=(1,))),
        lambda resync: resync.watched([_event(1, is_new=True)]),
        lambda resync: resync.watched([_event(1, is_new=False)]),
    ],
    ids=["list", "too large in the list", "creation", "change"],
)
@pytest.mark.parametrize("complete", [True, False])
def test_what_was_shown_is_never_missed(show: Callable[[MissDetector], None], *, complete: bool) -> None:
    """Also what was not kept since there was too much of it, and however many lists follow."""
    resync = MissDetector()
    show(resync)
    for number in range(3):
        _resync(resync, _page(1), now=float(number), complete=complete)
    resync.in_step(now=LATE)
    assert _missed(resync) == []


def test_what_is_shown_during_a_list_is_remembered() -> None:
    """The list may be older; the next one shows it."""
    resync = MissDetector()
    resync.resync_begins()
    resync.watched([_event(1, is_new=True)])
    resync.resync_ends(complete=True)
    _resync(resync, _page(1))
    resync.in_step(now=LATE)
    assert _missed(resync) == []


def test_what_could_not_be_read_for_a_while_is_remembered() -> None:
    """A CSR that grows and shrinks again was shown before."""
    resync = MissDetector()
    resync.listed(_page(1))
    _resync(resync, _page(unread=(1,)))
    _resync(resync, _page(1))
    resync.in_step(now=LATE)
    assert _missed(resync) == []


def test_a_list_that_broke_off_makes_nothing_forgotten() -> None:
    """What it did not get to was shown all the same."""
    resync = MissDetector()
    resync.listed(_page(1))
    _resync(resync, complete=False)
    _resync(resync, _page(1))
    resync.in_step(now=LATE)
    assert _missed(resync) == []


def test_what_is_over_is_not_missed() -> None:
    """Nothing would have been sent for it."""
    resync = MissDetector()
    _resync(resync, _page(1, conditions=("Denied",)))
    resync.in_step(now=LATE)
    assert _missed(resync) == []


def test_what_is_gone_is_forgotten() -> None:
    """Only what the last complete list showed is remembered, so that marks do not add up."""
    resync = MissDetector()
    resync.listed(_page(1, 2))
    _resync(resync, _page(2))
    _resync(resync, _page(1, 2))
    resync.in_step(now=LATE)
    assert _missed(resync) == [1]
