"""Durations: as options (`30d`, `12h`), and for people, as in kubectl's column AGE."""

import re
from datetime import datetime, timedelta
from typing import Any, Final

import click

from csr_signer.document import UNITS, as_written
from csr_signer.violation import quote

_UNITS: Final = {"s": timedelta(seconds=1), **UNITS}
_DURATION: Final = re.compile(r"[1-9][0-9]{0,6}[smhd]")


class DurationType(click.ParamType[timedelta]):
    """An option such as `30d`, `12h`, `15m` or `90s`.

    Args:
        below: The values must be less than this; None for no limit.
    """

    name = "duration"

    def __init__(self, *, below: timedelta | None = None) -> None:
        self._below = below

    def convert(self, value: Any, _parameter: click.Parameter | None, _context: click.Context | None) -> timedelta:  # noqa: ANN401 - click's signature
        """Parses the option."""
        if isinstance(value, timedelta):
            return value
        if not _DURATION.fullmatch(value):
            raise click.BadParameter(f"{quote(value)}: must be a whole number with a unit, for example 30d, 12h, 15m")
        found = int(value[:-1]) * _UNITS[value[-1]]
        if self._below is not None and found >= self._below:
            raise click.BadParameter(f"{quote(value)}: must be less than {as_written(self._below)}")
        return found


DURATION: Final = DurationType()


def expires_in(not_after: datetime, now: datetime) -> str:
    """Returns how long a certificate is valid, as `age` formats it; `expired` afterwards."""
    return age(not_after - now) if not_after > now else "expired"


def age(length: timedelta) -> str:
    """Formats a duration as kubectl does: the two largest units while the first one is small.

    The rules are those of HumanDuration in k8s.io/apimachinery/pkg/util/duration.
    """
    seconds = int(length.total_seconds())
    if seconds < 0:
        return f"-{age(-length)}"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    years = days // 365
    for within, text in (
        (seconds < 120, f"{seconds}s"),  # noqa: PLR2004 - kubectl's limits
        (minutes < 10, _two(minutes, "m", seconds % 60, "s")),  # noqa: PLR2004
        (hours < 3, f"{minutes}m"),  # noqa: PLR2004
        (hours < 8, _two(hours, "h", minutes % 60, "m")),  # noqa: PLR2004
        (hours < 48, f"{hours}h"),  # noqa: PLR2004
        (days < 8, _two(days, "d", hours % 24, "h")),  # noqa: PLR2004
        (days < 730, f"{days}d"),  # noqa: PLR2004
        (years < 8, _two(years, "y", days % 365, "d")),  # noqa: PLR2004
    ):
        if within:
            return text
    return f"{years}y"


def _two(first: int, unit: str, second: int, smaller: str) -> str:
    return f"{first}{unit}{second}{smaller}" if second else f"{first}{unit}"
