"""Contract tests run on a double and, marked `real`, on what it doubles."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of tests that need the real thing."""
    config.addinivalue_line("markers", "real: runs on the real thing and not on its double")
