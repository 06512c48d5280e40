"""How tests spread over workers (pytest-xdist): what shares an expensive fixture runs on one worker.

A worker takes one group at a time. A group is a file, or the files that share a control plane, a plan or a
build; tests on the double and on the real thing are different groups. The groups that take longest start first.
"""

import gc
import re
import signal
from functools import cache
from typing import Final

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# A shell without job control starts background jobs with SIGINT ignored. Children would inherit that, also those that a
# test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A shared machine's pauses are no failures.
settings.register_profile("tests", deadline=None, print_blob=True, max_examples=50)
settings.load_profile("tests")

_TOGETHER: Final = (
    "tests/contract/kubernetes/",
    "tests/infra/audit/",
    "tests/infra/cluster/",
    "tests/infra/terraform/",
    "tests/interoperability/",
    "tests/linters/",
    "tests/renewal/",
    "tests/end_to_end/test_(?:main_job|crashes)",
)
"""Beginnings of the paths, as patterns, whose tests are one group."""
_FIRST: Final = (
    "tests/infra/terraform/",
    "tests/rollouts/",
    "tests/end_to_end/test_exporter_load",
    "tests/end_to_end/",
    "tests/renewal/",
    "tests/interoperability/",
    "tests/infra/",
    "tests/sandbox/",
    "tests/packaging/",
    "tests/linters/",
    "tests/contract/",
    "tests/unit/exporter/test_process",
)
_REAL: Final = re.compile(r"\[real[]-]")


class Groups(LoadScopeScheduling):  # type: ignore[misc]  # it ships no types
    """Hands out whole groups, in the order of the collection."""

    def _split_scope(self, nodeid: str) -> str:
        return f"{_together(nodeid.partition('::')[0])} {_is_real(nodeid)}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Groups:
    """Replaces the scheduler of `--dist`."""
    config.option.loadscopereorder = False
    return Groups(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts the slowest groups first, on workers only: alone, pytest's own order starts the fewest fixtures."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: (_place(item.nodeid), item.get_closest_marker("real") is None))


def pytest_collection_finish() -> None:
    """Spares the garbage collector the thousands of tests that stay until the end: a tenth of all CPU time."""
    gc.collect()
    gc.freeze()


@cache
def _together(path: str) -> str:
    return next((pattern for pattern in _TOGETHER if re.match(pattern, path)), path)


def _place(nodeid: str) -> int:
    return next((place for place, start in enumerate(_FIRST) if nodeid.startswith(start)), len(_FIRST))


def _is_real(nodeid: str) -> bool:
    return _REAL.search(nodeid) is not None
