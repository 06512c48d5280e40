"""Terraform with doubles of its providers, and its plans for the deployments of infra/tests."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from development import apart
from development.lock import TERRAFORM
from development.terraform import environment
from tests.infra.terraform.plans import Plan, plans

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from development.terraform.environment import Workspace


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A copy of the tree that tests may change, with the root module initialised."""
    with initialised(tmp_path_factory) as made:
        yield made


@contextmanager
def initialised(tmp_path_factory: pytest.TempPathFactory, module: str = "infra") -> Iterator[Workspace]:
    """A fresh copy, with one folder initialised.

    Where Terraform cannot be installed the tests are skipped, or fail where CI is set.
    """
    try:
        apart.python(TERRAFORM)
    except subprocess.CalledProcessError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI is set and Terraform is needed: {error}")
        pytest.skip(f"NOT TESTED: Terraform could not be installed: {error}")
    with environment.workspace(tmp_path_factory.mktemp("terraform")) as made:
        answer = made.init(module)
        assert answer.status == 0, answer.errors
        yield made


@pytest.fixture(scope="session")
def planned(workspace: Workspace) -> Mapping[str, Plan]:
    """The plans of infra/tests/deployment.tftest.hcl by the name of their run."""
    return plans(workspace, "infra", "tests/deployment.tftest.hcl")
