"""Fixtures for the tests of signerctl."""

from collections.abc import Iterator

import pytest

from sandbox.kms import KmsServer, connect
from tests.unit.signerctl.authorities import Corporate
from tests.unit.signerctl.stage import Stage


@pytest.fixture(scope="session")
def shared_stage() -> Iterator[Stage]:
    """KMS's double, with keys that all tests share."""
    with KmsServer(instant=True) as server, connect(server.endpoint) as client:
        yield Stage(server=server, client=client)


@pytest.fixture
def stage(shared_stage: Stage) -> Iterator[Stage]:
    """The shared stage; removes the test's faults afterwards."""
    yield shared_stage
    shared_stage.server.faults.clear()


@pytest.fixture(scope="session")
def corporate() -> Corporate:
    """A corporate CA."""
    return Corporate()
