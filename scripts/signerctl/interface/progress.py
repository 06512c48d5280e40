"""Tells what happens: one line for people on standard error, or one JSON line for a log on standard output."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click

from signerctl.interface.program import CommandError
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


@contextmanager
def telling_why_it_stops(say: Say, event: str) -> Iterator[None]:
    """Logs why the run stops, because the alert searches the log; also SIGTERM, which Kubernetes sends to end a Job."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except click.exceptions.Exit:
        raise
    except CommandError as error:
        say(event, error.message, {})
        click.get_current_context().exit(1)
    except KeyboardInterrupt:
        say(
            event,
            "interrupted: what was begun might not be complete; run the same command again to continue",
            {},
        )
        click.get_current_context().exit(1)
    except Exception as error:
        say(event, f"internal error in signerctl: {type(error).__name__}: {error}", {})
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
