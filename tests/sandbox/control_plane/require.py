"""A real control plane for tests: started where that is possible, and never silently left out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandbox.control_plane import NotAvailableError
from sandbox.control_plane.real import RealControlPlane

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def real_control_plane(
    directory: Path, *, extra_arguments: Iterable[str] = (), controllers: bool = False
) -> RealControlPlane:
    """Start a real control plane; what it needs is found, or built once (6 to 8 minutes, 10 with controllers).

    Where that is impossible the test is skipped with the reason, or fails where `CI` is set: there a missing
    control plane means that the tests prove less than they claim.
    """
    try:
        return RealControlPlane.start(directory, extra_arguments=extra_arguments, controllers=controllers)
    except NotAvailableError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI is set and a real control plane is needed: {error}")
        pytest.skip(f"NOT TESTED on a real control plane: {error}")
