"""The time as the commands see it."""

from collections.abc import Callable
from datetime import UTC, datetime

import click


def now() -> datetime:
    """Returns the time, UTC. Tests may pass another clock to `main` as `obj`."""
    clock: Callable[[], datetime] | None = click.get_current_context().obj
    return datetime.now(UTC) if clock is None else clock()
