"""`scripts/bench issue` measures what it says; how long that takes is no test's business."""

import pytest

from development import bench, issuing


def test_every_row_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """Four issuer algorithms with two kinds of leaves each, by the launcher's own way."""
    assert bench.main(["issue", "--runs", "1"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[:2] for row in rows] == [[name, leaf] for name in issuing.ALGORITHMS for leaf in ("P-256", "RSA-2048")]
    assert all(float(own) > 0 and float(with_client) > 0 for *_, own, with_client in rows)
