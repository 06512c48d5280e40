"""Fixtures for the tests of recorded decisions."""

import json
from pathlib import Path

import pytest

from tests.unit.function.builders import authority
from tests.unit.function.configuration.test_configuration import document


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal's configuration document."""
    folder = tmp_path_factory.mktemp("configuration")
    for name in ("ca.pem", "cluster-ca.pem"):
        (folder / name).write_bytes(authority().pem)
    (folder / "function.json").write_text(json.dumps(document()))
    return folder / "function.json"
