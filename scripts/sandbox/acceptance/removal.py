"""Removes what a run created, even if a check fails, and checks that it is gone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from urllib3.exceptions import HTTPError

from sandbox.acceptance.report import Outcome, failed, ok
from sandbox.api import Api, ApiError
from sandbox.calico.render import OURS
from sandbox.demo import interrupt

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.acceptance.report import Run
    from sandbox.calico.world import World

GONE_SECONDS = 90.0  # a real cluster deletes a namespace in the background
_POLL_SECONDS = 0.5
LABEL = ",".join(f"{key}={value}" for key, value in OURS.items())
"""The label of all objects of a run, except CSRs of a kubelet's pod."""


def removed_after(run: Run, checks: Callable[[], None], remove: Callable[[], Outcome]) -> None:
    """Runs the checks, then deletes the objects. Ignores Ctrl-C during the deletion.

    Args:
        run: Gets a check of the removal.
        checks: Runs the checks.
        remove: Removes the objects, and returns what is left.
    """
    try:
        try:
            checks()
        finally:
            interrupt.ignore()
    finally:  # also if a signal arrived just before it was ignored
        run.check("objects are deleted", remove)


def outcome(remove: Callable[[], object], world: World, api: Api, *, seconds: float = GONE_SECONDS) -> Outcome:
    """Removes the world's objects, and waits until all of them are gone.

    Args:
        remove: Removes them.
        world: Has created them.
        api: An administrator's client.
        seconds: The longest wait.
    """
    why = ""
    try:
        remove()
    except Exception as error:  # noqa: BLE001 - the operator must learn what is left
        why = f" ({type(error).__name__}: {error})"
    end = time.monotonic() + seconds
    try:
        while (left := world.remaining(api)) and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
    except (ApiError, HTTPError) as error:
        return failed(f"cannot tell whether objects are left{why}: {error}; look for objects with the label {LABEL}")
    if left:
        commands = "; ".join(f"kubectl delete --raw '{path}'" for path in left)
        return failed(f"objects that are left: {len(left)}{why}; delete them yourself: {commands}")
    return ok(f"all objects of the run are gone{why}")
