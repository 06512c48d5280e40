"""Whether these tests ran on the real thing."""

import os

import pytest

from tests.contract.kms.conftest import KEY_RING


def test_cloud_kms_is_among_the_targets() -> None:
    """Said once, loudly: no machine of CI has credentials of Google Cloud, so that there it is no failure."""
    if not os.environ.get(KEY_RING):
        pytest.skip(f"NOT TESTED on Cloud KMS: {KEY_RING} names no key ring")
    assert os.environ[KEY_RING].startswith("projects/")
