"""What lists and watches change in the work queue."""

from csr_exporter import csr
from csr_exporter.metrics import Metrics
from csr_exporter.queue.work_queue import WorkQueue
from tests.unit.exporter.support import SIGNER, VirtualClock, captured_log, core, csr_document, filed_by


def _seen(*numbers: int) -> list[csr.Seen]:
    return [csr.from_api(csr_document(number)) for number in numbers]


def test_observations_are_counted() -> None:
    """What is added, throttled, not held, refused for its name, and ended; the age at which a certificate showed."""
    metrics = Metrics()
    with captured_log() as (log, _):
        store, _ = core(log, metrics, VirtualClock(), queue=WorkQueue(most=16))
        for number in range(1, 9):
            document = csr_document(number)
            document["spec"] |= filed_by(1)  # type: ignore[operator]  # an object
            store.watched([csr.from_api(document)])
        store.watched(_seen(*range(12, 20)))
        store.watched(_seen(9))
        store.watched([csr.from_api(csr_document(10, name="x" * 600))])
        store.watched([csr.from_api(csr_document(1, "Approved") | {"status": {"certificate": "eA=="}})])
        store.resync_begins()
        store.watched([csr.from_api(csr_document(2, "Denied"))])
        store.resynced(_seen(2, 11))
        store.resync_ends({SIGNER: {_seen(3)[0].reference.uid}}, since=1e12)
        store.relisted(SIGNER, {_seen(3)[0].reference.uid}, since=1e12)
    assert metrics.counts == {
        "names_refused_total": 1,
        "throttled_total": 2,
        "queue_changes_total:added": 15,
        "queue_changes_total:ended": 16,
        "queue_changes_total:full": 1,
        "queue_changes_total:throttled": 2,
    }
    assert metrics.registry.get_sample_value("csr_exporter_issuance_seconds_count") == 1
    assert store.waiting == 1
    assert store._ended_meanwhile is None  # noqa: SLF001 - it would grow between two resyncs
