"""What an exporter's pages say, as tests read it."""

from pathlib import Path

import pytest

from sandbox.exporter_runtime import ExporterRuntime, PageError, Samples

TEXT = """\
# HELP csr_exporter_sent_total events
# TYPE csr_exporter_sent_total counter
csr_exporter_sent_total{code_class="2xx",kind="a"} 3.0
csr_exporter_sent_total{code_class="5xx",kind="a"} 4.0
# HELP csr_exporter_quiet_total nothing yet
# TYPE csr_exporter_quiet_total counter
# HELP csr_exporter_seconds durations
# TYPE csr_exporter_seconds histogram
csr_exporter_seconds_bucket{le="1.0"} 1.0
csr_exporter_seconds_bucket{le="+Inf"} 2.0
csr_exporter_seconds_count 2.0
csr_exporter_seconds_sum 7.5
"""


def test_samples_are_added_up() -> None:
    """Labels that are not asked for may have any value, and what was never counted is 0."""
    samples = Samples(TEXT)
    assert samples.total("sent_total") == 7
    assert samples.total("sent_total", code_class="5xx") == 4
    assert samples.total("sent_total", code_class="3xx") == 0
    assert samples.total("quiet_total") == 0
    assert samples.total("seconds_count") == 2


def test_a_metric_that_does_not_exist_is_not_taken_for_zero() -> None:
    """A test that asks for a name that was changed must fail."""
    with pytest.raises(KeyError, match="csr_exporter_resync_mist_total"):
        Samples(TEXT).total("resync_mist_total")


def test_an_exporter_that_was_not_started_has_no_pages(tmp_path: Path) -> None:
    """It says so, and stopping it is harmless."""
    exporter = ExporterRuntime(tmp_path / "exporter.json", tmp_path / "exporter.log")
    exporter.stop()
    exporter.kill()
    assert exporter.pid is None
    with pytest.raises(PageError, match="not started"):
        exporter.metrics()
