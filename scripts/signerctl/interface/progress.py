"""Tells what happens: one line for people on standard error, or one JSON line for a log on standard output."""

import json
from collections.abc import Callable
from typing import Final

import click

from signerctl.interface.text import one_line

Say = Callable[[str, str, dict[str, object]], None]
"""Takes the event, a sentence, and facts for programs."""

STOPPED: Final = "renewal_stopped"
FAILED: Final = "key_pair_failed"
_ERRORS: Final = (STOPPED, FAILED)


def to_people(event: str, message: str, _facts: dict[str, object]) -> None:
    """Prints the sentence."""
    click.echo(f"{'error: ' if event in _ERRORS else ''}{one_line(message)}", err=True)


def to_log(event: str, message: str, facts: dict[str, object]) -> None:
    """Prints a line for Cloud Logging, which takes severity and message from it; an alert filters on them."""
    severity = "ERROR" if event in _ERRORS else "INFO"
    click.echo(json.dumps({"severity": severity, "event": event, "message": one_line(message), **facts}))
