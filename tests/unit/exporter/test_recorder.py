"""What happened, as metrics and as lines of the log."""

import dataclasses

from csr_exporter.csr import Seen, Stage
from csr_exporter.metrics import Metrics, record
from csr_exporter.queue.item import WorkItem
from csr_exporter.queue.retry_policy import Answer, Verdict
from tests.unit.exporter.support import ACKNOWLEDGED, VirtualClock, captured_log, core, reference

FIRST = WorkItem(reference=reference(), stage=Stage.APPROVED, attempt=1, resend=0)


def _told(*answers: tuple[WorkItem, Answer]) -> tuple[Metrics, list[dict[str, object]]]:
    metrics = Metrics()
    with captured_log() as (log, lines):
        for item, answer in answers:
            record(item, answer, log=log, metrics=metrics)
        return metrics, lines()


def test_answers_are_counted() -> None:
    """By the class of the status, and by what they meant for a retry; poison apart."""
    metrics, lines = _told(
        (FIRST, Answer(verdict=Verdict.LATER, status=425)),
        (FIRST, Answer(verdict=Verdict.POISON, status=400)),
        (FIRST, Answer(verdict=Verdict.SLOW, reason="reset")),
        (FIRST, ACKNOWLEDGED),
    )
    assert metrics.counts == {
        "poison_total": 1,
        "retries_total:later": 1,
        "retries_total:poison": 1,
        "retries_total:slow": 1,
        "send_attempts_total:2xx": 1,
        "send_attempts_total:4xx": 2,
        "send_attempts_total:none": 1,
    }
    assert [(line["message"], line["severity"]) for line in lines] == [
        ("later", "WARNING"),
        ("poison", "ERROR"),
        ("slow", "WARNING"),
        ("acknowledged", "INFO"),
    ]


def test_an_unfulfilled_acknowledgement_is_counted_once() -> None:
    """At the first attempt of a resend, and what that takes is not the time to delivery."""
    resent = dataclasses.replace(FIRST, resend=1)
    metrics, _ = _told(
        (FIRST, ACKNOWLEDGED),
        (resent, Answer(verdict=Verdict.LATER, status=500)),
        (dataclasses.replace(resent, attempt=2), ACKNOWLEDGED),
    )
    assert metrics.counts["unfulfilled_acks_total"] == 1
    assert metrics.registry.get_sample_value("csr_exporter_delivery_seconds_count") == 1


def test_a_takeover_is_counted_and_logged() -> None:
    """An event in place of another replica shows as one."""
    metrics, lines = _told((dataclasses.replace(FIRST, takeover=True), ACKNOWLEDGED))
    assert metrics.counts["takeovers_total"] == 1
    assert lines[0]["takeover"] is True


def test_an_unreadable_creation_time_counts_for_nothing() -> None:
    """No age is made up for it, neither for the delivery nor for the certificate."""
    odd = dataclasses.replace(reference(), creation_timestamp="soon")
    metrics, _ = _told((dataclasses.replace(FIRST, reference=odd), ACKNOWLEDGED))
    with captured_log() as (log, _):
        store, _ = core(log, metrics, VirtualClock())
        store.watched([Seen(reference=odd, stage=Stage.PENDING), Seen(reference=odd, stage=None, issued=True)])
    for name in ("delivery", "issuance"):
        assert metrics.registry.get_sample_value(f"csr_exporter_{name}_seconds_count") == 0


def test_what_changes_nothing_is_not_counted() -> None:
    """A CSR that is seen again as it was."""
    metrics = Metrics()
    with captured_log() as (log, _):
        store, _ = core(log, metrics, VirtualClock())
        store.watched([Seen(reference=reference(), stage=Stage.PENDING)] * 2)
    assert metrics.counts == {"queue_changes_total:added": 1}
