"""The time as the commands see it."""

from collections.abc import Callable
from datetime import UTC, datetime

import click


def now() -> datetime:
    """Returns the time, UTC. Tests may pass another clock to `main` as `obj`."""
    context = click.get_current_context(silent=True)
    clock: Callable[[], datetime] | None = None if context is None else context.obj
    return datetime.now(UTC) if clock is None else clock()
