"""The metrics: their names are what alerts and dashboards are built on, and no label is anybody else's text."""

import platform

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from csr_exporter import VERSION
from csr_exporter.metrics import Metrics

# Names of the facts' section 13 and of the bounds that were added to it, with their labels. Renaming breaks alerts.
NAMES = {
    "csr_pending": {"stage"},
    "oldest_undelivered_seconds": set(),
    "delivery_seconds": {"le"},
    "issuance_seconds": {"le"},
    "send_attempts": {"code_class"},
    "retries": {"reason"},
    "poison": set(),
    "unfulfilled_acks": set(),
    "takeovers": set(),
    "throttled": set(),
    "inflight": set(),
    "concurrency_limit": set(),
    "function_failing": set(),
    "paused_seconds": {"reason"},
    "queue_changes": {"change"},
    "names_refused": set(),
    "lists": set(),
    "resyncs": {"result"},
    "list_seconds": {"le"},
    "list_items": set(),
    "watches": set(),
    "watch_restarts": {"reason"},
    "short_watches": set(),
    "watch_last_event_timestamp_seconds": set(),
    "bookmark_age_seconds": set(),
    "read_failures": {"reason"},
    "parse_errors": set(),
    "oversize": set(),
    "token_expiry_timestamp_seconds": {"kind"},
    "token_refresh_errors": {"kind"},
    "log_lines_lost": set(),
    "ready": set(),
    "build_info": {"version", "python"},
}


def _touched() -> Metrics:
    """Every labelled metric used once, so that it is on the page."""
    metrics = Metrics()
    metrics.csr_pending.labels("pending").set(1)
    metrics.token_expiry.labels("id").set(1)
    for counter in (
        metrics.send_attempts,
        metrics.retries,
        metrics.paused_seconds,
        metrics.queue_changes,
        metrics.watch_restarts,
        metrics.resyncs,
        metrics.read_failures,
        metrics.token_refresh_errors,
    ):
        counter.labels("x").inc()
    return metrics


def test_names_and_labels() -> None:
    """The page has exactly these, each with a help text; the process's own come from prometheus-client."""
    page = generate_latest(_touched().registry).decode()
    found = {family.name: family for family in text_string_to_metric_families(page)}
    ours = {name.removeprefix("csr_exporter_"): family for name, family in found.items() if "csr_exporter_" in name}
    labels = {name: {label for sample in each.samples for label in sample.labels} for name, each in ours.items()}
    assert labels == NAMES
    assert all(family.documentation for family in ours.values())
    assert {"process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds"} < set(found)


def test_the_alarm_is_there_before_it_rings() -> None:
    """A counter that appears only with its first event raises no alert: `increase` needs a value before it."""
    assert b"csr_exporter_poison_total 0.0\n" in generate_latest(Metrics().registry)


def test_build_info_has_the_projects_version() -> None:
    """The exporter's page names the version."""
    info = f'csr_exporter_build_info{{python="{platform.python_version()}",version="{VERSION}"}} 1.0\n'
    assert info.encode() in generate_latest(Metrics().registry)


def test_counts() -> None:
    """Counters add up, labels stand behind a colon, and what is 0 is not shown."""
    metrics = Metrics()
    metrics.lists.inc()
    metrics.lists.inc(2)
    metrics.oversize.inc(0)
    metrics.queue_changes.labels("added").inc(4)
    metrics.delivery_seconds.observe(5)
    metrics.list_items.set(7)
    assert metrics.counts == {"lists_total": 3, "queue_changes_total:added": 4}


def test_two_in_one_process_do_not_meet() -> None:
    """Each has a registry of its own; the library's global one stays empty."""
    first, second = Metrics(), Metrics()
    first.lists.inc()
    assert second.counts == {}
