"""A heap of times with places that may be outdated."""

from csr_exporter.queue.delay_queue import DelayQueue


def test_the_earliest_place_that_still_counts() -> None:
    """A uid that is due at another time, or not at all, is not found at its old place."""
    due: dict[str, float] = {}
    queue = DelayQueue(due.get, due)
    for uid, when in {"a": 3.0, "b": 1.0, "c": 2.0}.items():
        due[uid] = when
        queue.add(when, uid)
    del due["b"]
    due["c"] = 4.0
    queue.add(4.0, "c")
    assert (queue.next_due(), queue.pop(2.9), queue.pop(3.0), queue.pop(3.9)) == (3.0, None, "a", None)
    assert (queue.pop(4.0), queue.next_due(), queue.pop(9.0)) == ("c", None, None)


def test_outdated_places_are_swept_out() -> None:
    """Places that were moved a hundred thousand times take no memory."""
    due = {"first": 0.0}
    queue = DelayQueue(due.get, due)
    queue.add(0.0, "first")
    for number in range(100_000):
        due["a"] = float(number + 1)
        queue.add(due["a"], "a")
    assert len(queue._heap) < 100  # noqa: SLF001 - nothing else shows it
    assert (queue.pop(1e9), queue.pop(1e9)) == ("first", "a")
