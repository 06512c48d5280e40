"""Tells what happens: one line for people on standard error, or one JSON line for a log on standard output."""

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from types import FrameType
from typing import Final, NoReturn

import click
from click.core import ParameterSource

from csr_signer.errors import SignerError
from signerctl.interface.program import INTERRUPTED, CommandError, OutputError
from signerctl.interface.text import one_line

Say = Callable[[str, str, dict[str, object]], None]
"""Takes the event, a sentence, and facts for programs."""

STARTED: Final = "run_started"
ENDED: Final = "run_ended"
STOPPED: Final = "renewal_stopped"
FAILED: Final = "key_pair_failed"
NO_POD: Final = "account_without_pods"
TEXT: Final = "text"
_ERRORS: Final = (STOPPED, FAILED)
_WARNINGS: Final = (NO_POD,)
"""A log has them as NOTICE: a CronJob's command line also names service accounts that have no pods."""


def log_option(command: Callable[..., None]) -> Callable[..., None]:
    """Adds `--log-format`, which `logging_run` takes."""
    return click.option(
        "--log-format",
        default=TEXT,
        show_default=True,
        type=click.Choice(list(_FORMATS)),
        help="json: write each step as a line for Cloud Logging, and no list.",
    )(command)


@contextmanager
def while_waiting(whom: str, *, after: float = 1.0) -> Iterator[None]:
    """Names on standard error for whom the command waits, once that takes long.

    Args:
        whom: A server; empty for none.
        after: In seconds.
    """
    timer = threading.Timer(after, click.echo, [f"waiting for {whom}"], {"err": True})
    if whom:
        timer.daemon = True  # an interrupted command ends at once
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _to_people(event: str, message: str, _facts: dict[str, object]) -> None:
    """Prints the sentence; a user at a terminal needs no message for start and end."""
    if event not in (STARTED, ENDED):
        level = "error: " if event in _ERRORS else "warning: " if event in _WARNINGS else ""
        click.echo(f"{level}{one_line(message)}", err=True)


def to_log(event: str, message: str, facts: dict[str, object]) -> None:
    """Prints a line for Cloud Logging, which takes severity and message from it; an alert filters on them."""
    severity = "ERROR" if event in _ERRORS else "NOTICE" if event in _WARNINGS else "INFO"
    click.echo(json.dumps({"severity": severity, "event": event, "message": one_line(message), **facts}))


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM, which Kubernetes sends to end a Job."""


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _TerminatedError


@contextmanager
def bar(label: str, length: int | None) -> Iterator[Callable[[int], None]]:
    """Shows a progress bar on standard error while it is a terminal, and otherwise nothing.

    Args:
        label: What the command does.
        length: The number of steps; None if it is not known.

    Yields:
        What takes the number of further steps that are done.
    """
    with click.progressbar(
        repeat(None), length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as shown:
        yield shown.update


@contextmanager
def logging_run(log_format: str, event: str) -> Iterator[Say]:
    """Logs that the run starts and ends, or why it stops; also Ctrl-C, and SIGTERM, with which the Job fails.

    Alerts search the log. A process that is killed cannot log why: its log has a start, but neither an end nor an
    error.

    Args:
        log_format: The value of `--log-format`.
        event: The event of an error.

    Yields:
        What tells the steps.
    """
    say = _FORMATS[log_format]
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        say(STARTED, "the run started", {})
        _refuse_list(log_format)
        yield say
        say(ENDED, "the run ended", {})
    except (click.exceptions.Exit, OutputError):
        raise
    except click.UsageError as error:
        if say is not _to_people:  # click itself tells people
            say(event, error.format_message(), {})
        raise
    except (CommandError, SignerError) as error:
        say(event, str(error), {})
        click.get_current_context().exit(1)
    except KeyboardInterrupt as error:
        say(
            event,
            "interrupted: what was begun might not be complete; run the same command again to continue",
            {},
        )
        click.get_current_context().exit(1 if isinstance(error, _TerminatedError) else INTERRUPTED)
    except Exception as error:
        say(event, f"internal error in signerctl: {type(error).__name__}: {error}", {})
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _refuse_list(log_format: str) -> None:
    """Refuses a command line that chooses a form for a list that this format does not print."""
    form = click.get_current_context().get_parameter_source("form")
    if log_format != TEXT and form is not ParameterSource.DEFAULT:
        raise click.UsageError(f"--output: Forbidden: together with --log-format {log_format}, which prints no list")


_FORMATS: Final = {TEXT: _to_people, "json": to_log}
