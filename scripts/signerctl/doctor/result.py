"""What a check reports."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from signerctl.ca.verification import CheckResult

Level = Literal["ok", "warning", "error", "not_applicable", "unknown"]
_ORDER: Final[tuple[Level, ...]] = ("not_applicable", "ok", "warning", "unknown", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of one check.

    Attributes:
        level: `error`: certificates are not issued, or will not be accepted; `warning`: the operator should look at it;
            `unknown`: doctor could not look; `not_applicable`: this deployment has nothing to look at.
        found: What the check saw.
        remedy: What the operator does about it; empty if there is nothing to do.
        blocks: Whether checks that need this one cannot run.
    """

    level: Level
    found: str
    remedy: str = ""
    blocks: bool = False


def ok(found: str) -> Result:
    """Returns that all is well."""
    return Result(level="ok", found=found)


def warning(found: str, remedy: str) -> Result:
    """Returns that something works, but should be changed."""
    return Result(level="warning", found=found, remedy=remedy)


def error(found: str, remedy: str) -> Result:
    """Returns a fault; the results of checks that need this one are unknown."""
    return Result(level="error", found=found, remedy=remedy, blocks=True)


def unknown(why: str, remedy: str = "") -> Result:
    """Returns that the check could not be made, like those that need its facts."""
    return Result(level="unknown", found=why, remedy=remedy, blocks=True)


def not_applicable(why: str) -> Result:
    """Returns that this deployment has nothing to check here."""
    return Result(level="not_applicable", found=why)


def of_checks(checks: Iterable[CheckResult], remedy: str, *, prefix: str = "") -> list[Result]:
    """Returns the results of `ca verify` as doctor's.

    Args:
        checks: The results.
        remedy: What the operator does about a violation.
        prefix: What the violations are about.
    """
    return [
        ok(check.message)
        if check.level == "ok"
        else Result(level=check.level, found=f"{prefix}{check.message}", remedy=remedy)
        for check in checks
    ]


def worst(results: Sequence[Result]) -> Result:
    """Joins results: the worst level, with everything that was found and must be done at that level.

    What is unknown hides no warning.

    Args:
        results: At least one result.
    """
    level = max((each.level for each in results), key=_ORDER.index)
    chosen = [each for each in results if each.level == level or (level, each.level) == ("unknown", "warning")]
    return Result(
        level=level,
        found="; ".join(dict.fromkeys(each.found for each in chosen)),
        remedy="; ".join(dict.fromkeys(each.remedy for each in chosen if each.remedy)),
        blocks=any(each.blocks for each in chosen),
    )
